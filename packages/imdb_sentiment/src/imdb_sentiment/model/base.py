"""What every model here can do, whatever family it is of.

N counts reviews, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig


class Classifier(ABC):
    """Assigns a probability to each class of a text.

    Attributes
    ----------
    config : TrainConfig
        What it was trained with.
    classes : tuple of str (C,)
        Names of the classes, in the order of the columns of `probabilities`.
    """

    config: TrainConfig
    classes: tuple[str, ...]

    @property
    @abstractmethod
    def weight_count(self) -> int:
        """Number of trained weights."""

    @abstractmethod
    def _probabilities(self, texts: list[str]) -> NDArray[np.float64]: ...

    def probabilities(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return the probability of each class.

        Parameters
        ----------
        texts : iterable of str (N,)
            Any texts, empty ones too.

        Returns
        -------
        float64 array (N, C)

        Raises
        ------
        TypeError
            `texts` is one string, which is a sequence of letters, or holds something other than strings.
        """
        if isinstance(texts, str):
            raise TypeError("texts is a str, expected a list of them: [text]")
        texts = list(texts)
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"a text is a {type(text).__name__}, expected str")
        return self._probabilities(texts)


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes as a tuple; they must be two or more, and differ."""
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ValueError(f"expected two or more different classes, got {list(classes)}")
    return tuple(classes)
