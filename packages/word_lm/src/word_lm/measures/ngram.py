"""A Kneser-Ney n-gram model: the baseline for neural models.

Interpolated modified Kneser-Ney (Chen and Goodman 1999) over token ids. `<eos>` and `<unk>` are words like any other,
and n-grams run across line ends, so the model sees the text as the neural models do: one stream.

An n-gram has one key: (index of its first n - 1 words among the sorted (n-1)-grams) * V + last word. So each order is a
sorted int64 array, and counting or looking up 2 million n-grams is a few numpy calls.

Shapes: N tokens of a text, V words of the vocabulary, G distinct n-grams of an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from word_lm.measures.protocols import Evaluation, perplexity

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts of an order whose counts of counts give none (a small text); below 1, 2 and 3, as discounts must be."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length."""

    keys: Ints  # (G,) sorted; history * V + word
    discounted: Floats  # (G,) (count - discount) / total count of the history
    backoff: (
        Floats  # (G of the order below, or 1) interpolation weight of the order below, per history
    )


class KneserNey:
    """An n-gram model with interpolated modified Kneser-Ney smoothing.

    Parameters
    ----------
    ids : int array (N,)
        The training text.
    vocabulary_size : int
        V. Words that the training text lacks get uniform probability.
    order : int
        Length of the longest n-grams, 1 to 5.

    Raises
    ------
    UserError
        The text is shorter than `order`, or an id is not below `vocabulary_size`.

    Notes
    -----
    The longest n-grams have their counts; shorter ones have continuation counts, the number of distinct words before
    them, where the start of the text counts as one more word.

    References
    ----------
    Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling", Computer Speech and
    Language 13, sections 2.7 and 3 (the model, and three discounts from counts of counts).
    """

    def __init__(self, ids: NDArray[Any], vocabulary_size: int, order: int = 5) -> None:
        if not 1 <= order <= 5:
            raise UserError(f"The order is {order}. Expected 1 to 5.")
        words = _checked(ids, vocabulary_size)
        if len(words) < order:
            raise UserError(
                f"The training text has {len(words)} tokens. Expected {order} or more for {order}-grams."
            )
        self.vocabulary_size = vocabulary_size
        self.order = order
        self._orders = _estimate(words, vocabulary_size, order)

    def log_probs(self, ids: NDArray[Any]) -> Floats:
        """Return the log-probability of each token given up to `order` - 1 tokens before it.

        Parameters
        ----------
        ids : int array (N,)

        Returns
        -------
        float64 array (N,)
            In nats. The first token has no context.
        """
        words = _checked(ids, self.vocabulary_size)
        probability = np.full(len(words), 1 / self.vocabulary_size)
        history = np.zeros(len(words), dtype=np.int64)  # index of the words before; -1: never seen
        for order in self._orders:
            indices = _find(order.keys, history, words, self.vocabulary_size)
            # p_n(w | h) = (c(h w) - D) / c(h) + backoff(h) * p_{n-1}(w | h without its first word); without a count
            # of the history, p_{n-1} alone.
            seen = history >= 0
            probability[seen] *= order.backoff[history[seen]]
            known = indices >= 0
            probability[known] += order.discounted[indices[known]]
            history = np.concatenate([[-1], indices[:-1]])  # n-grams that end one word earlier
        return np.log(probability)

    def evaluate(self, ids: NDArray[Any]) -> Evaluation:
        """Measure the perplexity of a text as one column; the first token is not predicted.

        Parameters
        ----------
        ids : int array (N,)

        Raises
        ------
        UserError
            The text has fewer than two tokens.
        """
        if len(ids) < 2:
            raise UserError(f"The text has {len(ids)} tokens. Expected 2 or more.")
        nll = -float(self.log_probs(ids)[1:].sum())
        predicted = len(ids) - 1
        return Evaluation(
            protocol=f"batch-1: one column, modified Kneser-Ney {self.order}-gram",
            perplexity=perplexity(nll, predicted),
            nll=nll,
            predicted=predicted,
            dropped=1,
            cold_starts=1,
        )


def _checked(ids: NDArray[Any], vocabulary_size: int) -> Ints:
    words = np.asarray(ids, dtype=np.int64).reshape(-1)
    if len(words) and not 0 <= words.min() <= words.max() < vocabulary_size:
        raise UserError(
            f"The ids go from {words.min()} to {words.max()}. Expected 0 to {vocabulary_size - 1}: "
            "read the text with the model's own vocabulary."
        )
    return words


def _find(keys: Ints, history: Ints, words: Ints, vocabulary_size: int) -> Ints:
    """Return the index of each n-gram among the sorted keys; -1 where it, or its history, does not occur."""
    wanted = history * vocabulary_size + words
    indices = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((history >= 0) & (keys[indices] == wanted), indices, -1)


def _estimate(words: Ints, vocabulary_size: int, order: int) -> list[_Order]:
    keys_of: list[Ints] = []
    counts_of: list[Ints] = []
    history = np.zeros(len(words), dtype=np.int64)
    shorter = history  # index of the n-gram that starts at each position, for the length before
    for length in range(1, order + 1):
        keys, first, indices, counts = np.unique(
            history * vocabulary_size + words[length - 1 :],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        if length > 1:
            # Continuation counts: each n-gram is one word before the (n-1)-gram that starts one position later.
            counts_of[-1] = np.bincount(shorter[first + 1], minlength=len(keys_of[-1]))
            counts_of[-1][shorter[0]] += 1  # the start of the text is before the first one
        keys_of.append(keys)
        counts_of.append(counts)
        shorter = indices
        history = indices[:-1]  # the n-grams that have a word after them
    orders = []
    for length, (keys, counts) in enumerate(zip(keys_of, counts_of, strict=True), start=1):
        histories = len(keys_of[length - 2]) if length > 1 else 1
        orders.append(_smooth(keys, counts, histories, vocabulary_size))
    return orders


def _smooth(keys: Ints, counts: Ints, histories: int, vocabulary_size: int) -> _Order:
    discount = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]
    history = keys // vocabulary_size
    totals = np.bincount(history, weights=counts, minlength=histories)
    free = np.bincount(history, weights=discount, minlength=histories)
    # A history that no word follows, the end of the text, backs off completely.
    backoff = np.divide(free, totals, out=np.ones(histories), where=totals > 0)
    return _Order(keys, (counts - discount) / totals[history], backoff)


def _discounts(counts: Ints) -> tuple[float, float, float]:
    """Estimate discounts: D_k = k - (k + 1) Y n_{k+1} / n_k with Y = n_1 / (n_1 + 2 n_2), as Chen and Goodman do."""
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].tolist()
    if min(n1, n2, n3) == 0:
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    estimated = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    # Outside these bounds a probability is negative, or none is left for unseen words.
    is_valid = all(0 < discount < k for k, discount in enumerate(estimated, start=1))
    return estimated if is_valid else FALLBACK
