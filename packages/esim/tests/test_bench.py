from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from esim.commands import bench
from esim.commands.options import BenchOptions
from esim.commands.peer import SeparatelyPacked, peer_step

Caller = Callable[..., tuple[int, str, str]]
SMALL = ("--hidden-size", 8, "--vocabulary", "[200]", "--steps", 1, "--rounds", 1, "--json")


def test_bench_compares_ours_with_the_way_of_the_peer(esim: Caller, sample_folder: Path) -> None:
    code, printed, _ = esim("bench", "--data", sample_folder, *SMALL, "--profile")
    assert code == 0
    (found,) = json.loads(printed)
    ours, theirs = found["pairs_per_second"].values()
    assert found["ratio"] == ours / theirs
    assert "equivalent" in list(found["pairs_per_second"])[1]
    assert all(0 < sum(shares.values()) <= 1 for shares in found["profile"].values())


def test_bench_counts_the_pairs_that_are_there_where_the_data_does_not_fill_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = itertools.count()
    monkeypatch.setattr(
        bench, "time", SimpleNamespace(process_time=lambda: next(seconds), perf_counter=None)
    )
    options = BenchOptions(hidden_size=4, steps=2, rounds=1, clock="cpu", precision="float32")
    found = bench.compare(options, np.full((5, 2), 3), 200)
    assert list(found["pairs_per_second"].values()) == [10, 10]  # 2 steps of 5 pairs in a second


def test_bench_takes_a_checkout_of_the_peer(
    esim: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    package = tmp_path / "peer" / "esim"
    package.mkdir(parents=True)
    for name in ("__init__", "utils", "layers"):
        (package / f"{name}.py").write_text("")
    (package / "model.py").write_text(
        "from torch import nn\n"
        "from . import layers\n"
        "class ESIM(nn.Module):\n"
        "    def __init__(self, words, size, hidden, embeddings=None, dropout=0.5):\n"
        "        super().__init__()\n"
        "        self.table = nn.Embedding(words, 3, _weight=embeddings[:, :3])\n"
        "    def forward(self, a, a_lengths, b, b_lengths):\n"
        "        found = self.table(a).mean(1) + self.table(b).mean(1)\n"
        "        return found, found.softmax(1)\n"
    )
    code, printed, _ = esim("bench", "--data", sample_folder, *SMALL, "--peer", tmp_path / "peer")
    assert code == 0
    assert "coetaur0/ESIM (float32)" in json.loads(printed)[0]["pairs_per_second"]


def test_the_peers_way_learns_and_its_scores_do_not_depend_on_padding() -> None:
    torch.manual_seed(0)
    model = SeparatelyPacked(30, 6, dropout=0.0)
    batch = {
        "premises": torch.randint(1, 30, (3, 5)), "premise_lengths": np.array([5, 2, 4]),
        "hypotheses": torch.randint(1, 30, (3, 4)), "hypothesis_lengths": np.array([1, 4, 3]),
        "labels": torch.tensor([0, 1, 2]),
    }  # fmt: skip

    def scores() -> torch.Tensor:
        lengths = [torch.tensor(batch[f"{side}_lengths"]) for side in ("premise", "hypothesis")]
        with torch.no_grad():
            return model(batch["premises"], lengths[0], batch["hypotheses"], lengths[1])[0]

    before = scores()
    batch["premises"][1, 2:] = 7  # behind the end
    torch.testing.assert_close(scores(), before)
    step = peer_step(model)
    step(batch)
    assert (scores() - before).abs().max() > 1e-6
