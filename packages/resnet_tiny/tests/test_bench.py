from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from resnet_tiny.commands import bench, devices
from resnet_tiny.commands.devices import WARM_UP, Setup, setups, time_setup
from resnet_tiny.commands.peer import ImageFolder, Peer
from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import load_images
from resnet_tiny.data.transforms import normalize
from resnet_tiny.model.resnet import build_model

CONFIG = TrainConfig(arch="shufflenet_v2_x0_5", holdout_per_class=2, batch_size=8, epochs=10)


def test_bench_splits_the_wait_from_the_work_and_compares(
    resnet_tiny: Callable[..., tuple[int, str, str]],
    sample_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench, "setups", lambda threads: [Setup("cpu", "float32", threads=1)])
    real = bench.load_recipe
    monkeypatch.setattr(
        bench,
        "load_recipe",
        lambda *a: bench.replace(real(*a), arch=CONFIG.arch, holdout_per_class=2),
    )
    words = (
        "bench",
        "--data",
        sample_folder,
        "--steps",
        2,
        "--rounds",
        1,
        "--batch-size",
        8,
        "--threads",
        "[1]",
    )
    code, printed, _ = resnet_tiny(*words, "--peer-workers", 0, "--json")
    assert code == 0
    found = json.loads(printed)
    (row,) = found["devices"]
    parts = row["wait_seconds"] + row["transform_seconds"] + row["compute_seconds"]
    assert row["step_seconds"] == pytest.approx(parts)
    assert row["run_hours"] == pytest.approx(row["step_seconds"] * (60 // 8) * row["epochs"] / 3600)
    assert found["peer"]["ratio"] == pytest.approx(found["peer"]["ours"] / found["peer"]["theirs"])
    code, printed, _ = resnet_tiny(*words, "--peer-workers", 0)
    assert code == 0 and "CPU, 1 thread" in printed and "pytorch/examples (float32)" in printed


def test_peer_reads_the_same_pixels_and_learns(sample_folder: Path) -> None:
    images = load_images(TrainConfig(data=str(sample_folder), holdout_per_class=2))
    listing = images.train.pack.listing
    paths = [str(listing.root / listing.files[row]) for row in images.train.rows]
    data = ImageFolder(paths, images.train.labels.tolist())
    ours = normalize(images.train.pixels(np.array([3])))[0]
    assert torch.allclose(data[3][0], ours, atol=1e-5) and data[3][1] == images.train.labels[3]
    model = build_model(CONFIG.arch, 10)
    before = [weight.detach().clone() for weight in model.parameters()]
    assert Peer(model, data, 8, workers=0).images_per_second(1, 1) > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


SLOW = 0.5
"""Seconds that each of the first steps takes in the test below."""


def test_first_steps_count_neither_for_ours_nor_for_the_peer(
    sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = load_images(TrainConfig(data=str(sample_folder), holdout_per_class=2))
    calls = 0

    def slow_at_first() -> None:
        nonlocal calls
        calls += 1
        if calls <= WARM_UP:
            time.sleep(SLOW)

    class SlowAtFirst(devices.BatchLoss):
        def prepare(self, batch: dict[str, Any]) -> tuple[torch.Tensor, float]:
            slow_at_first()
            return super().prepare(batch)

    monkeypatch.setattr(devices, "BatchLoss", SlowAtFirst)
    timing = time_setup(CONFIG, images, Setup("cpu", "float32", threads=1), 2)
    assert calls == WARM_UP + 2
    assert timing.transform < SLOW / 2  # with the first steps in it, it would be SLOW or more

    calls = 0
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 10))
    model.register_forward_hook(lambda *given: slow_at_first())
    data = ImageFolder(
        [str(path) for path in sorted(sample_folder.glob("train/*/images/*"))], [0] * 80
    )
    rate = Peer(model, data, 8, workers=0).images_per_second(2, WARM_UP)
    assert calls == WARM_UP + 2
    assert rate > 2 * 8 / SLOW  # the images of two steps, in less than one slow step takes


def test_devices_that_are_here_are_listed() -> None:
    found = setups((1, 2))
    assert [s.name for s in found if s.precision == "float32"][:2] == [
        "CPU, 1 thread",
        "CPU, 2 threads",
    ]
    assert Setup("cpu", "float32", threads=1, processes=2).name == "CPU, 1 thread x 2 processes"


@pytest.mark.reliability
def test_several_processes_are_timed_through_torchrun(sample_folder: Path) -> None:
    images = load_images(TrainConfig(data=str(sample_folder), holdout_per_class=2))
    timing = time_setup(CONFIG, images, Setup("cpu", "float32", threads=1, processes=2), 1)
    assert timing.images == 8 and timing.images_per_second > 0
