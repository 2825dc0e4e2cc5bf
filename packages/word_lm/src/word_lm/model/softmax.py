"""From a model's output to the probabilities of all words: all at once, or by clusters of rare words. Both are exact.

Shapes: N predictions, H size of the output, E size of a word vector, V words, D_i size of a vector of cluster i.
Words are numbered by falling frequency.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.torch.rounding import even_rows

_ROWS = 1024  # words whose scores are held at a time
_PIECE = 1 << 20  # scores taken at once; as float32, 4 MiB, they fit a processor's cache


class FullSoftmax(nn.Module):
    """One softmax over the whole vocabulary.

    Parameters
    ----------
    size : int
        H.
    vocabulary_size : int
        V.
    tied : float tensor (V, E), optional
        The input embedding, to be used as output rows; outputs are projected to E first if H differs.

    References
    ----------
    Press and Wolf 2017, arXiv 1608.05859 (tying).
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
        """Set the biases so that without learning each word is as likely as it is frequent; counts are (V,)."""
        self.bias.copy_(_log_shares(counts))

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities, float32 (N, V)."""
        return F.log_softmax(self._scores(hidden).float(), dim=-1)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood of each target, float32 (N,)."""
        rows = max(1, _PIECE // len(self.weight))
        parts = zip(hidden.split(rows), targets.split(rows), strict=True)
        return torch.cat(
            [F.cross_entropy(self._scores(h).float(), t, reduction="none") for h, t in parts]
        )

    def total_nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of `nll`, in a way made for training: scores are never held all at once."""
        return total_nll(self.project(hidden), self.weight, self.bias, targets)

    def _scores(self, hidden: Tensor) -> Tensor:
        return F.linear(self.project(hidden), self.weight, self.bias)


def total_nll(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the cross-entropies of scores `hidden @ weight.T + bias`, float32 ().

    Parameters
    ----------
    hidden : float tensor (M, E)
        M >= N. Rows after the first N count for nothing.
    weight : float tensor (V, E)
    bias : float tensor (V,)
    targets : int64 tensor (N,)
    """
    kind = hidden.device.type
    is_mixed = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if is_mixed else hidden.dtype
    return _TotalNll.apply(hidden, weight, bias, targets, dtype)


class _TotalNll(torch.autograd.Function):
    """Sum of the cross-entropies of a linear layer's scores; gradients are computed on the way.

    The scores of 1,000 words are 130 MB, and log-softmax, loss and backward each go through them several times. Here
    the gradient (probabilities minus one-hot) is written over them, in pieces that stay in the cache, so they are
    gone through once between three matrix products. That is possible since the gradient of a sum is known before
    backward, up to a factor.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype
    ) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            rows, words, added = hidden.to(dtype), weight.to(dtype), bias.float()
            d_hidden, d_bias = torch.empty_like(rows), torch.zeros_like(bias)
            d_weight = None
            total = torch.zeros((), dtype=torch.float32, device=hidden.device)
            count = max(1, _PIECE // len(weight))
            for start in range(0, len(rows), _ROWS):
                part = rows[start : start + _ROWS]
                scores = part @ words.t()  # (n, V)
                wanted = targets[start : start + _ROWS, None]
                scores[len(wanted) :] = 0  # what gives these rows no gradient
                pieces = scores[: len(wanted)].split(count)
                for piece, own in zip(pieces, wanted.split(count), strict=True):
                    exact = piece.float().add_(added)
                    error = exact.softmax(1)
                    # The norm out of the largest probability, which cannot underflow; logsumexp takes three times
                    # as long.
                    norm = exact.amax(1, keepdim=True) - error.amax(1, keepdim=True).log()
                    total += (norm - exact.gather(1, own)).sum()
                    error.scatter_add_(1, own, error.new_full(own.shape, -1.0))
                    d_bias += error.sum(0)
                    piece.copy_(error)
                torch.mm(scores, words, out=d_hidden[start : start + _ROWS])
                product = scores.t() @ part
                d_weight = product.to(weight.dtype) if d_weight is None else d_weight.add_(product)
        if d_weight is None:  # a batch may have no word of a cluster
            d_weight = torch.zeros_like(weight)
        ctx.save_for_backward(d_hidden.to(hidden.dtype), d_weight, d_bias)
        return total

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> Any:  # type: ignore[override]
        gradients = ctx.saved_tensors
        if factor.device.type != "cpu" or float(factor) != 1:
            gradients = [factor.to(gradient.dtype) * gradient for gradient in gradients]
        return *gradients, None, None


class AdaptiveSoftmax(nn.Module):
    """A softmax over frequent words and clusters, and one within each cluster.

    The first cluster's words have full vectors; those of cluster i have D_i = E / divisor ** i.

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
        Whose rows are used as output rows.

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
        self.reduce = nn.ModuleList(nn.Linear(width, small, bias=False) for small in sizes[1:])
        if tied is None:
            counts = [high - low for low, high in self.pairs()]
            made = zip(counts, sizes, strict=True)
            rows = [nn.Parameter(torch.empty(count, small)) for count, small in made]
            for table in rows:
                nn.init.uniform_(table, -0.1, 0.1)
        else:
            rows = list(tied.tables)
        self.rows = nn.ParameterList(rows)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(len(table))) for table in rows)

    def pairs(self) -> list[tuple[int, int]]:
        """Return (first word, word after the last) of each cluster."""
        return list(zip(self.bounds[:-1], self.bounds[1:], strict=True))

    @torch.no_grad()
    def start_from_counts(self, counts: Tensor) -> None:
        """Set the biases so that without learning each word is as likely as it is frequent; counts are (V,)."""
        logs = _log_shares(counts)
        parts = [logs[low:high] for low, high in self.pairs()]
        for bias, part in zip(self.biases, parts, strict=True):
            bias.copy_(part)
        if self.clusters is not None:
            self.clusters.bias.copy_(torch.stack([part.logsumexp(0) for part in parts[1:]]))

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities, float32 (N, V)."""
        hidden = self.project(hidden)
        head = F.log_softmax(self._head(hidden), dim=-1)
        parts = [head[:, : self.bounds[1]]]
        for place in range(1, len(self.bounds) - 1):
            within = F.log_softmax(self._tail(hidden, place), dim=-1)
            parts.append(head[:, self.bounds[1] + place - 1, None] + within)
        return torch.cat(parts, dim=1)

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood of each target, float32 (N,)."""
        hidden = self.project(hidden)
        choice, inner = targets, torch.zeros(len(targets), device=hidden.device)
        for place, where in self._members(targets):
            choice = choice.index_fill(0, where, self.bounds[1] + place - 1)
            scores, wanted = self._tail(hidden[where], place), targets[where] - self.bounds[place]
            inner = inner.index_add(0, where, F.cross_entropy(scores, wanted, reduction="none"))
        return inner + F.cross_entropy(self._head(hidden), choice, reduction="none")

    def total_nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of `nll`, in a way made for training."""
        hidden = self.project(hidden)
        choice, total = targets, hidden.new_zeros((), dtype=torch.float32)
        for place, where in self._members(targets):
            choice = choice.index_fill(0, where, self.bounds[1] + place - 1)
            # Also where a batch has none of the cluster's words: every weight gets a gradient, which several processes
            # expect of each other.
            small = self.reduce[place - 1](hidden[even_rows(where)])
            inner = targets[where] - self.bounds[place]
            total = total + total_nll(small, self.rows[place], self.biases[place], inner)
        weight, bias = self.rows[0], self.biases[0]
        if self.clusters is not None:
            weight = torch.cat([weight, self.clusters.weight])
            bias = torch.cat([bias, self.clusters.bias])
        return total + total_nll(hidden, weight, bias, choice)

    def _members(self, targets: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield the number of each cluster of rare words, and where the targets (N,) are of it."""
        for place, (low, high) in enumerate(self.pairs()[1:], start=1):
            yield place, ((targets >= low) & (targets < high)).nonzero().squeeze(1)

    def _head(self, hidden: Tensor) -> Tensor:
        words = F.linear(hidden, self.rows[0], self.biases[0])
        if self.clusters is None:
            return words.float()
        return torch.cat([words, self.clusters(hidden)], dim=1).float()

    def _tail(self, hidden: Tensor, place: int) -> Tensor:
        return F.linear(
            self.reduce[place - 1](hidden), self.rows[place], self.biases[place]
        ).float()


