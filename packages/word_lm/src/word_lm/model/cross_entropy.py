"""The sum of the cross-entropies of a linear layer, with its gradient computed in the same pass.

Shapes: N predictions, M >= N rows, E size of a row, V words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ROWS = 1024  # rows whose scores are held at a time
_PIECE = 1 << 20  # scores processed at once on a CPU: as float32, 4 MiB, they fit its cache


def total_nll(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the cross-entropies of the scores `hidden @ weight.T + bias`, float32 ().

    Parameters
    ----------
    hidden : float tensor (M, E)
        Rows after the first N are padding: they add nothing and get no gradient.
    weight : float tensor (V, E)
    bias : float tensor (V,)
    targets : int64 tensor (N,)
    """
    kind = hidden.device.type
    is_mixed = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if is_mixed else hidden.dtype
    return _TotalNll.apply(hidden, weight, bias, targets, dtype)


class _TotalNll(torch.autograd.Function):
    """Sum of the cross-entropies of a linear layer's scores; forward computes the gradients too.

    With scores z = h W^T + b, p = softmax(z) and y the one-hot target:

        loss = logsumexp(z) - z_target      dz = p - y      dh = dz W      dW = dz^T h      db = sum of dz

    The scores of 1,000 words are 130 MB, and log-softmax, loss and backward each go through them several times. Here dz
    overwrites z, in pieces that stay in the cache, so memory is read once between three matrix products. That is
    possible since the gradient of a sum is known before backward, up to a factor.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype
    ) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            rows, words, offset = hidden.to(dtype), weight.to(dtype), bias.float()
            d_hidden, d_bias = torch.empty_like(rows), torch.zeros_like(bias)
            d_weight = None
            total = torch.zeros((), dtype=torch.float32, device=hidden.device)
            count = _rows_at_once(hidden.device.type, len(weight))
            for start in range(0, len(rows), _ROWS):
                part = rows[start : start + _ROWS]
                scores = part @ words.t()  # z without b, (n, V)
                wanted = targets[start : start + _ROWS, None]
                scores[len(wanted) :] = 0  # padding gets no gradient
                pieces = scores[: len(wanted)].split(count)
                for piece, own in zip(pieces, wanted.split(count), strict=True):
                    z = piece.float().add_(offset)
                    dz = z.softmax(1)  # p
                    # logsumexp(z) = max z - log max p: the largest probability cannot underflow, and torch.logsumexp
                    # takes three times as long.
                    norm = z.amax(1, keepdim=True) - dz.amax(1, keepdim=True).log()
                    total += (norm - z.gather(1, own)).sum()
                    dz.scatter_add_(1, own, dz.new_full(own.shape, -1.0))  # p - y
                    d_bias += dz.sum(0)
                    piece.copy_(dz)
                torch.mm(scores, words, out=d_hidden[start : start + _ROWS])  # dh = dz W
                product = scores.t() @ part  # dW = dz^T h
                d_weight = product.to(weight.dtype) if d_weight is None else d_weight.add_(product)
        if d_weight is None:  # a batch may have no word of a cluster
            d_weight = torch.zeros_like(weight)
        ctx.save_for_backward(d_hidden.to(hidden.dtype), d_weight, d_bias)
        return total

    @staticmethod
    def backward(ctx: Any, factor: Tensor) -> Any:  # type: ignore[override]
        gradients = ctx.saved_tensors
        # Comparing the factor to 1 would make a GPU wait.
        if factor.device.type != "cpu" or float(factor) != 1:
            gradients = [factor.to(gradient.dtype) * gradient for gradient in gradients]
        return *gradients, None, None


def _rows_at_once(device: str, words: int) -> int:
    """Return the rows of a piece: as many as fit a CPU's cache; a GPU has none, and each piece is a dozen kernels."""
    return max(1, _PIECE // words) if device == "cpu" else _ROWS
