"""Linear models over n-grams: NB-SVM and TF-IDF with logistic regression, fitted by scikit-learn.

N counts reviews, F features, C classes, K fits (1 for two classes, else one per class against the rest).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.text import tokenize_with
from imdb_sentiment.model.base import Classifier, check_classes
from imdb_sentiment.model.ngrams import FeatureCounter, document_frequency
from shared.errors import UserError

FILE = "linear.safetensors"
CHUNK = 2000
"""Reviews that are counted at once, which bounds the memory."""
CONSTANT_SCORE = 20.0
"""Log-odds of a class that all training reviews are of; minus that if none is."""
SHARED_SCALE = 0.05
"""Factor of the sums of groups, the inputs of shared weights: the smaller, the stronger the regularization."""


@dataclass(frozen=True)
class Weights:
    """The parameters of a linear model over counts of n-grams.

    Parameters
    ----------
    scales : float32 array (K, F)
        Factor of each feature before fitting: log-count ratio r (NB-SVM) or inverse document frequency (TF-IDF).
    weights : float32 array (K, F)
    biases : float32 array (K,)
    """

    scales: NDArray[np.float32]
    weights: NDArray[np.float32]
    biases: NDArray[np.float32]

    def probabilities(self, terms: Any) -> NDArray[np.float64]:
        """Return the probabilities (N, C) of reviews given as rows of term frequencies (N, F)."""
        from scipy.special import expit

        fits = zip(self.scales, self.weights, self.biases, strict=True)
        scores = np.stack([unit(terms, s) @ w + b for s, w, b in fits], axis=1)  # w . x + b, (N, K)
        scores = scores.astype(np.float64)
        chances = expit(scores)
        if chances.shape[1] == 1:  # 1 - p would be 0 for a score above 37
            return np.concatenate([expit(-scores), chances], axis=1)
        return chances / chances.sum(1, keepdims=True)


class LinearClassifier(Classifier):
    """Logistic regression over n-grams, scaled, and brought to length 1.

    Parameters
    ----------
    config : TrainConfig
    classes : sequence of str (C,)
    counter : FeatureCounter
    weights : Weights

    References
    ----------
    Wang and Manning 2012, "Baselines and bigrams: simple, good sentiment and topic classification", section 2. Weights
    that features share are ours.
    """

    def __init__(
        self,
        config: TrainConfig,
        classes: Sequence[str],
        counter: FeatureCounter,
        weights: Weights,
    ) -> None:
        self.config, self.classes = config, check_classes(classes)
        self.counter, self.weights = counter, weights

    @property
    def weight_count(self) -> int:
        """Number of trained weights."""
        return int(self.weights.weights.size + self.weights.biases.size)

    def _probabilities(self, texts: list[str]) -> NDArray[np.float64]:
        parts = [np.zeros((0, len(self.classes)))]
        for start in range(0, len(texts), CHUNK):
            counts = self.counter.transform(texts[start : start + CHUNK])
            parts.append(self.weights.probabilities(term_frequency(self.config, counts)))
        return np.concatenate(parts)

    def strongest(
        self, count: int, fit: int = -1
    ) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """Return the n-grams with the strongest effect against and for a class, with their effects.

        A word that is shorter than a prefix has two columns, its own and that of its prefix; their effects are added.

        Parameters
        ----------
        count : int
            N-grams of each direction.
        fit : int
            Which of the K fits. Of two classes the only one is for the last class.
        """
        effect = self.weights.scales[fit] * self.weights.weights[fit]
        order = np.argsort(effect)
        ends = []
        for sign, columns in ((1, order[: 4 * count]), (-1, order[::-1][: 4 * count])):
            total: dict[str, float] = {}
            for column in columns.tolist():
                name = self.counter.name_of(column)
                total[name] = total.get(name, 0.0) + float(effect[column])
            ends.append(sorted(total.items(), key=lambda pair: sign * pair[1])[:count])
        return ends[0], ends[1]

    def save(self, folder: Path) -> None:
        """Write n-grams and weights; nothing in the files is executed when they are read."""
        save_file({**self.counter.save(folder), **asdict(self.weights)}, str(folder / FILE))

    @classmethod
    def load(cls, config: TrainConfig, classes: Sequence[str], folder: Path) -> LinearClassifier:
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
        weights = Weights(arrays["scales"], arrays["weights"], arrays["biases"])
        if counter.features != weights.weights.shape[1]:
            raise UserError(f"{folder}: vocabulary and weights do not fit. Train again.")
        return cls(config, classes, counter, weights)


def make_counter(config: TrainConfig) -> FeatureCounter:
    """Return the counter of a configuration, not yet fitted."""
    return FeatureCounter(
        tokenize_with(config.tokenizer),
        config.ngrams,
        config.min_reviews,
        config.prefix_letters,
        config.word_clusters,
        seed=config.seed,
    )


def fit(
    config: TrainConfig,
    counts: Any,
    targets: NDArray[np.int64],
    classes: int,
    *,
    kinds: NDArray[np.int64],
    folds: NDArray[np.int64],
) -> Weights:
    """Fit a linear model.

    Parameters
    ----------
    config : TrainConfig
    counts : CSR matrix (N, F)
    targets : int64 array (N,)
    classes : int
        C.
    kinds : int64 array (F,)
        Kind of each feature, from 0 on. With `shared_weights`, a feature's weight is the sum of its own and of one that
        all features of its kind share that are in about as many reviews.
    folds : int64 array (N,)
        Fold of each review, from 0 on.
    """
    from scipy import sparse
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    terms = term_frequency(config, counts)
    # Features of one kind whose frequency has the same logarithm to base 2, rounded down, are a group.
    octaves = np.log2(document_frequency(counts)).astype(np.int64)
    groups = kinds * (octaves.max() + 1) + octaves
    scales, weights, biases = [], [], []
    for positive in [1] if classes == 2 else range(classes):
        is_positive = targets == positive
        scales.append(scale_of(config, counts, is_positive))
        if is_positive.all() or not is_positive.any():  # a class that no training review has
            weights.append(np.zeros(counts.shape[1]))
            biases.append(CONSTANT_SCORE if is_positive.all() else -CONSTANT_SCORE)
            continue
        rows = unit(terms, scales[-1])
        if config.shared_weights:
            sums = group_sums(config, counts, is_positive, groups, folds)
            rows = sparse.hstack([rows, SHARED_SCALE * sparse.csr_matrix(sums)], format="csr")
        # A tenth of this tolerance takes a quarter to half longer, the library's default longer still, for the same
        # accuracy.
        regression = LogisticRegression(
            C=config.penalty_inverse,
            solver="liblinear",
            dual=True,
            tol=0.1,
            random_state=config.seed,
        )
        with warnings.catch_warnings():
            # Where a hundred passes are not enough, the accuracy has settled long before.
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(rows, is_positive)
        own, shared = np.split(regression.coef_[0], [counts.shape[1]])
        weights.append(own + SHARED_SCALE * shared[groups] if config.shared_weights else own)
        biases.append(float(regression.intercept_[0]))
    return Weights(*(np.array(part, dtype=np.float32) for part in (scales, weights, biases)))


def term_frequency(config: TrainConfig, counts: Any) -> Any:
    """Return the term frequency of a configuration, a CSR matrix (N, F), of counts: binary, raw, or 1 + log."""
    from scipy import sparse

    if config.term_frequency == "raw":
        return counts
    data = np.ones_like(counts.data)
    if config.term_frequency == "log":
        data += np.log(counts.data)
    return sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)


def scale_of(
    config: TrainConfig, counts: Any, is_positive: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the factor of each feature: log-count ratio (nbsvm) or inverse document frequency (tfidf).

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
    in_reviews = document_frequency(counts)
    if config.model == "tfidf":
        # Smoothed as in scikit-learn: ln((1 + N) / (1 + df)) + 1.
        return (np.log((1 + counts.shape[0]) / (1 + in_reviews)) + 1).astype(np.float32)
    positive = document_frequency(counts[is_positive])
    return log_count_ratio(config, positive, in_reviews - positive)


def log_count_ratio(
    config: TrainConfig, positive: NDArray[np.int64], negative: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return r (F,) of the numbers of positive and of negative reviews that have each feature (F,)."""
    # Wang and Manning 2012, section 2.1: p = alpha + sum of f of the positive, q of the negative, f binarized.
    p, q = config.smoothing + positive, config.smoothing + negative
    return np.log((p / p.sum()) / (q / q.sum())).astype(np.float32)


