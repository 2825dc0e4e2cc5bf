"""The gradient between the backward pass and the update."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def scale_and_clip(
    parameters: Iterable[nn.Parameter], scale: Tensor, most: float | None
) -> Tensor | None:
    """Multiply all gradients by `scale`, then cut their common norm down to `most`, in one pass.

    Parameters
    ----------
    parameters : iterable of parameters
        Those without a gradient are passed over; sparse gradients (of `nn.Embedding(sparse=True)`) are added up first.
    scale : float32 tensor ()
    most : float or None
        None: no clipping.

    Returns
    -------
    float32 tensor () or None
        The norm before clipping; None without clipping, which saves computing it.
    """
    gradients: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()  # rows met twice are one row from here on
            gradients.append(parameter.grad._values())
        else:
            gradients.append(parameter.grad)
    if not gradients:
        return None
    norm = None
    if most is not None:
        norms = torch.stack([part.float() for part in torch._foreach_norm(gradients)])
        norm = torch.linalg.vector_norm(norms) * scale
        scale = scale * (most / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, scale)
    return norm
