"""How often words stand near each other, and how much more often than by chance.

Shapes: V words, N sequences. Needs scipy (extra `cooccurrence`), imported when a function runs.

References
----------
Levy, Goldberg and Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", TACL 3,
sections 2.1 (positive pointwise mutual information) and 3.1 to 3.3 (window, smoothed context distribution).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTEXT_POWER = 0.75
"""Smooths the distribution of contexts, so that rare ones do not get the highest scores (word2vec's number)."""


def cooccurrence_counts(
    sequences: Sequence[NDArray[np.int32]], words: int, *, window: int, specials: int = 0
) -> Any:
    """Count the pairs of words within a window; a pair at distance d counts 1 / d.

    Parameters
    ----------
    sequences : sequence of int arrays (N,)
        Ids of sentences or documents. No pair spans two of them.
    words : int
        V.
    window : int
        The largest distance, >= 1.
    specials : int
        Ids below this (padding, the unknown word) are in no pair; they keep their positions.

    Returns
    -------
    scipy.sparse.csr_matrix, float32 (V, V)
        Symmetric.
    """
    from scipy import sparse

    ids = np.concatenate([np.zeros(0, np.int32), *sequences])
    owner = np.repeat(
        np.arange(len(sequences), dtype=np.int32), [len(sequence) for sequence in sequences]
    )
    total = sparse.csr_matrix((words, words), dtype=np.float32)
    for distance in range(1, window + 1):
        left, right = ids[:-distance], ids[distance:]
        is_pair = owner[:-distance] == owner[distance:]
        is_pair &= np.minimum(left, right) >= specials
        pairs = (left[is_pair], right[is_pair])
        weights = np.full(len(pairs[0]), 1 / distance, dtype=np.float32)
        total = total + sparse.csr_matrix((weights, pairs), shape=(words, words))
    return total + total.T


def positive_pmi(counts: Any) -> Any:
    """Return the positive pointwise mutual information of words and contexts.

    It is max(0, log p(word, context) / (p(word) p'(context))), where p' is the smoothed distribution of contexts:
    their counts to the power of `CONTEXT_POWER`.

    Parameters
    ----------
    counts : sparse matrix (V, V)
        Rows are words, columns contexts.

    Returns
    -------
    scipy.sparse.csr_matrix, float32 (V, V)
        Positive values only.
    """
    pairs = counts.tocoo()
    of_word = np.asarray(counts.sum(1)).ravel()
    of_context = of_word**CONTEXT_POWER
    of_context /= of_context.sum() or 1.0
    ratio = pairs.data / (of_word[pairs.row] * of_context[pairs.col])
    pairs.data = np.maximum(0.0, np.log(ratio)).astype(np.float32)
    information = pairs.tocsr()
    information.eliminate_zeros()
    return information
