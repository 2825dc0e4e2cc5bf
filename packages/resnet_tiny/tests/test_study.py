from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_tiny.commands import study
from resnet_tiny.commands.devices import Setup
from resnet_tiny.commands.inspect import first_batch, grid
from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import load_images

Caller = Callable[..., tuple[int, str, str]]


def test_study_compares_devices_and_training_with_and_without_augmentation(
    resnet_tiny: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "setups", lambda threads: [Setup("cpu", "float32", threads=1)])
    real = study.load_recipe
    monkeypatch.setattr(
        study, "load_recipe", lambda *a: replace(real(*a), arch="shufflenet_v2_x0_5", threads=1)
    )
    words = (
        *("study", "--data", sample_folder, "--only-classes", 4, "--holdout-per-class", 2, "--epochs", 2),
        *("--batch-size", 8, "--steps", 1, "--out", "s", "--quiet"),
    )  # fmt: skip
    code, printed, _ = resnet_tiny(*words)
    assert code == 0 and "CPU, 1 thread" in printed
    found = json.loads((tmp_path / "s" / "study.json").read_text())
    assert list(found["runs"]) == ["without augmentation", "with crops and flips"]
    (device,) = found["devices"]
    assert device["images_per_second"] > 0
    page = (tmp_path / "s" / "report.html").read_text()
    for name, metrics in found["runs"].items():
        assert name in page and f"{100 * metrics['valid_top1']:.2f} %" in page
    assert (tmp_path / "s" / "overfitting.png").read_bytes()[:4] == b"\x89PNG"
    configs = [
        (tmp_path / "s" / n / "config.yaml").read_text()
        for n in ("without-augmentation", "with-crops-and-flips")
    ]
    assert "flip: none" in configs[0] and "flip: random" in configs[1] and "crop: pad" in configs[1]
    before = (tmp_path / "s" / "with-crops-and-flips" / "summary.json").read_bytes()
    assert resnet_tiny(*words, "--resume", "--steps", 0)[0] == 0  # nothing is trained again
    assert (tmp_path / "s" / "with-crops-and-flips" / "summary.json").read_bytes() == before


def test_inspect_shows_the_batch_that_training_begins_with(
    resnet_tiny: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    config = TrainConfig(data=str(sample_folder), holdout_per_class=2, batch_size=9, flip="none")
    images = load_images(config)
    facts, shown = first_batch(config, images)
    assert shown.shape == (9, 3, 64, 64) and facts["mean"] == pytest.approx(float(shown.mean()))
    for row, label in zip(facts["first"], facts["labels"], strict=False):
        assert row["label"] == label and f"/{images.classes.ids[label]}/" in row["file"]
    with Image.open(sample_folder / facts["first"][0]["file"]) as first:
        expected = np.asarray(first.convert("RGB"))
    assert np.array_equal(np.asarray(grid(shown))[:64, :64], expected)  # normalized and back
    real_out = tmp_path / "batch.png"
    code, printed, _ = resnet_tiny(
        "inspect", "--data", sample_folder, "--batch-size", 9, "--out", real_out
    )
    assert code == 0 and "10 held out" in printed  # one of the 8 images of each of ten classes
    code, printed, _ = resnet_tiny("inspect", "--batch-size", 9, "--out", real_out)
    assert code == 0 and "uint8 (9, 64, 64, 3)" in printed
    with Image.open(real_out) as shown_image:
        assert shown_image.size == (8 * 64, 2 * 64)
