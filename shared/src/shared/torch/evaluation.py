"""Figures as sums and counts to the end.

So each example weighs the same however it was batched::

    totals = Totals()
    for batch in loader(evaluation_shards(len(dataset), rank, world, batch_size=64)):
        totals.add("loss", loss_sum, count)
    metrics = totals.means(accelerator)          # the processes' sums meet here, once
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Totals:
    """Sums and counts by name, added up over batches and then over processes."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[list[Any], list[Any]]] = {}

    def add(self, name: str, total: Tensor | float, count: Tensor | float) -> None:
        """Add one batch's part of a figure.

        Parameters
        ----------
        name : str
        total : number or tensor ()
            Sum over the batch. A tensor stays on its device until `sums`, so that a GPU need not wait.
        count : number or tensor ()
            How many terms the sum has.
        """
        totals, counts = self._parts.setdefault(name, ([], []))
        totals.append(total.detach() if isinstance(total, Tensor) else total)
        counts.append(count.detach() if isinstance(count, Tensor) else count)

    def sums(self, accelerator: Any = None) -> dict[str, tuple[float, float]]:
        """Return (sum, count) by name, over all processes; every process must call it.

        A process that has seen no batch at all may call it too.
        """
        from shared.torch.processes import of_all

        own = {name: (_sum(totals), _sum(counts)) for name, (totals, counts) in self._parts.items()}
        if accelerator is None:
            return own
        everyone: dict[str, tuple[float, float]] = {}
        for part in of_all(accelerator, own):
            for name, (total, count) in part.items():
                before = everyone.get(name, (0.0, 0.0))
                everyone[name] = (before[0] + total, before[1] + count)
        return everyone

    def means(self, accelerator: Any = None) -> dict[str, float]:
        """Return sum / count by name, over all processes; a figure that counts nothing is NaN."""
        sums = self.sums(accelerator)
        return {
            name: total / count if count else float("nan") for name, (total, count) in sums.items()
        }


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout and gradients off in the context."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


@contextmanager
def evaluating_with_gradients(model: nn.Module) -> Iterator[None]:
    """Switch dropout off in the context, and gradients on.

    cuDNN's recurrent layers have no gradient in evaluation mode, so torch's own take their place.
    """
    with evaluating(model), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


def _sum(parts: list[Any]) -> float:
    """Return the sum in double precision, whatever the precision of the parts."""
    tensors = [part for part in parts if isinstance(part, Tensor)]
    total = float(sum(part for part in parts if not isinstance(part, Tensor)))
    if tensors:
        total += float(torch.stack([part.reshape(()) for part in tensors]).cpu().double().sum())
    return total
