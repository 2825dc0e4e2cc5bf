"""Loading processes that are spawned, as on macOS and Windows, and not forked: all that they need is sent to them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from attempts import Attempts
from comparing import differences
from trainings import TRAININGS

PROGRAM = (
    "import multiprocessing, sys; multiprocessing.set_start_method('spawn'); "
    "from {module} import main; sys.exit(main(sys.argv[1:]))"
)
with_workers = [training for training in TRAININGS if "--device" in training.settings]


@pytest.mark.parametrize("attempts", with_workers, indirect=True, ids=lambda t: t.name)
def test_spawned_workers_change_nothing(attempts: Attempts, tmp_path: Path) -> None:
    program = PROGRAM.format(module=attempts.module)
    runs = [tmp_path / "none", tmp_path / "spawned"]
    for workers, run in enumerate(runs):
        words = attempts.words(run, "--steps", "3", "--workers", str(workers))
        done = subprocess.run(
            [sys.executable, "-c", program, *words], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
    found = [line for line in differences(*runs) if not line.startswith("config.yaml")]
    assert found == []
