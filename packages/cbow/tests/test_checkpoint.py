from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cbow.checkpoint import TrainingState, restore, save
from cbow.config import TrainConfig
from shared.runs.run_directory import RunDirectory

LISTING = {"name": "sample", "sha256": "0" * 64}
RECORDS = ((0, 1, 100), (0, 2, 200), (1, 1, 300), (1, 2, 400))
"""Model, epoch and samples of all."""


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (TrainingState(model=0, epoch=1, block=64, all_samples=200), 1),  # last sample done, record not yet written
        (TrainingState(model=0, epoch=2, all_samples=200), 2),
        (TrainingState(model=1, epoch=0, all_samples=200), 2),
        (TrainingState(model=1, epoch=0, block=64, all_samples=300), 2),
        (TrainingState(model=1, epoch=2, all_samples=400), 4),
    ],
)  # fmt: skip
def test_log_goes_back_to_the_epochs_that_the_checkpoint_has_ended(
    state: TrainingState, kept: int, tmp_path: Path
) -> None:
    weights = np.zeros((3, 2), dtype=np.float32)
    with RunDirectory.start(
        "cbow", TrainConfig(), out=str(tmp_path / "run"), resume=False, quiet=True
    ) as run:
        save(run, state, weights, weights, LISTING)
        for model, epoch, samples in RECORDS:
            run.metrics.add(samples, model=model, epoch=epoch)
        checkpoint = run.checkpoints.last()
        assert checkpoint is not None
        _, _, found = restore(run, checkpoint, LISTING, processes=1)
        assert found == state
        assert [record["step"] for record in run.metrics.records()] == [
            samples for _, _, samples in RECORDS[:kept]
        ]
