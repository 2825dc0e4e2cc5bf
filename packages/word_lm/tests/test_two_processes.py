"""Two processes (torchrun, gloo) of the real command train as one does, and resume after a kill to the same bits.

The loop itself is held to this by the tests of `shared`. Here it is what this package brings: columns of text that are
dealt out, a state that each process carries for its own, clusters of words that a process may not meet, and gradients
of single rows of the embedding.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from shared.command.options import RunOptions
from shared.testing import records_of
from word_lm import train
from word_lm.config import TrainConfig

STEPS, COMPARED = 80, 20
"""Steps of a run, so many that a signal comes before the end; and those whose losses are compared."""
SECONDS = 120
"""A launch may take so long, which is many times what it needs; processes that wait for each other never end."""

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.skipif(sys.platform == "win32", reason="gloo needs a POSIX system"),
]


def launch(config: Path, out: Path, *more: str, stop: bool = False) -> None:
    """Run `train` in two processes to the end, or, with `stop`, until both are told to stop after some steps."""
    is_stopped = stop
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "word_lm", "train", "--config", str(config), "--out", str(out), *more),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    limit = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    limit.start()
    printed = ""
    assert process.stdout is not None
    with process, process.stdout:
        for line in process.stdout:
            printed += line
            if stop and f"/{STEPS} lr " in line:
                process.send_signal(signal.SIGTERM)  # to torchrun, which hands it on to both
                stop = False
        process.wait()
    limit.cancel()
    assert (process.returncode == 0) is not is_stopped, printed[-4000:]


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """Return the run of one process. No dropout: its random numbers differ by process."""
    config = TrainConfig(
        data=str(sample_folder), device="cpu", threads=1, model="lstm", embedding_size=24, hidden_size=24,
        batch_size=15, steps=STEPS, evaluate_every=0, log_every=1, learning_rate=0.01, dropout=0.0,
        softmax="adaptive", cutoffs=(30, 60), clip_norm=1.0,
    )  # fmt: skip
    out = tmp_path_factory.mktemp("processes") / "one"
    train.train(config, RunOptions(out=str(out), quiet=True))
    return out


@pytest.fixture(scope="module")
def two(one: Path) -> Path:
    """Return the same run by two processes, of which one has 8 columns of text and one 7."""
    out = one.with_name("two")
    launch(one / "config.yaml", out, "--quiet")
    return out


def test_two_processes_have_the_losses_of_one_with_the_same_batch(one: Path, two: Path) -> None:
    alone, together = records_of(one)[:COMPARED], records_of(two)[:COMPARED]
    assert [record["step"] for record in together] == [*range(1, COMPARED + 1)]
    for a, b in zip(alone, together, strict=True):
        assert b == pytest.approx(a, abs=1e-5)


def test_two_processes_that_are_told_to_stop_save_and_resume_to_the_same_bits(
    one: Path, two: Path
) -> None:
    out = one.with_name("torn")
    launch(one / "config.yaml", out, stop=True)
    [saved] = (out / "checkpoints").iterdir()
    facts = json.loads((saved / "manifest.json").read_text())
    assert 0 < facts["step"] < STEPS and facts["facts"]["processes"] == 2
    assert {"process-0.pt", "process-1.pt"} <= facts["sha256"].keys()
    launch(one / "config.yaml", out, "--quiet", "--resume")
    whole, torn = weights_of(two), weights_of(out)
    assert whole.keys() == torn.keys()
    assert all(torch.equal(whole[name], torn[name]) for name in whole)
    assert records_of(out) == records_of(two)


def test_run_of_two_processes_is_not_resumed_by_one(one: Path, two: Path, tmp_path: Path) -> None:
    from shared.command.config import load
    from shared.errors import UserError

    config = replace(load(TrainConfig, one / "config.yaml"), steps=STEPS)
    (two / "summary.json").rename(tmp_path / "summary.json")
    try:
        with pytest.raises(UserError, match="was written by 2 process"):
            train.train(config, RunOptions(out=str(two), resume=True, quiet=True))
    finally:
        (tmp_path / "summary.json").rename(two / "summary.json")
