"""Where the figures of a run are written.

`metrics.jsonl` and TensorBoard are for programs, `log.txt` and the terminal for people; a profile of a few updates is
written where it is asked for.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.files import whole_file
from shared.runs.run_directory import RunDirectory
from shared.torch.position import Position

WARM_STEPS = 5
"""The first updates allocate, compile and fill caches; they would hide what the others do, so they are not profiled."""


class Journal:
    """Writes the figures of a run.

    Parameters
    ----------
    run : RunDirectory
    is_first : bool
        False: a process that writes nothing, since another one does.
    from_step : int
        Training continues from here; figures past it are dropped.
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
        """Print and log a line with the position of training, with the task's own words about `figures`."""
        more = f" {self._describe(figures)}" if self._describe and figures else ""
        of = f"/{total_steps}" if total_steps else ""
        self._run.say(f"epoch {at.epochs:.2f} step {at.step}{of} {text}{more}")


class Curves:
    """Scalars for TensorBoard.

    `torch.utils.tensorboard.SummaryWriter` writes from a thread: on a full disk that thread ends with a traceback,
    and the error reaches training later, from a place that has nothing to do with it. Here the same records
    are written where they are added.

    Parameters
    ----------
    folder : Path
        One event file more is made in it.
    from_step : int
        TensorBoard leaves out what older files of the folder say of steps past it.

    Raises
    ------
    OSError
        Here and in `add`: the file cannot be written.
    """

    def __init__(self, folder: Path, from_step: int) -> None:
        # Wanted by training only, and slow to import.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._records = Event, RecordWriter
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._write(file_version="brain.Event:2")
        self._write(step=from_step + 1, session_log=SessionLog(status=SessionLog.START))

    def add(self, name: str, value: float, step: int) -> None:
        """Add one point to the curve `name`."""
        self._write(step=step, summary={"value": [{"tag": name, "simple_value": value}]})

    def _write(self, **fields: object) -> None:
        event = self._event(wall_time=time.time(), **fields)
        with self._path.open("ab") as file:
            self._records(file).write(event.SerializeToString())


@contextmanager
def profiler(run: RunDirectory, steps: int, is_first: bool) -> Iterator[Callable[[], Any]]:
    """Give a function to call after every update.

    After `WARM_STEPS` and `steps` more, `profile.json` (open it in chrome://tracing or Perfetto) and `profile.txt` (the
    most expensive operations) are in the run's folder. With 0 steps nothing is done.
    """
    if not steps or not is_first:
        yield lambda: None
        return
    import torch.profiler

    def write(profile: Any) -> None:
        profile.export_chrome_trace(str(run.path / "profile.json"))
        with whole_file(run.path / "profile.txt") as file:
            file.write(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=30))
        run.say(f"{run.path / 'profile.txt'}: the most expensive operations of {steps} steps.")

    with torch.profiler.profile(
        schedule=torch.profiler.schedule(wait=WARM_STEPS - 1, warmup=1, active=steps, repeat=1),
        on_trace_ready=write,
    ) as profile:
        yield profile.step
