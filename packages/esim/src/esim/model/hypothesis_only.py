"""Naive Bayes on the hypothesis alone: how much of the label shows without any premise.

SNLI's annotators wrote `nobody` and `sleeping` for contradictions. Read a model's accuracy against this.

References
----------
Gururangan et al. 2018, arXiv 1803.02324: 67 % on SNLI's test pairs with fastText trained on all of train.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from esim.data.dataset import Pairs
from esim.data.labels import LABELS

SMOOTHING = 0.5
"""Added to every count."""


class HypothesisOnly:
    """Naive Bayes over the unigrams and bigrams of hypotheses.

    Parameters
    ----------
    pairs : Pairs
        Training pairs.
    """

    def __init__(self, pairs: Pairs) -> None:
        counts: dict[int, NDArray[np.float64]] = {}
        for sentence, label in zip(pairs.hypotheses, pairs.labels.tolist(), strict=True):
            for feature in set(_features(sentence)):
                counts.setdefault(feature, np.full(len(LABELS), SMOOTHING))[label] += 1
        totals = np.bincount(pairs.labels, minlength=len(LABELS)) + 2 * SMOOTHING
        self._log_prior = np.log(totals / totals.sum())
        self._log_likelihoods = {
            feature: np.log(count / totals) for feature, count in counts.items()
        }

    def predict(self, pairs: Pairs) -> NDArray[np.int64]:
        """Return the most probable label of each pair (N,); features not seen in training are ignored."""
        labels = np.empty(len(pairs), dtype=np.int64)
        for number, sentence in enumerate(pairs.hypotheses):
            seen = (self._log_likelihoods.get(feature) for feature in set(_features(sentence)))
            labels[number] = (self._log_prior + sum(c for c in seen if c is not None)).argmax()
        return labels

    def accuracy(self, pairs: Pairs) -> float:
        """Return the fraction of pairs whose label is predicted, 0 to 1."""
        return float((self.predict(pairs) == pairs.labels).mean())


def _features(sentence: NDArray[np.int32]) -> Iterator[int]:
    """Yield a number for each word and each bigram."""
    words = [int(word) + 1 for word in sentence]
    yield from words
    for first, second in zip([0, *words], [*words, 0], strict=True):
        yield (first + 1) << 32 | second
