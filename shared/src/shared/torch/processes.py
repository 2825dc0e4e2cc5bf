"""What several processes of one run must agree on: the run folder, small values, and whose files are written.

Started by `torchrun --nproc-per-node N -m <task> train ...`; with one process all of this does nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shared.command.options import RunOptions
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory
from shared.torch.config import TrainOptions


class FollowerRun(RunDirectory):
    """The run folder as a process sees it that must not write into it."""

    def say(self, line: str) -> None:
        """Say nothing: the first process says it."""

    def has_ended(self) -> bool:
        """Whether the run has ended before."""
        return (self.path / "summary.json").exists()

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write nothing: the first process writes it."""

    def _undo(self) -> None:
        """Remove nothing: the first process does."""


class TrialRun(RunDirectory):
    """Stands in for a run's folder where training is only tried: a temporary folder.

    Parameters
    ----------
    task : str
    options : TrainOptions
    quiet : bool
        Print nothing.
    """

    def __init__(self, task: str, options: TrainOptions, *, quiet: bool) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix=f"{task}-trial-")), quiet=quiet)
        self.task, self.options = task, options

    def close(self) -> None:
        """Remove the folder."""
        super().close()
        shutil.rmtree(self.path, ignore_errors=True)


def start_run(
    accelerator: Any,
    task: str,
    config: Any,
    options: RunOptions,
    may_change: Iterable[str] = (),
) -> RunDirectory:
    """Open a run's folder once for all processes, as `RunDirectory.start` does for one.

    Only the first process writes into it. A folder that it refuses is refused by all, so that none is left waiting.
    With --find-learning-rate it is a `TrialRun`.

    Raises
    ------
    UserError
        As `RunDirectory.start`.
    """
    if isinstance(options, TrainOptions) and options.find_learning_rate:
        return TrialRun(task, options, quiet=options.quiet or not accelerator.is_main_process)
    run, problem, failure = None, None, None
    if accelerator.is_main_process:
        try:
            run = RunDirectory.start(
                task,
                config,
                out=options.out,
                resume=options.resume,
                quiet=options.quiet,
                may_change=may_change,
            )
        except (UserError, OSError) as error:
            problem, failure = str(error), error
    path, is_resumed, problem = from_first(
        accelerator, (str(run.path) if run else "", bool(run and run.is_resumed), problem)
    )
    if problem is not None:
        raise failure or UserError(problem)
    return run or FollowerRun(Path(path), quiet=True, is_resumed=is_resumed)


def from_first(accelerator: Any, value: Any) -> Any:
    """Return the first process' value in all of them."""
    if accelerator.num_processes == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def buffers_of_first(accelerator: Any, model: nn.Module) -> None:
    """Put the first process' buffers, such as batch norm's statistics, into a model in all of them."""
    if accelerator.num_processes == 1:
        return
    for buffer in model.buffers():
        torch.distributed.broadcast(buffer, 0)


def of_all(accelerator: Any, value: Any) -> list[Any]:
    """Return every process' value, in order of rank, in all of them."""
    if accelerator.num_processes == 1:
        return [value]
    from accelerate.utils import gather_object

    return gather_object([value])
