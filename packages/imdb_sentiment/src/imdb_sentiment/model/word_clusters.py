"""Clusters of words with similar neighbors: "travesty" and "debacle" share n-grams, though each is rare.

Shapes: V words, N reviews, T tokens of a review.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.data.cooccurrence import vectors_of

DIMENSION = 100
"""Numbers of the word vectors that are clustered."""
LEAST = 5
"""Reviews with a word that is clustered; the neighbors of a rarer one say too little."""
WORDS = 5
"""Least mean number of words in a cluster; where there are few words, there are fewer clusters."""


def cluster_words(
    sequences: Sequence[NDArray[np.int64]],
    words: int,
    clusters: int,
    *,
    min_reviews: int = 1,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Cluster words by k-means over their vectors, each of length 1.

    Parameters
    ----------
    sequences : sequence of int arrays (N,)
        Reviews as numbers of words; -1 is an unknown one.
    words : int
        V.
    clusters : int
        Most clusters, >= 1.
    min_reviews : int
        A word in fewer of these reviews, or in fewer than `LEAST`, is not clustered.
    seed : int

    Returns
    -------
    int64 array (V,)
        The word of each word's cluster that is in most reviews; for one that is not clustered, itself.

    References
    ----------
    Lin and Wu 2009, "Phrase clustering for discriminative learning", section 2 (clusters as features).
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    by_review = np.concatenate([np.zeros(0, dtype=np.int64), *map(np.unique, sequences)])
    in_reviews = np.bincount(by_review[by_review >= 0], minlength=words)
    by_count = np.argsort(-in_reviews, kind="stable")
    frequent = by_count[in_reviews[by_count] >= max(LEAST, min_reviews)]
    cluster_of = np.arange(words)
    count = min(clusters, len(frequent) // WORDS)
    if count < 1:
        return cluster_of
    ids = np.zeros(words + 1, dtype=np.int32)  # 0: rare, or unknown, which is the last, -1
    ids[frequent] = np.arange(1, len(frequent) + 1)
    vectors = vectors_of(
        [ids[own] for own in sequences], len(frequent) + 1, DIMENSION, specials=1, seed=seed
    )[1:]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    # The most frequent words are the first means: drawing them as k-means++ does takes longer than all iterations.
    means = KMeans(count, init=vectors[:count], n_init=1, max_iter=10)
    # Several threads add up in any order, and the last bits would differ.
    with threadpool_limits(1):
        labels = means.fit_predict(vectors)
    # The words come by frequency, so the first of a cluster is its most frequent.
    _, first, cluster = np.unique(labels, return_index=True, return_inverse=True)
    cluster_of[frequent] = frequent[first[cluster]]
    return cluster_of
