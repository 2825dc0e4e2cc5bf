"""What updates and evaluations take: some are tried before a `--minutes` run begins, and undone."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from shared.torch.device import random_states, set_random_states
from shared.torch.plan import stage_ends


class Snapshot:
    """Copies of the states of some objects, and of the global random generators.

    Parameters
    ----------
    holders : sequence
        Objects with `state_dict` and `load_state_dict`: model, optimizers, average, a task's state. None is ignored.
    """

    def __init__(self, holders: Sequence[Any]) -> None:
        self._holders = [holder for holder in holders if holder is not None]
        self._states = [copy.deepcopy(holder.state_dict()) for holder in self._holders]
        self._random = random_states()

    def restore(self) -> None:
        """Restore all states."""
        for holder, state in zip(self._holders, self._states, strict=True):
            holder.load_state_dict(state)
        set_random_states(self._random)


def time_stages(
    attempt: Callable[[float, int], AbstractContextManager[Callable[[], object]]],
    stage: Callable[[float], Hashable],
    most: int,
    *,
    allowed: float,
    least: int = 2,
    agree: Callable[[bool], bool] = lambda is_enough: is_enough,
) -> tuple[tuple[float, float], ...]:
    """Return the progress at which each stage of a run ends, and the seconds of an update in it.

    Each stage is tried twice with the same batches: first untimed, since first updates allocate, compile and fill
    caches for every new size, then timed.

    Parameters
    ----------
    attempt : callable
        Takes the progress and a number of updates; gives a context with a function that makes one of these updates, as
        at that progress, and waits for its end.
    stage : callable
        As in `plan.stage_ends`.
    most : int
        Updates that there are to try, >= 1.
    allowed : float
        Seconds to spend, over all stages; `least` updates are tried in any case.
    least : int
        >= 1.
    agree : callable
        Makes the same decision of all processes' decisions.
    """
    ends = stage_ends(stage)
    each = allowed / (2 * len({now for _, now in ends}))
    seconds: dict[Hashable, float] = {}
    start = 0.0
    for end, now in ends:
        if now not in seconds:
            middle = (start + end) / 2
            count, began = 0, time.monotonic()
            with attempt(middle, most) as update:
                while count < most and not (
                    count >= least and agree(time.monotonic() - began > each)
                ):
                    update()
                    count += 1
            with attempt(middle, count) as update:
                began = time.monotonic()
                for _ in range(count):
                    update()
                seconds[now] = (time.monotonic() - began) / count
        start = end
    return tuple((end, seconds[now]) for end, now in ends)
