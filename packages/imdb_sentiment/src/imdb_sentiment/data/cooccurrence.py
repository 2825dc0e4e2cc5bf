"""Word vectors from the training reviews alone: co-occurrence counts and a singular value decomposition.

Shapes: V words, D numbers in a vector, N reviews, T tokens of a review.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.data.text import Ids
from shared.text.cooccurrence import cooccurrence_counts, positive_pmi

WINDOW = 5
"""Context words to each side; one at distance d counts 1 / d."""
TRUSTED = 40
"""Occurrences at which a word's vector has half of its full length: the neighbors of a rarer one are chance."""
SPREAD = 0.6
"""Root mean square of the numbers of the result, over all words of the reviews as they come."""


def vectors_of(
    sequences: Sequence[Ids], size: int, dimension: int, *, specials: int, seed: int
) -> NDArray[np.float32]:
    """Return word vectors: words with similar neighbors have similar vectors.

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
    Levy, Goldberg and Dagan 2015 (`shared.text.cooccurrence`), section 2.2: U times the root of the singular values.
    Lengths by how often a word occurs are ours; those of word2vec behave the same way.
    """
    from sklearn.utils.extmath import randomized_svd

    pmi = positive_pmi(cooccurrence_counts(sequences, size, window=WINDOW, specials=specials))
    vectors = np.zeros((size, dimension), dtype=np.float32)
    rank = min(dimension, size - 1)
    if pmi.nnz == 0 or rank < 1:
        return vectors
    u, s, _ = randomized_svd(pmi, rank, n_iter=3, random_state=seed)
    vectors[:, :rank] = u * np.sqrt(s)
    vectors[:specials] = 0
    counts = np.bincount(np.concatenate(sequences), minlength=size).astype(np.float32)
    lengths = counts / (counts + TRUSTED)
    vectors *= (lengths / np.maximum(np.linalg.norm(vectors, axis=1), 1e-9))[:, None]
    of_words = counts[specials:] @ np.square(vectors[specials:]).mean(1) / counts[specials:].sum()
    return vectors * np.float32(SPREAD / np.sqrt(of_words))
