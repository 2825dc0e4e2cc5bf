"""From hidden states to the probabilities of all words: a full softmax, or one by clusters. Both are exact.

Shapes: N predictions, H size of a hidden state, E size of a word vector, V words, D_i size of a vector of cluster i.
Words are numbered by falling frequency.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.torch.cpu import pad_rows
from word_lm.model.cross_entropy import total_nll
from word_lm.model.embedding import AdaptiveEmbedding, cluster_sizes, positions_by_cluster

_SCORES = 1 << 22  # scores held at once while measuring: 127 rows of 33,000 words, 16 MiB


class FullSoftmax(nn.Module):
    """One softmax over the whole vocabulary: p(w) = exp(z_w) / sum over v of exp(z_v), with z = W h + b.

    Parameters
    ----------
    size : int
        H.
    vocabulary_size : int
        V.
    tied : float tensor (V, E), optional
        The input embedding, used as W; hidden states are projected to E first if H differs.

    References
    ----------
    Press and Wolf 2017, arXiv 1608.05859 (weight tying).
    """

    def __init__(self, size: int, vocabulary_size: int, tied: Tensor | None = None) -> None:
        super().__init__()
        width = size if tied is None else tied.shape[1]
        self.project = nn.Linear(size, width, bias=False) if width != size else nn.Identity()
        if tied is None:
            tied = nn.init.uniform_(nn.Parameter(torch.empty(vocabulary_size, width)), -0.1, 0.1)
        self.weight = tied
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    @torch.no_grad()
    def start_from_counts(self, counts: Tensor) -> None:
        """Set the biases to the log frequencies of the words, so that h = 0 gives unigram probabilities.

        Parameters
        ----------
        counts : int tensor (V,)
        """
        self.bias.copy_(_log_frequencies(counts))

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities, float32 (N, V)."""
        return F.log_softmax(self._scores(hidden).float(), dim=-1)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood of each target, float32 (N,)."""
        rows = max(1, _SCORES // len(self.weight))
        parts = zip(hidden.split(rows), targets.split(rows), strict=True)
        return torch.cat(
            [F.cross_entropy(self._scores(h).float(), t, reduction="none") for h, t in parts]
        )

    def total_nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of `nll` for training; the scores of all words are never held at once."""
        return total_nll(self.project(hidden), self.weight, self.bias, targets)

    def _scores(self, hidden: Tensor) -> Tensor:
        return F.linear(self.project(hidden), self.weight, self.bias)  # z, (N, V)


