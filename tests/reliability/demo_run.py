"""A run without a model: the files that every training writes, in the order in which it writes them.

`main([folder])` begins or goes on, as `train --resume` does; its log tells where it began and what it has saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shared.runs.run_directory import RunDirectory

STEPS = 4


@dataclass(frozen=True)
class DemoConfig:
    """Settings of a made-up run."""

    steps: int = STEPS
    """Steps."""


def main(words: Sequence[str]) -> int:
    """Make a run of `STEPS` steps, each with a record, a best checkpoint and a numbered one."""
    with RunDirectory.start("demo", DemoConfig(), out=words[0], resume=True, quiet=True) as run:
        if (run.path / "summary.json").exists():
            return 0
        last = run.checkpoints.last()
        begun = last.step if last else 0
        if run.is_resumed:
            run.metrics.keep_until(begun)
        run.say(f"began at {begun}")
        for step in range(begun + 1, STEPS + 1):
            run.metrics.add(step, loss=1 / step)
            for name in ("best", None):
                run.checkpoints.save(step, partial(write_weights, step), metric=step, name=name)
            run.say(f"saved {step}")
        run.write_summary({"metrics": {"loss": 1 / STEPS}})
    return 0


def write_weights(step: int, folder: Path) -> None:
    """Write what a checkpoint holds."""
    (folder / "weights").write_bytes(bytes([step]) * 1000)
