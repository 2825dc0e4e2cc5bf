"""One launch of two processes (gloo) and one of three; each test looks at a part of the results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from several_processes import EQUAL, sparse
from toy_task import ToyConfig, train

from shared.testing import records_of


def launch(processes: int, out: Path) -> tuple[Path, dict]:
    script = Path(__file__).with_name("several_processes.py")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(processes), str(script), str(out)),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out, json.loads((out / "results.json").read_text())


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    return launch(2, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return launch(3, tmp_path_factory.mktemp("three"))


def test_three_processes_resume_to_the_same_bits(three):
    assert three[1]["processes"] == 3 and three[1]["agree"]
    assert three[1]["resumed"]


def test_sparse_gradients_of_three_processes_train_like_one(three, tmp_path):
    train(tmp_path / "one", ToyConfig(**EQUAL, clip_norm=1.0), make_optimizers=sparse)
    alone, together = records_of(tmp_path / "one"), records_of(three[0] / "sparse")
    assert len(alone) == len(together)
    for a, b in zip(alone, together, strict=True):
        assert b == pytest.approx(a, abs=1e-5)


def test_every_process_drops_other_features(three):
    first, second, third = three[1]["dropout"]
    assert first != second and second != third and first != third


def test_two_processes_ran_and_agree(launched):
    assert launched[1]["processes"] == 2
    assert launched[1]["agree"]


@pytest.mark.parametrize(
    "name, changes",
    [
        ("equal", {}),
        ("equal_shuffled", {"by_length": False, "accumulation": 2, "clip_norm": 0.5}),
    ],
)
def test_loss_equals_that_of_one_process_with_the_same_batch(name, changes, launched, tmp_path):
    train(tmp_path / "one", ToyConfig(**EQUAL, **changes))
    one, two = records_of(tmp_path / "one"), records_of(launched[0] / name)
    assert len(one) == len(two) and one[-2]["step"] == 20
    for a, b in zip(one, two, strict=True):
        assert b == pytest.approx(a, abs=1e-5)


@pytest.mark.parametrize("name", ["float32", "bf16", "workers"])
def test_killed_and_resumed_run_ends_with_the_same_bits(name, launched):
    assert launched[1]["resumed"][name]


def test_signal_to_one_process_stops_both_at_the_same_step(launched):
    assert "stopped at step 5 of 18" in launched[1]["stopped"]
    assert (launched[0] / "stopped" / "checkpoints" / "step-00000005" / "process-1.pt").is_file()


def test_folder_that_one_process_refuses_is_refused_by_all(launched):
    assert "is not empty" in launched[1]["refused"]


def test_statistics_of_batch_norm_are_those_of_the_first(launched):
    assert launched[1]["statistics"] == [3.0, 3.0]


def test_evaluation_counts_every_example_once_in_sets_that_do_not_divide(launched):
    for count in (0, 1, 2, 7, 10):
        assert launched[1]["evaluated"][str(count)] == [count * (count - 1) / 2, count]


def test_minutes_give_both_processes_the_same_number_of_steps(launched):
    assert launched[1]["planned"] >= 1
    planned = [r for r in records_of(launched[0] / "minutes") if "planned_steps" in r]
    assert planned[-1]["planned_steps"] == launched[1]["planned"]
