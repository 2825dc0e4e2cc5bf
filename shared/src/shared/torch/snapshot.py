"""A run's changing state held in memory, to try something and undo it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from shared.torch.device import random_states, set_random_states


class Snapshot:
    """Copies of the states of some objects, and of the global random generators.

    Parameters
    ----------
    holders : sequence
        Objects with `state_dict` and `load_state_dict`: model, optimizers, average, a task's state. None is passed
        over.
    """

    def __init__(self, holders: Sequence[Any]) -> None:
        self._holders = [holder for holder in holders if holder is not None]
        self._states = [copy.deepcopy(holder.state_dict()) for holder in self._holders]
        self._random = random_states()

    def restore(self) -> None:
        """Put everything back."""
        for holder, state in zip(self._holders, self._states, strict=True):
            holder.load_state_dict(state)
        set_random_states(self._random)
