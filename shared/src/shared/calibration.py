"""Calibration: how far the confidence of a classifier is from its accuracy; and when an accuracy says little.

Shapes: N predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BINS = 15
ENOUGH = 100
"""Predictions from which on an accuracy is given without a caution; the standard error of 80 % of 100 is 4 points."""


@dataclass(frozen=True)
class Bin:
    """The predictions whose confidence lies in one interval.

    Parameters
    ----------
    up_to : float
        The interval's upper end, which belongs to it.
    count : int
        Predictions, >= 1.
    confidence : float
        Their mean, 0 to 1.
    accuracy : float
        Fraction of them that is correct, 0 to 1.
    """

    up_to: float
    count: int
    confidence: float
    accuracy: float


def reliability(confidence: ArrayLike, is_correct: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Group predictions by their confidence into bins of equal width.

    Parameters
    ----------
    confidence : float array (N,)
        Probability of the predicted class, 0 to 1.
    is_correct : bool array (N,)
        Whether the predicted class is the label.
    bins : int
        Number of bins, >= 1.

    Returns
    -------
    list of Bin
        Those that are not empty, in ascending order.
    """
    scores, correct = np.asarray(confidence, dtype=np.float64), np.asarray(is_correct, dtype=bool)
    index = np.clip(np.ceil(scores * bins).astype(int) - 1, 0, bins - 1)
    filled = []
    for number in range(bins):
        is_in = index == number
        if is_in.any():
            mean, accuracy = float(scores[is_in].mean()), float(correct[is_in].mean())
            filled.append(Bin((number + 1) / bins, int(is_in.sum()), mean, accuracy))
    return filled


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error, 0 to 1.

    It is the mean over all predictions of the distance between their bin's accuracy and its mean confidence.

    Parameters
    ----------
    bins : sequence of Bin
        From `reliability`, not empty.

    References
    ----------
    Guo et al. 2017, arXiv 1706.04599, equation 3.
    """
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / total


def caution(split: str, count: int, unit: str) -> str:
    """Say that a split has too few examples to tell models apart; empty if it has enough.

    Parameters
    ----------
    split : str
        For example `dev`.
    count : int
        >= 1.
    unit : str
        One of its examples: `pair`.
    """
    if count >= ENOUGH:
        return ""
    return (
        f"{split} has only {count} {unit}{'s' * (count != 1)}, too few to tell one model from another: "
        f"one {unit} is {100 / count:.1f} points of accuracy."
    )
