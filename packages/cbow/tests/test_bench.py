from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cbow.commands import bench
from cbow.commands.bench import PER_WORD, loop_per_sample, loop_per_word, write_made_up_text
from cbow.commands.options import BenchOptions
from cbow.data import dataset
from cbow.model import reference
from cbow.model.weights import initial_weights

Caller = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("loop", [loop_per_word, loop_per_sample])
def test_the_loops_we_measure_against_compute_the_same_steps(loop: Callable[..., float]) -> None:
    samples = [([1, 2, 2], 3), ([0, 4], 2), ([3], 1)]
    U, V = initial_weights(5, 3, seed=1)
    expected_U, expected_V = U.copy(), V.copy()
    losses = [
        reference.step(expected_U, expected_V, context, target, 0.5) for context, target in samples
    ]
    assert loop(U, V, samples, 0.5) == pytest.approx(np.mean(losses))
    np.testing.assert_allclose(U, expected_U)
    np.testing.assert_allclose(V, expected_V)


@pytest.mark.long
def test_bench_prints_ratios(cbow: Caller, sample_folder: Path) -> None:
    code, printed, _ = cbow("bench", "--data", sample_folder, "--runs", 1, "--json")
    assert code == 0
    found = json.loads(printed)
    speeds = found["exact"]["per_second"]
    assert found["exact"]["ratio"][PER_WORD] == pytest.approx(speeds["cbow"] / speeds[PER_WORD])
    assert found["sampling"]["recall_at_40"]["cbow"] > 0.5
    assert found["sampling"]["recall_at_40"][bench.BATCHED] > 0.5


def test_words_a_second_are_those_of_the_block_that_is_trained(
    sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "BLOCK", 5000)
    monkeypatch.setattr(bench, "_timed", lambda work: (work(), 2.0)[1])
    monkeypatch.setattr(bench, "SAMPLING", replace(bench.SAMPLING, epochs=1, dimension=4))
    timed = bench._Bench(BenchOptions(data=str(sample_folder), runs=1), tmp_path)
    assert 0 < len(timed.ids) <= 5000
    assert timed.sampling()["per_second"]["cbow"] == (timed.ids >= 0).sum() / 2.0


def test_corpus_without_synonyms_has_no_recall(
    cbow: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_bytes((sample_folder / "debug.txt").read_bytes())
    monkeypatch.setattr(bench, "SAMPLING", replace(bench.SAMPLING, epochs=1, dimension=4))
    code, printed, _ = cbow("bench", "--data", "text.txt", "--runs", 1)
    assert code == 0 and "words/s" in printed
    assert "recall" not in printed and "nan" not in printed


def test_each_of_ours_is_compared_to_each_peer_round_by_round() -> None:
    speeds = {"cbow": [6.0, 9.0, 8.0], "cbow 2": [9.0, 8.0, 10.0], "peer": [3.0, 1.0, 2.0]}
    engines = {name: iter(values).__next__ for name, values in speeds.items()}
    found = bench._compare(3, engines)
    assert found["per_second"] == {"cbow": 8.0, "cbow 2": 9.0, "peer": 2.0}
    assert found["ratios"] == {"cbow": {"peer": 4.0}, "cbow 2": {"peer": 5.0}}
    assert found["ratio"] == found["ratios"]["cbow"]


def test_peak_memory_is_left_out_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (bench._peak_megabytes() or 0) > 10
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert bench._peak_megabytes() is None


PEAK = """
import resource, sys
from cbow.cli import main
assert main(["train", "--data", sys.argv[1], "--out", sys.argv[2], "--objective", "negative", "--dimension", "8",
             "--epochs", "1", "--quiet", "--max-vocab-size", "2000"]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000)
"""


@pytest.mark.reliability
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    peaks = []
    for million in (2, 8):
        path = tmp_path / f"{million}.txt"
        write_made_up_text(path, million * 1_000_000)
        command = [sys.executable, "-c", PEAK, path, tmp_path / f"run{million}"]
        done = subprocess.run(
            [str(word) for word in command], check=True, capture_output=True, text=True
        )
        peaks.append(int(done.stdout.splitlines()[-1]))
    # 6 million more tokens are 24 MB as ids and over 300 MB as Python strings.
    assert peaks[1] - peaks[0] < 12, peaks
