"""What every model here can do, whatever it is made of, and how one is read from a run.

N counts reviews, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig

if TYPE_CHECKING:
    pass


class Classifier(ABC):
    """Judges reviews."""

    config: TrainConfig

    @property
    @abstractmethod
    def weight_count(self) -> int:
        """How many numbers were learned."""

    @abstractmethod
    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each class.

        Parameters
        ----------
        texts : sequence of str (N,)
            Any texts, empty ones too.

        Returns
        -------
        float64 array (N, C)
        """
