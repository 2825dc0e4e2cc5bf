"""Gradients between the backward pass and the update: exchanged between processes, scaled, clipped."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class SparseExchange:
    """Averages the sparse gradients of embeddings over processes, by dense collectives.

    NCCL has no sparse reduction, and gloo's crashed now and then, so DDP must not see these gradients. The processes
    exchange which rows any of them has met, and then these rows. Their optimizer sees sparse gradients, as with one
    process.

    Parameters
    ----------
    model : nn.Module
        Before it is wrapped. Its layers with `sparse=True` are kept out of DDP.
    processes : int
    """

    def __init__(self, model: nn.Module, processes: int) -> None:
        self._processes = processes
        tables = {
            f"{name}.weight" if name else "weight": module.weight
            for name, module in model.named_modules()
            if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.sparse
        }
        self._tables = list(tables.values()) if processes > 1 else []
        if self._tables:
            DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, list(tables))

    @torch.no_grad()
    def over_processes(self) -> None:
        """Give each table the mean of the processes' gradients; every process must call it."""
        for table in self._tables:
            own = table.grad.coalesce() if table.grad is not None else None
            is_met = torch.zeros(len(table), dtype=torch.int32, device=table.device)
            if own is not None:
                is_met[own.indices()[0]] = 1
            torch.distributed.all_reduce(is_met, torch.distributed.ReduceOp.MAX)
            rows = is_met.nonzero().flatten()  # (n,), the same in all processes
            position = torch.empty(len(table), dtype=torch.int64, device=table.device)
            position[rows] = torch.arange(len(rows), device=table.device)
            values = table.new_zeros(len(rows), *table.shape[1:])
            if own is not None:
                values[position[own.indices()[0]]] = own.values()
            torch.distributed.all_reduce(values)
            values /= self._processes
            table.grad = torch.sparse_coo_tensor(
                rows[None], values, table.shape, is_coalesced=True, check_invariants=False
            )


@torch.no_grad()
def scale_and_clip(
    parameters: Iterable[nn.Parameter], scale: Tensor, most: float | None
) -> Tensor | None:
    """Multiply all gradients by `scale`, then scale them down to a common norm of at most `most`, in one pass.

    Parameters
    ----------
    parameters : iterable of parameters
        Those without a gradient are skipped; sparse gradients (of `nn.Embedding(sparse=True)`) are added up first.
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
