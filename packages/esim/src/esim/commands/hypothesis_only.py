"""What can be told from the hypothesis alone: naive Bayes on its words and pairs of words.

SNLI's annotators wrote `nobody` and `sleeping` for contradictions, so part of the labels shows without any premise. A
model's accuracy is to be read against this figure.

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
    """Naive Bayes over the words of hypotheses and their neighbours.

    Parameters
    ----------
    pairs : Pairs
        To learn from.
    """

    def __init__(self, pairs: Pairs) -> None:
        counts: dict[int, NDArray[np.float64]] = {}
        for sentence, label in zip(pairs.hypotheses, pairs.labels.tolist(), strict=True):
            for feature in set(_features(sentence)):
                counts.setdefault(feature, np.full(len(LABELS), SMOOTHING))[label] += 1
        pairs_of = np.bincount(pairs.labels, minlength=len(LABELS)) + 2 * SMOOTHING
        self._prior = np.log(pairs_of / pairs_of.sum())
        self._chances = {feature: np.log(count / pairs_of) for feature, count in counts.items()}

    def predict(self, pairs: Pairs) -> NDArray[np.int64]:
        """Return the likeliest label of each pair (N,); features that were never met say nothing."""
        found = np.empty(len(pairs), dtype=np.int64)
        for number, sentence in enumerate(pairs.hypotheses):
            known = (self._chances.get(feature) for feature in set(_features(sentence)))
            found[number] = (self._prior + sum(c for c in known if c is not None)).argmax()
        return found

    def accuracy(self, pairs: Pairs) -> float:
        """Return the share of pairs that are told right, 0 to 1."""
        return float((self.predict(pairs) == pairs.labels).mean())


def _features(sentence: NDArray[np.int32]) -> Iterator[int]:
    """Yield a number for each word and each pair of neighbours."""
    words = [int(word) + 1 for word in sentence]
    yield from words
    for first, second in zip([0, *words], [*words, 0], strict=True):
        yield (first + 1) << 32 | second
