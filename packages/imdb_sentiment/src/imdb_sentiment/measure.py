"""Every figure that is reported of a model, from its probabilities.

N counts reviews, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.reviews import RATINGS, Reviews
from shared.calibration import calibration_error, reliability

SMALLEST = np.finfo(np.float64).tiny
"""Least probability in a loss, 708 nats, so that it stays finite; a softmax in float64 reaches it."""


def measure(
    probabilities: NDArray[np.float64],
    reviews: Reviews,
    config: TrainConfig,
) -> dict[str, Any]:
    """Return the figures of predictions.

    Parameters
    ----------
    probabilities : float64 array (N, C)
    reviews : Reviews
        At least one.
    config : TrainConfig
        Tells the task.

    Returns
    -------
    dict
        `accuracy`, `loss` (nats per review), `calibration_error` (0 to 1), `reviews`, `confusion` (rows: targets,
        columns: predictions); for classes the accuracy of each that occurs; for ratings also `polarity_accuracy` and
        `mean_absolute_error` (stars) of the expected rating.
    """
    targets = reviews.targets(config.task)
    is_right = probabilities.argmax(1) == targets
    of_target = np.maximum(probabilities[np.arange(len(targets)), targets], SMALLEST)
    count = probabilities.shape[1]
    pairs = np.bincount(targets * count + probabilities.argmax(1), minlength=count * count)
    figures: dict[str, Any] = {
        "accuracy": float(is_right.mean()),
        "loss": float(-np.log(of_target).mean()),
        "calibration_error": calibration_error(reliability(probabilities.max(1), is_right)),
        "reviews": len(reviews),
        "confusion": pairs.reshape(count, count).tolist(),
    }
    if config.task == "polarity":
        for label, name in enumerate(reviews.classes):
            is_own = targets == label
            if is_own.any():  # a class that does not occur has no accuracy
                figures[f"{name}_accuracy"] = float(is_right[is_own].mean())
        return figures
    is_positive = positive_probability(probabilities) > 0.5
    figures["polarity_accuracy"] = float((is_positive == (reviews.labels == 1)).mean())
    expected = probabilities @ np.array(RATINGS)
    figures["mean_absolute_error"] = float(np.abs(expected - reviews.ratings).mean())
    return figures


def of_labels(probabilities: NDArray[np.float64], config: TrainConfig) -> NDArray[np.float64]:
    """Return the probabilities of the labels: as they are, or (N, 2) of those of the ratings (N, 8)."""
    if config.task == "polarity":
        return probabilities
    positive = positive_probability(probabilities)
    return np.stack([1 - positive, positive], axis=1)


def positive_probability(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability (N,) that a review is positive, from those of two classes or of the ratings."""
    if probabilities.shape[1] == 2:
        return probabilities[:, 1]
    return probabilities[:, np.array(RATINGS) > 5].sum(1)


def figures_for_summary(split: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures under the names that `summary.json` has: `test_accuracy` and so on."""
    return {f"{split}_{key}": value for key, value in figures.items()}
