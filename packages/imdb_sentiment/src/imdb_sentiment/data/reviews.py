"""Labelled reviews in memory, and the classes that a task predicts.

N counts reviews, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError

CLASSES = ("negative", "positive")
"""Classes of the publisher's folders `neg` and `pos`, in the order of the labels."""
RATINGS = (1, 2, 3, 4, 7, 8, 9, 10)
"""The ratings that the data set has; its makers left out 5 and 6."""


@dataclass(frozen=True)
class Reviews:
    """Some reviews with what is known of each.

    Parameters
    ----------
    texts : list of str (N,)
        As in the files.
    labels : int64 array (N,)
        Index of the class; 0 negative, 1 positive in the publisher's data.
    ratings : int64 array (N,)
        1 to 10; 0 where it is not known.
    films : list of str (N,)
        The film; empty where the publisher's list is missing.
    names : list of str (N,)
        Where it comes from: `train/pos/17_8.txt`, `reviews.csv:12`.
    classes : tuple of str (C,)
        Names of the classes.
    source : str
        What they are, in words, where that is not plain: a part of some data, or all of it.
    """

    texts: list[str]
    labels: NDArray[np.int64]
    ratings: NDArray[np.int64]
    films: list[str]
    names: list[str]
    classes: tuple[str, ...] = CLASSES
    source: str = ""

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: NDArray[np.int64]) -> Reviews:
        """Return the reviews at some indices."""
        chosen = indices.tolist()
        return Reviews(
            [self.texts[i] for i in chosen],
            self.labels[indices],
            self.ratings[indices],
            [self.films[i] for i in chosen],
            [self.names[i] for i in chosen],
            self.classes,
            self.source,
        )

    @property
    def grouping(self) -> Literal["film", "id", "text"]:
        """What tells which reviews belong on one side of a split: the film, the id, or the text alone."""
        if all(self.films):
            return "film"
        return "id" if self.ratings.all() else "text"

    def targets(self, task: str) -> NDArray[np.int64]:
        """Return what a task predicts: the label, or the index of the rating in `RATINGS`.

        Raises
        ------
        UserError
            The task is `rating`, and a review has none, or 5 or 6.
        """
        if task == "polarity":
            return self.labels
        self.require_ratings("--task rating")
        positions = np.searchsorted(RATINGS, self.ratings)
        is_wrong = np.array(RATINGS)[np.minimum(positions, len(RATINGS) - 1)] != self.ratings
        if is_wrong.any():
            first = int(is_wrong.argmax())
            raise UserError(
                f"{self.names[first]}: has the rating {self.ratings[first]}. "
                f"--task rating expects {', '.join(map(str, RATINGS))}."
            )
        return positions.astype(np.int64)

    def require_ratings(self, flag: str) -> None:
        """Refuse reviews without a rating, for a setting that needs them."""
        if not self.ratings.all():
            first = self.names[int((self.ratings == 0).argmax())]
            raise UserError(
                f"{flag} needs ratings, and {first} has none. Expected files named <id>_<rating>.txt."
            )


@dataclass(frozen=True)
class Data:
    """Train, valid and test reviews.

    Parameters
    ----------
    train, valid, test : Reviews
        No film is in both train and valid where the lists of films are there.
    is_sample : bool
        It is the made-up data.
    listing : dict
        Name and checksum of the data.
    has_test : bool
        The data came with a test set; otherwise one was split off.
    """

    train: Reviews
    valid: Reviews
    test: Reviews
    is_sample: bool
    listing: dict[str, Any]
    has_test: bool = True

    def classes(self, task: str) -> tuple[str, ...]:
        """Return the names of the classes (C,) that a task predicts, in the order of its targets."""
        return task_classes(task, self.train.classes)

    def facts(self) -> dict[str, Any]:
        """Return what `summary.json` says about the data."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        groupings = {"film": "by film", "id": "by id", "text": "stratified by class"}
        both = {self.train.grouping, self.valid.grouping}
        split = groupings[both.pop() if len(both) == 1 else "text"]
        facts = {
            **self.listing,
            "is_sample": self.is_sample,
            "reviews": {name: len(part) for name, part in parts.items()},
            "split": split,
        }
        if not self.has_test:
            facts["test_split"] = "stratified by class"
        if self.train.classes != CLASSES:
            facts["classes"] = list(self.train.classes)
        return facts


def task_classes(task: str, classes: Sequence[str] = CLASSES) -> tuple[str, ...]:
    """Return the names of the classes (C,) of a task, in the order of its targets."""
    return tuple(classes) if task == "polarity" else tuple(map(str, RATINGS))
