"""Word vectors from the training reviews alone: which words stand near which, and a singular value decomposition.

Shapes: V words, D numbers in a vector, N reviews, T tokens of a review.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.data.text import Ids

WINDOW = 5
"""Words to each side that count as near; one at distance d counts 1 / d."""
SMOOTHING = 0.75
"""Power of the contexts' counts, which keeps rare contexts from looking telling."""
TRUSTED = 40
"""Occurrences at which a word's vector has half of its full length: the neighbours of a rarer one are chance."""
SPREAD = 0.6
"""Root mean square of the numbers of the result, over all words of the reviews as they come."""


def vectors_of(
    sequences: Sequence[Ids], size: int, dimension: int, *, specials: int, seed: int
) -> NDArray[np.float32]:
    """Return word vectors, so that words with like neighbours have like vectors.

    Parameters
    ----------
    sequences : sequence of int arrays (N,)
        Reviews as ids.
    size : int
        V.
    dimension : int
        D; where there are fewer words than that, the rest is zero.
    specials : int
        Ids below this (padding, the unknown word) are no words: their rows are zero.
    seed : int
        Of the decomposition.

    Returns
    -------
    float32 array (V, D)

    References
    ----------
    Levy, Goldberg and Dagan 2015, "Improving distributional similarity", sections 2.1, 2.2 and 3: positive pointwise
    mutual information, contexts smoothed, U times the root of the singular values. Lengths by how often a word occurs
    are ours; word2vec's come out alike.
    """
    from sklearn.utils.extmath import randomized_svd

    pmi = _positive_pmi(_near(sequences, size, specials))
    found = np.zeros((size, dimension), dtype=np.float32)
    rank = min(dimension, size - 1)
    if pmi.nnz == 0 or rank < 1:
        return found
    u, s, _ = randomized_svd(pmi, rank, n_iter=3, random_state=seed)
    found[:, :rank] = u * np.sqrt(s)
    found[:specials] = 0
    counts = np.bincount(np.concatenate(sequences), minlength=size).astype(np.float32)
    lengths = counts / (counts + TRUSTED)
    found *= (lengths / np.maximum(np.linalg.norm(found, axis=1), 1e-9))[:, None]
    of_words = counts[specials:] @ np.square(found[specials:]).mean(1) / counts[specials:].sum()
    return found * np.float32(SPREAD / np.sqrt(of_words))


def _near(sequences: Sequence[Ids], size: int, specials: int) -> Any:
    """Return how often words are near each other, a symmetric sparse matrix (V, V)."""
    from scipy import sparse

    lengths = [len(ids) for ids in sequences]
    words = np.concatenate([np.zeros(0, np.int32), *sequences])
    reviews = np.repeat(np.arange(len(sequences), dtype=np.int32), lengths)
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    for distance in range(1, WINDOW + 1):
        left, right = words[:-distance], words[distance:]
        is_pair = (reviews[:-distance] == reviews[distance:]) & (
            np.minimum(left, right) >= specials
        )
        places = (left[is_pair], right[is_pair])
        weight = np.full(len(places[0]), 1 / distance, dtype=np.float32)
        total = total + sparse.csr_matrix((weight, places), shape=(size, size))
    return total + total.T


def _positive_pmi(near: Any) -> Any:
    """Return max(0, log p(word, context) / (p(word) p(context))) of counts (V, V)."""
    counts = near.tocoo()
    of_word = np.asarray(near.sum(1)).ravel()
    of_context = of_word**SMOOTHING
    of_context /= of_context.sum() or 1.0
    ratio = counts.data / (of_word[counts.row] * of_context[counts.col])
    counts.data = np.maximum(0.0, np.log(ratio)).astype(np.float32)
    found = counts.tocsr()
    found.eliminate_zeros()
    return found
