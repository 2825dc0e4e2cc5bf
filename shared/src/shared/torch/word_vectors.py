"""Word vectors of a text, in seconds: positive pointwise mutual information, reduced by a truncated SVD.

A network that starts from them knows from its first step which words occur near the same words. No labels are used.
Needs scipy (extra `cooccurrence`).

Shapes: V words, D size of a vector, N sequences.

References
----------
Levy, Goldberg and Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", TACL 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from shared.text.cooccurrence import cooccurrence_counts, positive_pmi


def cooccurrence_vectors(
    sequences: Sequence[NDArray[np.int32]],
    words: int,
    size: int,
    seed: int,
    *,
    window: int,
    deviation: float,
    iterations: int = 4,
) -> NDArray[np.float32]:
    """Return vectors in which words with the same neighbors are similar; their first dimensions matter most.

    Parameters
    ----------
    sequences : sequence of int32 arrays (N,)
        Ids. No pair of neighbors spans two of them.
    words : int
        V. Words that no sequence has get small random vectors.
    size : int
        D. Dimensions beyond the rank of the counts are small and random too.
    seed : int
    window : int
        Words to each side that count as neighbors, weighted by 1 / distance, >= 1.
    deviation : float
        Standard deviation of the numbers, > 0.
    iterations : int
        Subspace iterations of the randomized SVD, >= 0: more are closer to the exact one, and take longer.

    Returns
    -------
    float32 array (V, D)
    """
    vectors = np.random.default_rng(seed).standard_normal((words, size), dtype=np.float32)
    vectors *= deviation
    counts = cooccurrence_counts(sequences, words, window=window)
    information = positive_pmi(counts).tocoo()  # (V, V)
    if not information.nnz:
        return vectors
    matrix = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([information.row, information.col])),
        torch.from_numpy(information.data),
        (words, words),
        check_invariants=False,
    ).coalesce()
    rank = min(size, words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        left, singular, _ = torch.svd_lowrank(matrix, q=rank, niter=iterations)
    # U S^(1/2): Levy et al., section 3.3 (eigenvalue weighting p = 0.5).
    known = (left * singular.sqrt()).numpy().astype(np.float32)  # (V, rank)
    is_known = np.asarray(counts.sum(1)).ravel() > 0
    scale = deviation / max(float(known[is_known].std()), 1e-8)
    vectors[is_known, :rank] = known[is_known] * scale
    return vectors
