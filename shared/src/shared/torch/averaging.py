"""An average of the weights over training, which often does better than the last ones.

The average lives beside the model and is put into it for evaluation and saving only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Moving average, or plain mean, of a model's parameters and floating-point buffers.

    Parameters
    ----------
    model : nn.Module
        The average starts as its present weights; tied weights are one.
    decay : float or None
        Weight of the old average at each update, 0 <= decay < 1; smaller for the first updates, (1 + n) / (10 + n) at
        the n-th, so that the starting weights are soon forgotten. None: the plain mean of all that was seen since the
        start, as in averaged SGD.

    References
    ----------
    Polyak and Juditsky 1992 (the mean); Merity et al. 2017, arXiv 1708.02182, section 4 (when to start it).
    """

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        self.decay = decay
        self.updates = 0
        self._live = _averaged(model)
        self._mean = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Add the model's present weights to the average."""
        self.updates += 1
        if self.decay is None:
            new = 1 / (self.updates + 1)  # the starting weights are the first of the mean
        else:
            new = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self._mean.values()), list(self._live.values()), new)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the model in the context, and the raw weights back after it."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average by name, with the number of updates."""
        return {**self._mean, "updates": torch.tensor(self.updates)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for name, tensor in self._mean.items():
            tensor.copy_(state[name])
        self.updates = int(state["updates"])

    @torch.no_grad()
    def _swap(self) -> None:
        # Values are exchanged, not tensors: an optimizer, a compiled graph and a DDP wrapper hold on to the tensors.
        for name, live in self._live.items():
            kept = live.clone()
            live.copy_(self._mean[name])
            self._mean[name].copy_(kept)


def _averaged(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that are averaged, by name, each once; batch counts and the like are not."""
    named = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: tensor.data for name, tensor in named.items() if tensor.is_floating_point()}