class AdaptiveSoftmax(nn.Module):
    """A softmax over frequent words and clusters, and one within each cluster of rare words.

    p(w) = p(w | h) for a frequent word, p(cluster i | h) * p(w | cluster i, h) for a rare one. Frequent words have full
    vectors; those of cluster i have D_i = E / divisor ** i.

    Parameters
    ----------
    size : int
        H.
    vocabulary_size : int
        V.
    cutoffs : sequence of int
        First word of each cluster of rare words, rising, each from 1 to V - 1.
    divisor : float
        At least 1.
    tied : AdaptiveEmbedding, optional
        Its rows are used as output rows.

    References
    ----------
    Grave et al. 2017, arXiv 1609.04309; Baevski and Auli 2019, arXiv 1809.10853 (tying).
    """

    def __init__(
        self,
        size: int,
        vocabulary_size: int,
        cutoffs: Sequence[int],
        divisor: float,
        tied: AdaptiveEmbedding | None = None,
    ) -> None:
        super().__init__()
        self.bounds = (0, *cutoffs, vocabulary_size)
        width = size if tied is None else tied.tables[0].shape[1]
        sizes = cluster_sizes(width, len(cutoffs) + 1, divisor)
        self.project = nn.Linear(size, width, bias=False) if width != size else nn.Identity()
        self.clusters = nn.Linear(width, len(cutoffs)) if cutoffs else None
        self.reduce = nn.ModuleList(nn.Linear(width, narrow, bias=False) for narrow in sizes[1:])
        if tied is None:
            counts = [high - low for low, high in pairwise(self.bounds)]
            rows = [
                nn.Parameter(torch.empty(count, narrow))
                for count, narrow in zip(counts, sizes, strict=True)
            ]
            for table in rows:
                nn.init.uniform_(table, -0.1, 0.1)
        else:
            rows = list(tied.tables)
        self.rows = nn.ParameterList(rows)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(len(table))) for table in rows)

    @torch.no_grad()
    def start_from_counts(self, counts: Tensor) -> None:
        """Set the biases to the log frequencies of words and clusters, so that h = 0 gives unigram probabilities.

        Parameters
        ----------
        counts : int tensor (V,)
        """
        logs = _log_frequencies(counts)
        parts = [logs[low:high] for low, high in pairwise(self.bounds)]
        for bias, part in zip(self.biases, parts, strict=True):
            bias.copy_(part)
        if self.clusters is not None:
            self.clusters.bias.copy_(torch.stack([part.logsumexp(0) for part in parts[1:]]))

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities, float32 (N, V)."""
        hidden = self.project(hidden)
        head = F.log_softmax(self._head(hidden), dim=-1)  # frequent words, then clusters
        parts = [head[:, : self.bounds[1]]]
        for cluster in range(1, len(self.bounds) - 1):
            # log p(w) = log p(cluster | h) + log p(w | cluster, h)
            within = F.log_softmax(self._tail(hidden, cluster), dim=-1)
            parts.append(head[:, self.bounds[1] + cluster - 1, None] + within)
        return torch.cat(parts, dim=1)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood of each target, float32 (N,)."""
        hidden = self.project(hidden)
        choice, inner = targets, torch.zeros(len(targets), device=hidden.device)
        for cluster, where in enumerate(positions_by_cluster(targets, self.bounds), start=1):
            choice = choice.index_fill(0, where, self.bounds[1] + cluster - 1)
            scores = self._tail(hidden[pad_rows(where)], cluster)[: len(where)]
            within = F.cross_entropy(
                scores, targets[where] - self.bounds[cluster], reduction="none"
            )
            inner = inner.index_add(0, where, within)  # - log p(w | cluster, h)
        return inner + F.cross_entropy(self._head(hidden), choice, reduction="none")

    def total_nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of `nll` for training."""
        hidden = self.project(hidden)
        choice, total = targets, hidden.new_zeros((), dtype=torch.float32)
        for cluster, where in enumerate(positions_by_cluster(targets, self.bounds), start=1):
            choice = choice.index_fill(0, where, self.bounds[1] + cluster - 1)
            # Also where a batch has none of the cluster's words: every weight gets a gradient, which several processes
            # expect of each other.
            narrow = self.reduce[cluster - 1](hidden[pad_rows(where)])  # (n, D_i)
            inner = targets[where] - self.bounds[cluster]
            total = total + total_nll(narrow, self.rows[cluster], self.biases[cluster], inner)
        weight, bias = self.rows[0], self.biases[0]
        if self.clusters is not None:
            weight = torch.cat([weight, self.clusters.weight])
            bias = torch.cat([bias, self.clusters.bias])
        return total + total_nll(hidden, weight, bias, choice)

    def _head(self, hidden: Tensor) -> Tensor:
        """Return the scores of frequent words and clusters."""
        words = F.linear(hidden, self.rows[0], self.biases[0])
        if self.clusters is None:
            return words.float()
        return torch.cat([words, self.clusters(hidden)], dim=1).float()

    def _tail(self, hidden: Tensor, cluster: int) -> Tensor:
        """Return the scores of the words of a cluster."""
        narrow = self.reduce[cluster - 1](hidden)
        return F.linear(narrow, self.rows[cluster], self.biases[cluster]).float()


def _log_frequencies(counts: Tensor) -> Tensor:
    """Return each word's log relative frequency; half an occurrence is added to each, so that none is impossible."""
    smoothed = counts.double() + 0.5
    return (smoothed / smoothed.sum()).log()
