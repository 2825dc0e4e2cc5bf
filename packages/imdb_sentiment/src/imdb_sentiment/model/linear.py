"""Linear models over runs of words: NB-SVM and TF-IDF with logistic regression, fitted by scikit-learn.

N counts reviews, F features, C classes, K fits (1 for two classes, else one per class against the rest).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.dataset import class_count
from imdb_sentiment.data.text import tokenize_with
from imdb_sentiment.model.base import Classifier
from imdb_sentiment.model.ngrams import FeatureCounter
from shared.errors import UserError

FILE = "linear.safetensors"
CHUNK = 2000
"""Reviews that are counted at once; memory for more is not needed."""


class LinearClassifier(Classifier):
    """Weighs which runs of words a review has.

    A review is the vector of the runs it has, each times a weight of its own (`scales`), brought to length 1. For
    NB-SVM that weight is how much likelier the run is in positive reviews, as naive Bayes counts it; for TF-IDF, how
    rare it is. Logistic regression does the rest.

    Parameters
    ----------
    config : TrainConfig
    counter : FeatureCounter
    scales : float32 array (K, F)
    weights : float32 array (K, F)
    biases : float32 array (K,)

    References
    ----------
    Wang and Manning 2012, "Baselines and bigrams", equations 1 to 3.
    """

    def __init__(
        self,
        config: TrainConfig,
        counter: FeatureCounter,
        scales: NDArray[np.float32],
        weights: NDArray[np.float32],
        biases: NDArray[np.float32],
    ) -> None:
        self.config, self.counter = config, counter
        self.scales, self.weights, self.biases = scales, weights, biases

    @property
    def weight_count(self) -> int:
        """How many numbers were learned."""
        return int(self.weights.size + self.biases.size)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each class, (N, C)."""
        parts = [
            self.of_counts(self.counter.transform(texts[start : start + CHUNK]))
            for start in range(0, len(texts), CHUNK)
        ]
        return np.concatenate([np.zeros((0, class_count(self.config.task))), *parts])

    def of_counts(self, counts: Any) -> NDArray[np.float64]:
        """Return the probabilities (N, C) of reviews given as rows of counts (N, F)."""
        pairs = zip(self.scales, self.weights, self.biases, strict=True)
        scores = np.stack([unit(counts, s) @ w + b for s, w, b in pairs], axis=1)  # (N, K)
        chances = 1 / (1 + np.exp(-scores.astype(np.float64)))
        if chances.shape[1] == 1:
            return np.concatenate([1 - chances, chances], axis=1)
        return chances / chances.sum(1, keepdims=True)

    def strongest(self, count: int) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """Return the runs that speak most for the first and for the last class, with their weights."""
        effect = self.scales[-1] * self.weights[-1]
        order = np.argsort(effect)
        name = self.counter.run_of
        low = [(name(int(i)), float(effect[i])) for i in order[:count]]
        return low, [(name(int(i)), float(effect[i])) for i in order[::-1][:count]]

    def save(self, folder: Path) -> None:
        """Write runs and weights; nothing in the files is executed when they are read."""
        arrays = self.counter.save(folder)
        own = {"scales": self.scales, "weights": self.weights, "biases": self.biases}
        save_file({**arrays, **own}, str(folder / FILE))

    @classmethod
    def load(cls, config: TrainConfig, folder: Path) -> LinearClassifier:
        """Read what `save` wrote.

        Raises
        ------
        UserError
            A file is missing or damaged.
        """
        try:
            arrays = load_file(str(folder / FILE))
        except (FileNotFoundError, SafetensorError) as error:
            raise UserError(
                f"{folder / FILE}: cannot be read ({error}). Restore it or train again."
            ) from None
        counter = make_counter(config)
        counter.load(folder, arrays)
        if counter.features != arrays["weights"].shape[1]:
            raise UserError(f"{folder}: vocabulary and weights do not fit. Train again.")
        return cls(config, counter, arrays["scales"], arrays["weights"], arrays["biases"])


def make_counter(config: TrainConfig) -> FeatureCounter:
    """Return the counter that a configuration asks for, which has counted nothing yet."""
    return FeatureCounter(
        tokenize_with(config.tokenizer), config.ngrams, config.min_reviews, config.stem_letters
    )


def fit(
    config: TrainConfig, counter: FeatureCounter, counts: Any, targets: NDArray[np.int64]
) -> LinearClassifier:
    """Fit a linear model.

    Parameters
    ----------
    config : TrainConfig
    counter : FeatureCounter
        That made `counts`. Columns that are too rare in these rows are given no weight.
    counts : CSR matrix (N, F)
    targets : int64 array (N,)
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes = class_count(config.task)
    is_rare = np.asarray(counts.sum(0)).ravel() < config.min_reviews
    found = []
    for positive in [1] if classes == 2 else range(classes):
        is_positive = targets == positive
        scales = scale_of(config, counts, is_positive)
        scales[is_rare] = 0
        if is_positive.all() or not is_positive.any():  # a rating that no training review has
            score = 20.0 if is_positive.all() else -20.0
            found.append((scales, np.zeros(counts.shape[1]), score))
            continue
        regression = LogisticRegression(
            C=config.penalty_inverse, solver="liblinear", dual=True, random_state=config.seed
        )
        with warnings.catch_warnings():
            # liblinear's dual form stops at a number of passes; the accuracy has settled long before.
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(unit(counts, scales), is_positive)
        found.append((scales, regression.coef_[0], float(regression.intercept_[0])))
    scales, weights, biases = (
        np.stack([np.asarray(one[part], dtype=np.float32) for one in found]) for part in range(3)
    )
    return LinearClassifier(config, counter, scales, weights, biases)


def scale_of(
    config: TrainConfig, counts: Any, is_positive: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return each run's weight before fitting: log-count ratio (nbsvm) or inverse document frequency (tfidf).

    Parameters
    ----------
    config : TrainConfig
    counts : CSR matrix (N, F)
    is_positive : bool array (N,)
        Which reviews are of the class that is told from the rest.

    Returns
    -------
    float32 array (F,)
    """
    if config.model == "tfidf":
        in_reviews = np.asarray(counts.sum(0)).ravel()
        return (np.log((1 + counts.shape[0]) / (1 + in_reviews)) + 1).astype(np.float32)
    p = config.smoothing + np.asarray(counts[is_positive].sum(0)).ravel()
    q = config.smoothing + np.asarray(counts[~is_positive].sum(0)).ravel()
    return np.log((p / p.sum()) / (q / q.sum())).astype(np.float32)


def unit(counts: Any, scales: NDArray[np.float32]) -> Any:
    """Return rows of counts (N, F) times scales (F,), each row brought to length 1; an empty row stays 0."""
    from scipy import sparse

    data = counts.data * scales[counts.indices]
    scaled = sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)
    lengths = np.sqrt(np.add.reduceat(np.append(data * data, 0), scaled.indptr[:-1]))
    sizes = np.diff(scaled.indptr)
    lengths[sizes == 0] = 1  # reduceat gives the next row's first number there
    scaled.data /= np.repeat(np.maximum(lengths, 1e-12), sizes)
    return scaled