def group_sums(
    config: TrainConfig,
    counts: Any,
    is_positive: NDArray[np.bool_],
    groups: NDArray[np.int64],
    folds: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return the sum of each group's inputs, as NB-SVM has them, with ratios of reviews in other folds.

    By ratios of its own fold a rare feature would tell the label of each review that has it.

    Parameters
    ----------
    config : TrainConfig
    counts : CSR matrix (N, F)
    is_positive : bool array (N,)
    groups : int64 array (F,)
        Group of each feature, 0 to below G.
    folds : int64 array (N,)

    Returns
    -------
    float32 array (N, G)
    """
    terms, size = term_frequency(config, counts), int(groups.max()) + 1
    in_reviews, positive = document_frequency(counts), document_frequency(counts[is_positive])
    sums = np.zeros((counts.shape[0], size), dtype=np.float32)
    for fold in np.unique(folds):
        own = folds == fold
        other = in_reviews - document_frequency(counts[own])
        other_positive = positive - document_frequency(counts[own & is_positive])
        rows = unit(terms[own], log_count_ratio(config, other_positive, other - other_positive))
        places = np.repeat(np.arange(own.sum()) * size, np.diff(rows.indptr)) + groups[rows.indices]
        total = np.bincount(places, weights=rows.data, minlength=int(own.sum()) * size)
        sums[own] = total.reshape(-1, size)
    return sums


def unit(terms: Any, scales: NDArray[np.float32]) -> Any:
    """Return term frequencies (N, F) times scales (F,), each row brought to length 1; an empty row stays 0."""
    from scipy import sparse

    data = terms.data * scales[terms.indices]  # f * r, or tf * idf
    scaled = sparse.csr_matrix((data, terms.indices, terms.indptr), shape=terms.shape)
    lengths = np.sqrt(np.add.reduceat(np.append(data * data, 0), scaled.indptr[:-1]))
    sizes = np.diff(scaled.indptr)
    lengths[sizes == 0] = 1  # reduceat gives the next row's first number there
    scaled.data /= np.repeat(np.maximum(lengths, 1e-12), sizes)
    return scaled
