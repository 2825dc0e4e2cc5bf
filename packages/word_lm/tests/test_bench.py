from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from word_lm.commands import bench, busy
from word_lm.commands.bench import _ExamplesModel, examples_trainer
from word_lm.config import TrainConfig


def test_bench_compares_ours_with_the_examples(
    word_lm: Callable[..., tuple[int, str, str]], sample_folder: Path
) -> None:
    code, printed, _ = word_lm(
        "bench", "--data", sample_folder, "--steps", 2, "--words", 12, "--rounds", 1, "--json"
    )
    assert code == 0
    found = json.loads(printed)
    ours, examples = found["tokens_per_second"].values()
    assert found["ratio"] == ours / examples
    writing = found["generation"]
    ours, examples = writing["words_per_second"].values()
    assert writing["words"] == 12 and writing["ratio"] == ours / examples


def test_words_0_times_training_only(
    word_lm: Callable[..., tuple[int, str, str]], sample_folder: Path
) -> None:
    wanted = ["--steps", 1, "--words", 0, "--rounds", 1]
    code, printed, _ = word_lm("bench", "--data", sample_folder, *wanted)
    assert code == 0 and "tokens/s" in printed and "words/s" not in printed


def test_text_shorter_than_a_batch_is_refused(
    word_lm: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("a b c d e\n" * 20)  # 20 columns of 5 tokens
    code, _, error = word_lm("bench", "--data", "text.txt", "--words", 0)
    assert code == 2 and "too few for a batch of 20 x 35. Give 720 or more" in error


def test_steps_are_timed_beside_busy_processes_that_end_with_the_timing(
    word_lm: Callable[..., tuple[int, str, str]],
    sample_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = []
    real = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = real(*arguments, **options)
        started.append(process)
        return process

    monkeypatch.setattr(busy.subprocess, "Popen", start)
    wanted = ["--steps", 1, "--words", 0, "--rounds", 1, "--busy", 2, "--json"]
    code, printed, _ = word_lm("bench", "--data", sample_folder, *wanted)
    idle, *beside = json.loads(printed)["busy"]
    assert code == 0 and idle["speed"] == 1 and len(beside) == 2
    for row in beside:
        assert row["speed"] == pytest.approx(idle["step_seconds"] / row["step_seconds"])
    assert len(started) == 3 and all(process.returncode is not None for process in started)
    assert all(process.args == [sys.executable, "-c", busy.BUSY] for process in started)


def test_busy_process_keeps_a_core_busy_until_its_parent_ends() -> None:
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {busy.BUSY!r}])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(1)\n"
        "assert child.poll() is None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], check=True, capture_output=True, text=True
    )
    child = int(done.stdout)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize("words", [1, 7, 1000])
def test_their_transformer_reads_the_whole_text_for_each_word(
    words: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock that advances by what is read: the seconds of a text must be those of all its words.
    clock = 0.0

    class Counting(_ExamplesModel):
        def forward(self, ids: torch.Tensor, state: Any, *, is_masked: bool = True) -> Any:
            nonlocal clock
            assert not is_masked
            clock += len(ids)
            return torch.zeros(len(ids), 10), None

    monkeypatch.setattr(bench, "_ExamplesModel", Counting)
    monkeypatch.setattr("time.perf_counter", lambda: clock)
    config = TrainConfig(model="transformer", embedding_size=8, hidden_size=8, layers=1)
    seconds = bench.examples_generator(config, 10, torch.device("cpu"))(words)
    assert seconds == pytest.approx(words * (words + 1) / 2, rel=0.002)


def test_their_recurrent_model_continues_from_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Watched(_ExamplesModel):
        def forward(self, ids: torch.Tensor, state: Any, *, is_masked: bool = True) -> Any:
            seen.append((ids.shape, state is None))
            return super().forward(ids, state)

    monkeypatch.setattr(bench, "_ExamplesModel", Watched)
    config = TrainConfig(model="lstm", embedding_size=8, hidden_size=8, layers=1)
    assert bench.examples_generator(config, 10, torch.device("cpu"))(3) > 0
    assert seen == [((1, 1), True), ((1, 1), False), ((1, 1), False)]


def test_the_examples_side_learns_and_masks_the_future() -> None:
    config = TrainConfig(
        model="transformer", embedding_size=8, hidden_size=8, layers=1, dropout=0.0, batch_size=4, bptt=5,
        learning_rate=1.0, clip_norm=0.25,
    )  # fmt: skip
    torch.manual_seed(0)
    model = _ExamplesModel(config, 10).eval()
    ids = torch.randint(0, 10, (6, 2))
    changed = ids.clone()
    changed[4:] = (changed[4:] + 1) % 10
    before, after = (model(text, None)[0].view(6, 2, 10)[:4] for text in (ids, changed))
    torch.testing.assert_close(before, after)
    weights: list[nn.Parameter] = []
    update = examples_trainer(config, np.arange(100, dtype=np.int32) % 10, 10, torch.device("cpu"))
    for cell in update.__closure__ or ():
        if isinstance(cell.cell_contents, nn.Module):
            weights = list(cell.cell_contents.parameters())
    first = [weight.detach().clone() for weight in weights]
    update(2)
    assert weights and all(not torch.equal(a, b) for a, b in zip(first, weights, strict=True))
