"""Word vectors by cluster: full size for frequent words, smaller and projected up for rare ones.

Shapes: V words, numbered by falling frequency, E size of a word vector, D_i size of a vector of cluster i, N ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.torch.cpu import pad_rows


class AdaptiveEmbedding(nn.Module):
    """Adaptive input representations: the rarer the cluster, the smaller its vectors, each projected to size E.

    Parameters
    ----------
    vocabulary_size : int
        V.
    size : int
        E.
    cutoffs : sequence of int
        First word of each cluster of rare words, rising, each from 1 to V - 1.
    divisor : float
        Cluster i has vectors of size D_i = E / divisor ** i; at least 1.
    init_range : float
        Vectors are initialized uniformly between -init_range and init_range.

    References
    ----------
    Baevski and Auli 2019, arXiv 1809.10853, section 3.
    """

    def __init__(
        self,
        vocabulary_size: int,
        size: int,
        cutoffs: Sequence[int],
        divisor: float,
        init_range: float = 0.1,
    ) -> None:
        super().__init__()
        self.bounds = (0, *cutoffs, vocabulary_size)
        self.size = size
        sizes = cluster_sizes(size, len(cutoffs) + 1, divisor)
        counts = [high - low for low, high in pairwise(self.bounds)]
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(count, narrow))
            for count, narrow in zip(counts, sizes, strict=True)
        )
        self.expand = nn.ModuleList(nn.Linear(narrow, size, bias=False) for narrow in sizes[1:])
        for table in self.tables:
            nn.init.uniform_(table, -init_range, init_range)

    def forward(self, ids: Tensor) -> Tensor:
        """Return vectors (..., E) of ids (...)."""
        flat = ids.flatten()  # (N,)
        vectors = F.embedding(flat.clamp(max=self.bounds[1] - 1), self.tables[0])  # (N, E)
        members = positions_by_cluster(flat, self.bounds)
        for cluster, (expand, where) in enumerate(zip(self.expand, members, strict=True), start=1):
            rows = flat[where] - self.bounds[cluster]
            # In training only: elsewhere nothing is bfloat16, and the ONNX exporter takes no condition on a size.
            if self.training:
                rare = expand(F.embedding(pad_rows(rows), self.tables[cluster]))[: len(rows)]
            else:
                rare = expand(F.embedding(rows, self.tables[cluster]))  # (n, D_i) to (n, E)
            vectors = vectors.index_copy(0, where, rare.to(vectors.dtype))
        return vectors.view(*ids.shape, self.size)


def positions_by_cluster(ids: Tensor, bounds: Sequence[int]) -> list[Tensor]:
    """Return, for each cluster of rare words, the rising positions at which ids (N,) belong to it.

    Parameters
    ----------
    ids : int64 tensor (N,)
    bounds : sequence of int
        First word of each cluster, then V. The first cluster, of frequent words, is left out of the result.
    """
    if torch.compiler.is_compiling():  # an exported graph has no lengths that depend on values
        clusters = list(pairwise(bounds))[1:]
        return [((ids >= low) & (ids < high)).nonzero().squeeze(1) for low, high in clusters]
    # One transfer of all counts to the host, where `nonzero` would make a GPU wait once for each cluster.
    cluster = torch.bucketize(ids, torch.tensor(bounds[1:-1], device=ids.device), right=True)
    order = cluster.argsort(stable=True)
    counts = torch.bincount(cluster, minlength=len(bounds) - 1).tolist()
    return list(order.split(counts))[1:]


def cluster_sizes(size: int, clusters: int, divisor: float) -> list[int]:
    """Return the vector size of each cluster: size / divisor ** i, at least 1."""
    return [max(1, int(size / divisor**cluster)) for cluster in range(clusters)]
