"""The figures of `summary.json` that every torch run has."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from shared.runs.run_directory import RunDirectory
from shared.torch.config import LoopConfig
from shared.torch.position import Outcome
from shared.torch.summary import write_summary


def test_speed_is_what_was_counted_by_the_time_it_took(tmp_path: Path) -> None:
    """Ten steps of 100 examples in a second, then ten of 100 in four: 2,000 in 5 s, not the mean of two speeds."""
    config, outcome = LoopConfig(), Outcome(20, 1, None, (), 5.0)
    with RunDirectory.start(
        "toy", config, out=str(tmp_path / "run"), resume=False, quiet=True
    ) as run:
        run.metrics.add(10, step_seconds=0.1, per_second=1000.0)
        run.metrics.add(10, valid_loss=1.0)
        run.metrics.add(20, step_seconds=0.4, per_second=250.0)
        write_summary(
            run, config, outcome, task="toy", data={}, model=nn.Linear(2, 1), device=torch.device("cpu"), metrics={},
            unit="images",
        )  # fmt: skip
        assert run.summary()["images_per_second"] == 400
