"""What a run tells: `metrics.jsonl` and TensorBoard for programs, `log.txt` and the terminal for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shared.runs.run_directory import RunDirectory
from shared.torch.curves import Curves
from shared.torch.position import Position


class Journal:
    """Where a run's figures go.

    Parameters
    ----------
    run : RunDirectory
    is_first : bool
        False: a process that writes nothing, since another one does.
    from_step : int
        The run goes on from here; figures past it are dropped.
    describe : callable, optional
        Takes the figures of a line and returns what to add to it.
    """

    def __init__(
        self,
        run: RunDirectory,
        is_first: bool,
        from_step: int = 0,
        describe: Callable[[Mapping[str, Any]], str] | None = None,
    ) -> None:
        self._run, self._is_first, self._describe = run, is_first, describe
        if not is_first:
            return
        if run.is_resumed:
            run.metrics.keep_until(from_step)
        self._curves = Curves(run.path / "tensorboard", from_step)

    def add(self, step: int, **figures: Any) -> None:
        """Write figures of one step; what is not a number goes to `metrics.jsonl` only."""
        if not self._is_first:
            return
        self._run.metrics.add(step, **figures)
        for name, value in figures.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._curves.add(name, value, step)

    def say(
        self, at: Position, total_steps: int, text: str, figures: Mapping[str, Any] | None = None
    ) -> None:
        """Say a line about where training stands, with the task's own words about `figures`."""
        more = f" {self._describe(figures)}" if self._describe and figures else ""
        of = f"/{total_steps}" if total_steps else ""
        self._run.say(f"epoch {at.epochs:.2f} step {at.step}{of} {text}{more}")
