"""Muon for convolutions: steps of orthogonalized momentum, of equal length in all directions.

The momentum of a convolution, seen as a matrix (out channels, in channels x kernel), is much longer in a few directions
than in all others, and SGD follows those. Muon sets all of its singular values to about one, so that what is rarely
asked for is learned as fast as the rest. `torch.optim.Muon` does that for the matrices of linear layers and refuses
kernels.

A convolution that normalization follows computes the same function with weights of any norm. So weights are kept at one
norm, and the learning rate is the fraction of it that a step covers.

Shapes: D out channels, n weights of each; blocks of b of the D.

References
----------
Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", kellerjordan.github.io/posts/muon; for
convolutions, with weights of one length: KellerJordan/cifar10-airbench.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

ROWS = 128
"""Out channels that are made orthogonal to each other, at most; the work grows with their number."""
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of x, x^3 and x^5. Five times over they bring singular values of 0.002 to 1 to between 0.68 and 1.21."""


class Muon(torch.optim.Optimizer):
    """Orthogonalized momentum for weights with four dimensions, whose norm stays sqrt(D).

    Parameters
    ----------
    weights : iterable of float tensors (D, C, rows, columns)
    lr : float
        Norm of a step as a fraction of the weights' norm, > 0.
    momentum : float
        0 to below 1.
    nesterov : bool
        Look one step of momentum ahead.
    dtype : torch.dtype
        Of the steps, bfloat16 or float32.
    """

    def __init__(
        self,
        weights: Iterable[Tensor],
        lr: float,
        momentum: float = 0.9,
        nesterov: bool = True,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(list(weights), {"lr": lr, "momentum": momentum, "nesterov": nesterov})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            wanted = [_matrix(self._wanted(weight, group), weight) for weight in weights]
            for weight, direction in zip(weights, orthogonal(wanted, self._dtype), strict=True):
                update, length = direction.float(), len(weight) ** 0.5
                weight.mul_(length / weight.norm())
                # A branch that starts as zero hands no gradient back at first: its update is zero and must stay so.
                scale = group["lr"] * length / update.norm().clamp(min=1e-6)
                _matrix(weight, weight).sub_(update * scale)

    def _wanted(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """Return the mean of the gradients so far."""
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        mean: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return torch.lerp(gradient, mean, group["momentum"]) if group["nesterov"] else mean


def _matrix(values: Tensor, weight: Tensor) -> Tensor:
    """Return values of a kernel (D, C, rows, columns) as (D, n), in the order in which its weights lie in memory.

    Of the weights themselves it is a view, so that they can be changed through it.
    """
    is_last = weight.is_contiguous(memory_format=torch.channels_last)
    ordered = values.permute(0, 2, 3, 1) if is_last else values
    return ordered.view(len(values), -1) if values is weight else ordered.flatten(1)


def orthogonal(matrices: list[Tensor], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return matrices whose singular values are about one, with the singular vectors of those given, block by block.

    Parameters
    ----------
    matrices : list of float32 tensors (D, n)
        Rows are taken in equal blocks of up to `ROWS`. A block of zeros stays zero.
    dtype : torch.dtype
        Of what is returned, and of the last product.

    Returns
    -------
    list of tensors (D, n)
    """
    blocks = [matrix.unflatten(0, (-1, _rows(len(matrix)))) for matrix in matrices]  # (D / b, b, n)
    alike: dict[torch.Size, list[int]] = {}
    for index, block in enumerate(blocks):
        alike.setdefault(block.shape[1:], []).append(index)
    results = dict.fromkeys(range(len(matrices)), torch.empty(0))
    for indices in alike.values():
        # One product for all layers of a shape: many small ones would not keep the cores busy.
        together = _orthogonal(torch.cat([blocks[index] for index in indices]), dtype)
        parts = together.split([len(blocks[index]) for index in indices])
        results |= {index: part.flatten(0, 1) for index, part in zip(indices, parts, strict=True)}
    return list(results.values())


def _orthogonal(blocks: Tensor, dtype: torch.dtype) -> Tensor:
    """Return blocks (B, b, n) with singular values of about one, by Newton and Schulz' iteration.

    An iteration multiplies x by a polynomial of x x^T. These polynomials are (B, b, b), which is much smaller than x
    where b is much smaller than n. So they are followed and multiplied by themselves, and x once, in the end.
    """
    is_tall = blocks.shape[1] > blocks.shape[2]
    x = blocks.mT if is_tall else blocks
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)  # no singular value is above one
    linear, cubic, quintic = COEFFICIENTS
    gram, product = x @ x.mT, None
    for _ in range(ITERATIONS):
        factor = torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic)
        factor.diagonal(dim1=1, dim2=2).add_(linear)
        gram = factor @ gram @ factor
        product = factor if product is None else factor @ product
    assert product is not None
    x = product.to(dtype) @ x.to(dtype)
    return x.mT if is_tall else x


def _rows(count: int) -> int:
    """Return the largest divisor up to `ROWS`."""
    return next(rows for rows in range(min(count, ROWS), 0, -1) if count % rows == 0)
