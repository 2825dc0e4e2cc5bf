"""Measuring: figures of a model on reviews, and the verb `evaluate`.

N counts reviews, C classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.dataset import RATINGS, Reviews, find, read_split, validation_mask

SMALLEST = 1e-12


def read(data: str | None, split: str, config: TrainConfig) -> Reviews:
    """Return the reviews of a split; `valid` is taken out of train as in training.

    Raises
    ------
    UserError
        As for `data.read_split`.
    """
    folder, _ = find(data)
    if split == "test":
        return read_split(folder, "test")
    reviews = read_split(folder, "train")
    is_valid = validation_mask(reviews, config.valid_share)
    return reviews.take(np.flatnonzero(is_valid if split == "valid" else ~is_valid))


def measure(
    chances: NDArray[np.float64], reviews: Reviews, config: TrainConfig
) -> dict[str, float]:
    """Return the figures of predictions.

    Parameters
    ----------
    chances : float64 array (N, C)
    reviews : Reviews
    config : TrainConfig
        Tells the task.

    Returns
    -------
    dict
        `accuracy`, `loss` (nats a review), `reviews`; for two classes the accuracy of each; for ratings also
        `polarity_accuracy` and `mean_absolute_error` (stars) of the expected rating.
    """
    targets = reviews.targets(config.task)
    right = chances.argmax(1) == targets
    own = np.maximum(chances[np.arange(len(targets)), targets], SMALLEST)
    figures = {
        "accuracy": float(right.mean()),
        "loss": float(-np.log(own).mean()),
        "reviews": len(reviews),
    }
    if config.task == "polarity":
        for label, name in enumerate(("negative", "positive")):
            has = targets == label
            figures[f"{name}_accuracy"] = float(right[has].mean()) if has.any() else 0.0
        return figures
    is_positive = positive_chance(chances) > 0.5
    figures["polarity_accuracy"] = float((is_positive == (reviews.labels == 1)).mean())
    expected = chances @ np.array(RATINGS)
    figures["mean_absolute_error"] = float(np.abs(expected - reviews.ratings).mean())
    return figures


def positive_chance(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability (N,) that a review is positive, from those of two classes or of the ratings."""
    if chances.shape[1] == 2:
        return chances[:, 1]
    return chances[:, np.array(RATINGS) > 5].sum(1)


def figures_for_summary(name: str, figures: dict[str, float]) -> dict[str, float]:
    """Return figures under the names that `summary.json` has: `test_accuracy` and so on."""
    return {f"{name}_{key}": value for key, value in figures.items()}


def run_size(path: Path) -> int:
    """Return the bytes of what a run's model needs for use."""
    from shared.runs.run_directory import RunDirectory

    best = RunDirectory.read(path, task="imdb-sentiment").checkpoints.best()
    if best is None:
        return 0
    unused = {"training.pt", "trained.safetensors", "manifest.json"}
    files = [f for f in best.folder.iterdir() if f.name not in unused and f.suffix != ".pt"]
    return sum(file.stat().st_size for file in files)
