"""How sure a classifier is, against how right it is.

Shapes: N predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

BINS = 15


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
        Share of them that is right, 0 to 1.
    """

    up_to: float
    count: int
    confidence: float
    accuracy: float


def reliability(confidence: ArrayLike, is_right: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Sort predictions by their confidence into intervals of equal width.

    Parameters
    ----------
    confidence : float array (N,)
        Probability of the answer that was given, 0 to 1.
    is_right : bool array (N,)
        Whether that answer is the label.
    bins : int
        Intervals, >= 1.

    Returns
    -------
    list of Bin
        Those that are not empty, rising.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(is_right, dtype=bool)
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        own = place == number
        if own.any():
            mean, share = float(sure[own].mean()), float(right[own].mean())
            found.append(Bin((number + 1) / bins, int(own.sum()), mean, share))
    return found


def calibration_error(found: Sequence[Bin]) -> float:
    """Return the expected calibration error, 0 to 1.

    It is the mean over all predictions of the distance between their bin's accuracy and its mean confidence.

    Parameters
    ----------
    found : sequence of Bin
        Of `reliability`, not empty.

    References
    ----------
    Guo et al. 2017, arXiv 1706.04599, equation 3.
    """
    total = sum(one.count for one in found)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in found) / total