class AdaptiveEmbedding(nn.Module):
    """Word vectors in clusters: the rarer, the smaller, each brought to size E by a matrix.

    Parameters
    ----------
    vocabulary_size : int
        V.
    size : int
        E.
    cutoffs : sequence of int
        As for `AdaptiveSoftmax`.
    divisor : float
    reach : float
        Vectors begin at random numbers up to this.

    References
    ----------
    Baevski and Auli 2019, arXiv 1809.10853.
    """

    def __init__(
        self,
        vocabulary_size: int,
        size: int,
        cutoffs: Sequence[int],
        divisor: float,
        reach: float = 0.1,
    ) -> None:
        super().__init__()
        self.bounds = (0, *cutoffs, vocabulary_size)
        self.size = size
        sizes = cluster_sizes(size, len(cutoffs) + 1, divisor)
        counts = [b - a for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]
        self.tables = nn.ParameterList(
            nn.Parameter(torch.empty(count, small))
            for count, small in zip(counts, sizes, strict=True)
        )
        self.expand = nn.ModuleList(nn.Linear(small, size, bias=False) for small in sizes[1:])
        for table in self.tables:
            nn.init.uniform_(table, -reach, reach)

    def forward(self, ids: Tensor) -> Tensor:
        """Return vectors (..., E) of ids (...)."""
        flat = ids.flatten()
        vectors = F.embedding(flat.clamp(max=self.bounds[1] - 1), self.tables[0])
        for place, expand in enumerate(self.expand, start=1):
            low, high = self.bounds[place], self.bounds[place + 1]
            where = ((flat >= low) & (flat < high)).nonzero().squeeze(1)
            own = flat[where] - low
            # Elsewhere nothing is bfloat16, and export takes no condition on a size.
            if self.training:
                rare = expand(F.embedding(even_rows(own), self.tables[place]))[: len(own)]
            else:
                rare = expand(F.embedding(own, self.tables[place]))
            vectors = vectors.index_copy(0, where, rare.to(vectors.dtype))
        return vectors.view(*ids.shape, self.size)


def _log_shares(counts: Tensor) -> Tensor:
    """Return the logarithm of each word's share; half an occurrence is added to each, so that none is impossible."""
    smoothed = counts.double() + 0.5
    return (smoothed / smoothed.sum()).log()


def cluster_sizes(size: int, clusters: int, divisor: float) -> list[int]:
    """Return the vector size of each cluster, the first's being `size`; none is below 1."""
    return [max(1, int(size / divisor**place)) for place in range(clusters)]
