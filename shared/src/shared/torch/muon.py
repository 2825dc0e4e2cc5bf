"""Muon: steps of orthogonalized momentum, of equal length in all directions, for matrices and convolutions.

The momentum of a weight matrix is much longer in a few directions than in all others, and SGD follows those; AdamW
scales each number by itself. Muon sets all singular values of the momentum to about one, so that what is rarely asked
for is learned as fast as the rest. Embeddings, normalization layers, biases and output layers are AdamW's:
`hidden_matrices` tells them apart.

    matrices = hidden_matrices(model, but=[model.head])
    taken = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in taken]
    optimizers = [torch.optim.AdamW(others, lr=1e-3), Muon(matrices, lr=1e-3)]

`torch.optim.Muon` refuses kernels of convolutions, and has no blocks for the gates of an LSTM, which lie in one matrix.

Shapes: D outputs (rows), n weights of each; blocks of b of the D.

References
----------
Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", kellerjordan.github.io/posts/muon; for
convolutions of constant norm: KellerJordan/cifar10-airbench; the length of steps: Liu et al. 2025, arXiv 2502.16982,
equation 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from shared.torch.device import choose_device, choose_precision

ROWS = 128
"""Rows that are made orthogonal to each other, at most, unless told otherwise; the work grows with their number."""
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5. Five times over they bring singular values of 0.002 to 1 to between 0.68 and 1.21."""
RMS = 0.2
"""Root mean square of the entries of an AdamW step of learning rate 1, about; steps of Muon are scaled to it."""


def hidden_matrices(model: nn.Module, but: Iterable[nn.Module] = ()) -> list[nn.Parameter]:
    """Return the weights that Muon is for: of linear, recurrent and convolutional layers, each once.

    Parameters
    ----------
    model : nn.Module
    but : iterable of modules
        Layers whose weights are not taken, as a rule the output layer. A weight tied to an embedding is not either.
    """
    layers = (nn.Linear, nn.RNNBase, nn.modules.conv._ConvNd)
    refused = [m for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
    ids = {id(weight) for module in (*refused, *but) for weight in module.parameters()}
    weights = {
        id(weight): weight
        for module in model.modules()
        if isinstance(module, layers)
        for weight in module.parameters(recurse=False)
        if weight.ndim >= 2 and weight.requires_grad and id(weight) not in ids
    }
    return list(weights.values())


def make_muon(config: Any, weights: Iterable[nn.Parameter], **settings: Any) -> Muon:
    """Return the optimizer that a task's configuration asks for; its iteration is in bf16 where training is.

    Parameters
    ----------
    config : dataclass
        With `muon_learning_rate`, `precision`, `device`.
    weights : iterable of parameters
    **settings
        Further arguments of `Muon`.
    """
    precision = choose_precision(config.precision, choose_device(config.device))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return Muon(weights, lr=config.muon_learning_rate, dtype=dtype, **settings)


class Muon(torch.optim.Optimizer):
    """Orthogonalized momentum for weights of two or more dimensions; of a kernel, each output is a row.

    Parameters
    ----------
    weights : iterable of float tensors (D, ...), or parameter groups of them
    lr : float
        Step size, > 0. Steps are as long as AdamW's of this rate (their entries have the same root mean square), so
        AdamW's rates carry over. With `keep_norm`: norm of a step as a fraction of the weights' norm.
    momentum : float
        0 to below 1.
    nesterov : bool
        Look one step of momentum ahead.
    weight_decay : float
        Decoupled, >= 0; of no use with `keep_norm`.
    keep_norm : bool
        Keep the norm of each weight at sqrt(D). For convolutions that normalization follows: what they compute does not
        depend on the norm.
    rows : int
        Matrices are taken in equal blocks of up to this many rows. The four gates of an LSTM of hidden size H are four
        matrices with `rows=H`.
    dtype : torch.dtype
        Precision of the steps, bfloat16 or float32.
    """

    def __init__(
        self,
        weights: Iterable[Any],
        lr: float,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        keep_norm: bool = False,
        rows: int = ROWS,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay,
            "keep_norm": keep_norm, "rows": rows,
        }  # fmt: skip
        super().__init__(list(weights), defaults)
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            momenta = [_matrix(self._momentum(weight, group), weight) for weight in weights]
            directions = orthogonal(momenta, self._dtype, group["rows"])
            for weight, direction in zip(weights, directions, strict=True):
                update = direction.float()  # (D, n)
                if group["keep_norm"]:
                    norm = len(weight) ** 0.5
                    weight.mul_(norm / weight.norm())
                    # A branch that starts at zero gives no gradient at first: its update is zero and must stay so.
                    scale = group["lr"] * norm / update.norm().clamp(min=1e-6)
                else:
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    block = _rows(len(weight), group["rows"])
                    scale = group["lr"] * RMS * max(block, update.shape[1]) ** 0.5  # eq. 4
                _matrix(weight, weight).sub_(update * scale)

    def _momentum(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """Take in the gradient; return the moving average of the gradients."""
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        mean: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        return torch.lerp(gradient, mean, group["momentum"]) if group["nesterov"] else mean


def _matrix(values: Tensor, weight: Tensor) -> Tensor:
    """Return values of a weight (D, ...) as (D, n), in the order in which the weight's numbers lie in memory.

    Given the weight itself, it is a view, so that the weight can be changed through it.
    """
    is_last = weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    ordered = values.permute(0, 2, 3, 1) if is_last else values
    return ordered.view(len(values), -1) if values is weight else ordered.flatten(1)


def orthogonal(
    matrices: list[Tensor], dtype: torch.dtype = torch.float32, rows: int = ROWS
) -> list[Tensor]:
    """Return matrices whose singular values are about one, with the singular vectors of those given, block by block.

    Parameters
    ----------
    matrices : list of float32 tensors (D, n)
        Rows are taken in equal blocks. A block of zeros stays zero.
    dtype : torch.dtype
        Precision of the result, and of the last product.
    rows : int
        Rows of a block, at most.

    Returns
    -------
    list of tensors (D, n)
    """
    blocks = [
        matrix.unflatten(0, (-1, _rows(len(matrix), rows))) for matrix in matrices
    ]  # (D / b, b, n)
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


def _rows(count: int, most: int) -> int:
    """Return the largest divisor up to `most`."""
    return next(rows for rows in range(min(count, most), 0, -1) if count % rows == 0)
