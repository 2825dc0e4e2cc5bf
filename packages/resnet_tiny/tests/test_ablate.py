from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_tiny.commands import ablate
from resnet_tiny.config import TrainConfig


def test_each_part_of_a_recipe_is_left_out_once() -> None:
    base = TrainConfig(
        crop="pad", flip="random", ema_decay=0.99, channels_last=False, precision="float32"
    )
    found = ablate.variants(base)
    assert list(found) == [
        "all parts", "without crop", "without flip", "without moving average", "with Muon", "with the whitened stem",
        "with the 3x3 stem",
    ]  # fmt: skip
    assert found["without crop"] == replace(base, crop="none")
    assert found["with Muon"] == replace(base, optimizer="muon")
    assert ablate.variants(found["with Muon"])["without Muon"] == base


def test_every_part_of_modern_has_a_flag_and_a_run() -> None:
    from shared.command.config import load

    recipe = Path(ablate.__file__).parents[1] / "recipes" / "modern.yaml"
    found = ablate.variants(load(TrainConfig, recipe))
    assert len(found) == len(ablate.WITHOUT) + 1  # it has the 3x3 stem; two more are tried
    assert {"with Muon", "with the whitened stem"} < set(found)


def test_study_reports_the_hold_out_and_goes_on_where_it_was(
    resnet_tiny: Callable[..., tuple[int, str, str]],
    sample_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ablate, "HOLDOUT", 2)
    monkeypatch.setattr(ablate, "WITHOUT", {"flip": {"flip": "none"}})
    real = ablate.load_recipe
    monkeypatch.setattr(
        ablate,
        "load_recipe",
        lambda *a: replace(real(*a), arch="shufflenet_v2_x0_5", stem="7x7"),
    )
    words = (
        "ablate",
        "--data",
        sample_folder,
        "--only-classes",
        4,
        "--epochs",
        1,
        "--batch-size",
        8,
        "--json",
    )
    code, printed, error = resnet_tiny(*words)
    assert (code, error) == (0, "")
    rows = json.loads(printed)["rows"]
    assert [row["name"] for row in rows] == ["all parts", "without flip"]
    summary = json.loads((tmp_path / "ablation" / "all-parts-1" / "summary.json").read_text())
    assert rows[0]["valid_top1"] == summary["metrics"]["valid_top1"]
    assert json.loads(resnet_tiny(*words)[1])["rows"] == rows  # nothing is trained again
