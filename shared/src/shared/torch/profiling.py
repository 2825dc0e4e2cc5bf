"""The profiler switch: a trace and a table of a few steps in the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from shared.files import whole_file
from shared.runs.run_directory import RunDirectory

# The first steps allocate, compile and fill caches; they would hide what the others do.
WARM_STEPS = 5


@contextmanager
def profiler(run: RunDirectory, steps: int, is_first: bool) -> Iterator[Callable[[], Any]]:
    """Give a function to call after every step.

    After `WARM_STEPS` and `steps` more, `profile.json` (open it in chrome://tracing or Perfetto) and `profile.txt` (the
    most expensive operations) are in the run's folder. With 0 steps nothing is done.
    """
    if not steps or not is_first:
        yield lambda: None
        return

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
