"""The sums of the running steps: added up over processes, read late, checked, averaged for the log.

One small tensor is summed over the processes per update. It carries the sum of the loss and its count, and whether any
process wants to stop, save or change the plan, so that all do so at the same step. It is copied to the host in the
background and read one step late, so a GPU never waits for it.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shared.errors import UserError
from shared.interrupt import StopRequest

STOP, SAVE, PLAN, NORM = "stop", "save", "plan", "gradient_norm"


def require_finite(step: int, name: str, value: float) -> None:
    """Raise a `UserError` that names the step if a figure is NaN or infinite."""
    if not math.isfinite(value):
        raise UserError(
            f"Step {step}: {name} is {value}, so training stops. The checkpoints before it are kept. "
            "Lower the learning rate or set --clip-norm, and train into another --out."
        )


class Reading:
    """A small tensor on its way to the host, which does not wait for what a GPU is given to do after it."""

    def __init__(self, values: Tensor) -> None:
        self._host, self._event = values, None
        if values.is_cuda:
            # Pinned memory is written to in the background; the event comes when that is done.
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def values(self) -> list[float]:
        """Wait for the copy and return the numbers."""
        if self._event is not None:
            self._event.synchronize()
        return self._host.tolist()


class Meter:
    """Running sums since the last line of the log.

    Parameters
    ----------
    accelerator : Accelerator
    stop : StopRequest
    checkpoint_seconds : float
        After this time without a checkpoint one is asked for; the first process' clock counts.
    """

    def __init__(self, accelerator: Any, stop: StopRequest, checkpoint_seconds: float) -> None:
        self._accelerator, self._stop, self._every = accelerator, stop, checkpoint_seconds
        self._saved_at = time.monotonic()
        self._wide = torch.float32 if accelerator.device.type == "mps" else torch.float64
        self.forget()

    def forget(self) -> None:
        """Reset everything."""
        self._unread: tuple[int, list[str], Reading] | None = None
        self._sums: dict[str, float] = {}
        self._updates = 0
        self._seconds = self._waited = 0.0
        self._is_asked = self._is_stopping = False
        self._proposed: int | None = None  # by this process
        self._planned: int | None = None  # by all

    def over_processes(self, parts: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Add up what the micro-batches of one update gave, over all processes.

        Parameters
        ----------
        parts : sequence of mapping
            Each with `loss`, `count` and further sums, the same names every time.
        """
        now = time.monotonic()
        is_time = self._accelerator.is_main_process and now - self._saved_at >= self._every
        sums = {name: sum(self._number(part[name]) for part in parts) for name in parts[0]}
        sums[STOP] = self._number(self._stop.signal_number is not None)
        sums[SAVE] = self._number(is_time)
        sums[PLAN] = self._number(self._proposed or 0)
        self._proposed = None
        together = torch.stack([torch.as_tensor(value) for value in sums.values()])
        if self._accelerator.num_processes > 1:
            together = self._accelerator.reduce(together, "sum")
        return dict(zip(sums, together.unbind(), strict=True))

    def add(self, step: int, sums: Mapping[str, Tensor], seconds: float) -> None:
        """Take the sums of one update; those of the one before are read now."""
        self.settle()
        together = torch.stack([self._number(value) for value in sums.values()])
        self._unread = (step, list(sums), Reading(together))
        self._updates += 1
        self._seconds += seconds

    def settle(self) -> None:
        """Read the sums that are still unread.

        Raises
        ------
        UserError
            The loss, or the gradient's norm, is not finite.
        """
        if self._unread is None:
            return
        step, names, together = self._unread
        self._unread = None
        values = dict(zip(names, together.values(), strict=True))
        require_finite(step, "the loss", values["loss"])
        require_finite(step, "the gradient's norm", values.get(NORM, 0.0))
        self._is_stopping = values.pop(STOP) > 0
        self._is_asked = values.pop(SAVE) > 0
        self._planned = int(values.pop(PLAN)) or self._planned
        if NORM in values:  # a figure of the update, not a sum: `take` divides again
            values[NORM] *= values["count"]
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def waited(self, seconds: float) -> None:
        """Note how long a batch was waited for."""
        self._waited += seconds

    def requests(self) -> tuple[bool, int | None]:
        """Return whether a checkpoint is due, and the signal that asks to stop; the same in all processes."""
        number = self._stop.signal_number or signal.SIGTERM
        return self._is_asked, int(number) if self._is_stopping else None

    def propose(self, total_steps: int | None) -> None:
        """Propose another number of updates in all; the first process alone may do so."""
        self._proposed = total_steps

    def proposal(self) -> int | None:
        """Return the number of updates that was proposed, once, or None; the same in all processes."""
        planned, self._planned = self._planned, None
        return planned

    def saved(self) -> None:
        """Note that a checkpoint was written."""
        self._saved_at = time.monotonic()
        self._is_asked = False

    def take(self) -> dict[str, float]:
        """Return the figures since the last call, and reset them.

        Returns
        -------
        dict
            Means of all sums over the count, as `train_<name>`; `step_seconds`; `data_fraction`, the fraction of the
            time in which batches were waited for; `per_second`, counted terms (tokens, examples) a second.
        """
        self.settle()
        count = self._sums.pop("count", 0.0)
        means = {f"train_{name}": total / max(count, 1.0) for name, total in self._sums.items()}
        seconds = max(self._seconds, 1e-9)
        speed = {
            "step_seconds": seconds / max(self._updates, 1),
            "data_fraction": min(1.0, self._waited / seconds),
            "per_second": count / seconds,
        }
        self._sums, self._updates, self._seconds, self._waited = {}, 0, 0.0, 0.0
        return means | speed

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run's next line of the log needs."""
        return {
            "sums": self._sums,
            "updates": self._updates,
            "seconds": self._seconds,
            "waited": self._waited,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._sums, self._updates = dict(state["sums"]), state["updates"]
        self._seconds, self._waited = state["seconds"], state["waited"]

    def _number(self, value: Any) -> Tensor:
        if isinstance(value, Tensor):
            return value.detach().to(self._wide)
        # Filled where it is: a copy to a GPU would wait for all that it still has to do.
        return torch.full((), float(value), dtype=self._wide, device=self._accelerator.device)
