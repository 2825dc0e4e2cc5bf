"""Every setting of a training run does something: a table over all fields of TrainConfig."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from resnet_tiny import train
from resnet_tiny.config import TrainConfig
from resnet_tiny.data import pack
from resnet_tiny.model import resnet
from shared.command.options import RunOptions
from shared.errors import UserError
from shared.testing import records_of
from shared.torch.config import LoopConfig
from shared.torch.muon import Muon

BASE = TrainConfig(
    device="cpu", threads=1, precision="float32", batch_size=16, steps=4, holdout_per_class=2, log_every=2,
    learning_rate=0.05, weight_decay=0.1, pack_threads=1,
)  # fmt: skip
CALLS: list[Any] = []
"""What the model below was built with and shown."""


class Tiny(nn.Module):
    """A network that makes a step in a few milliseconds, and notes how it is called."""

    def __init__(self, arch: str, classes: int, **settings: Any) -> None:
        super().__init__()
        CALLS.append(("built", arch, classes, settings))
        self.conv = nn.Conv2d(3, 6, 3, stride=4)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, classes)

    def forward(self, images: Tensor) -> Tensor:
        layout = images.is_contiguous(memory_format=torch.channels_last)
        half = torch.is_autocast_enabled("cpu")
        threads = torch.get_num_threads()
        CALLS.append(("shown", self.training, tuple(images.shape), layout, half, threads))
        return self.fc(self.norm(self.conv(images)).relu().mean(dim=(2, 3)))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        CALLS.append("compiled")


@dataclass(frozen=True)
class Result:
    """What came of a training: each part as something that compares."""

    weights: str
    records: str
    files: str
    summary: str
    calls: str


def result(config: TrainConfig, folder: Path, data: Path) -> Result:
    """Train, and return what can be observed; a refusal is its message."""
    CALLS.clear()
    data_given = config.data or str(data)
    try:
        out = train.train(replace(config, data=data_given), RunOptions(out=str(folder), quiet=True))
    except UserError as error:
        return Result(*[str(error)] * 5)
    assert out is not None
    last = sorted((out / "checkpoints").glob("step-*"))[-1] / "model.safetensors"
    summary = json.loads((out / "summary.json").read_text())
    kept = {name: summary[name] for name in ("recipe", "seed", "data", "steps", "metrics")}
    names = {
        str(path.relative_to(out)) for path in out.rglob("*") if "tensorboard" not in path.parts
    }
    return Result(
        hashlib.sha256(last.read_bytes()).hexdigest(),
        json.dumps(records_of(out)),
        json.dumps(sorted(names)),
        json.dumps(kept),
        repr(CALLS),
    )


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the tiny network in the place of torchvision's."""
    monkeypatch.setattr(
        resnet, "build_model", lambda arch, classes, **more: Tiny(arch, classes, **more)
    )


Change = tuple[dict[str, Any], Any, str]
"""Settings that both runs have; the value to try; which part of the result must differ."""

CHANGES: dict[str, Change] = {
    # shared by all torch tasks
    "recipe": ({}, "laptop", "summary"),
    "seed": ({}, 2, "weights"),
    "device": ({}, "mps", "weights"),
    "precision": ({}, "bf16", "calls"),
    "threads": ({}, 2, "calls"),
    "compile": ({}, True, "calls"),
    "epochs": ({"steps": None, "epochs": 1}, 2, "records"),
    "steps": ({}, 3, "weights"),
    "minutes": ({"steps": None, "epochs": 1}, 0.02, "records"),
    "accumulation": ({}, 2, "weights"),
    "clip_norm": ({}, 0.01, "weights"),
    "schedule": ({}, "linear", "weights"),
    "warmup": ({"schedule": "linear"}, 0.5, "weights"),
    "final_factor": ({"schedule": "linear"}, 0.5, "weights"),
    "decay_factor": ({"schedule": "decay", "steps": None, "epochs": 3}, 0.1, "weights"),
    "decay_epochs": ({"schedule": "decay", "steps": None, "epochs": 3}, 2, "weights"),
    "ema_decay": ({}, 0.5, "weights"),
    "asgd_window": ({"steps": 12, "evaluate_every": 1, "learning_rate": 1.0}, 1, "weights"),
    "patience": ({"steps": 12, "evaluate_every": 1, "learning_rate": 1e-6}, 1, "summary"),
    "evaluate_every": ({}, 1, "records"),
    "log_every": ({}, 1, "records"),
    "checkpoint_every": ({}, 1, "files"),
    "checkpoint_seconds": ({}, 1e-9, "files"),
    "checkpoint_epochs": ({}, (1,), "files"),
    "profile_steps": ({"steps": 8}, 1, "files"),
    # data
    "image_size": ({"resize": True}, 48, "calls"),
    "only_classes": ({}, 5, "calls"),
    "holdout_per_class": ({}, 3, "summary"),
    "selection": ({}, "val", "summary"),
    # model
    "arch": ({}, "resnet34", "calls"),
    "stem": ({}, "3x3", "calls"),
    "zero_init_residual": ({}, True, "calls"),
    "whiten_stem": ({}, True, "weights"),
    "channels_last": ({}, False, "calls"),
    # augmentation
    "crop": ({}, "pad", "weights"),
    "crop_padding": ({"crop": "pad"}, 9, "weights"),
    "crop_area": ({"crop": "resized"}, 0.9, "weights"),
    "evaluation_crop": ({}, 0.5, "records"),
    "flip": ({}, "random", "weights"),
    "mixup": ({}, 1.0, "weights"),
    "cutmix": ({}, 1.0, "weights"),
    "mix_probability": ({"mixup": 1.0}, 0.3, "weights"),
    "mix_until": ({"mixup": 1.0}, 0.5, "weights"),
    "label_smoothing": ({}, 0.1, "weights"),
    "sizes": ({}, (32,), "calls"),
    "size_fractions": ({"sizes": (32, 64)}, (0.25, 0.75), "calls"),
    # optimizer
    "optimizer": ({}, "adamw", "weights"),
    "learning_rate": ({}, 0.06, "weights"),
    "muon_learning_rate": ({"optimizer": "muon"}, 0.05, "weights"),
    "momentum": ({}, 0.5, "weights"),
    "nesterov": ({}, True, "weights"),
    "weight_decay": ({}, 0.0, "weights"),
    "decay_norms": ({}, False, "weights"),
    "batch_size": ({}, 20, "calls"),
    "evaluation_batch_size": ({}, 7, "calls"),
}
BEFORE: dict[TrainConfig, Result] = {}
"""Runs that several settings are compared with."""
ELSEWHERE = {
    "data": "test_data_is_what_is_trained_on",
    "cache": "test_decoded_images_are_kept_where_asked",
    "pack_threads": "test_images_are_decoded_by_as_many_threads_as_asked",
    "resize": "test_images_of_other_sizes_are_refused_or_scaled_or_skipped",
    "on_bad_image": "test_images_of_other_sizes_are_refused_or_scaled_or_skipped",
    "weights": "test_training_starts_from_given_weights",
    "init": "test_training_starts_from_a_run",
    "workers": "test_workers_fetch_the_batches_and_change_nothing",
}
"""Settings that need more than another value, and the test below that would notice if they did nothing."""
ON_GPUS = {"deterministic"}
"""Settings without effect on a CPU; shared/tests/torch looks at them."""


def test_every_setting_is_in_the_table() -> None:
    names = {field.name for field in fields(TrainConfig)}
    assert names == CHANGES.keys() | ELSEWHERE.keys() | ON_GPUS
    assert set(ELSEWHERE.values()) <= globals().keys()


LOOPS_OWN = {field.name for field in fields(LoopConfig)}
"""Settings of the loop, which other packages try too: here they are left to `make reliability`."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.reliability] if name in LOOPS_OWN else [])
        for name in CHANGES
    ],
)
@pytest.mark.usefixtures("tiny")
def test_setting_changes_the_run(
    name: str, tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.torch.loop.require_compiler", lambda device: None)
    both, value, part = CHANGES[name]
    config = replace(BASE, **both)
    assert getattr(config, name) != value
    if config not in BEFORE:
        BEFORE[config] = result(config, tmp_path / "before", sample_folder)
    after = result(replace(config, **{name: value}), tmp_path / "after", sample_folder)
    before = BEFORE[config]
    torch.set_num_threads(1)
    assert getattr(before, part) != getattr(after, part)


@pytest.mark.usefixtures("tiny")
def test_the_same_settings_give_the_same_run(tmp_path: Path, sample_folder: Path) -> None:
    """Else the test above could not fail."""
    one, other = (result(BASE, tmp_path / name, sample_folder) for name in ("a", "b"))
    assert one == other


@pytest.mark.parametrize(
    "name, value",
    [("momentum", 0.5), ("nesterov", True), ("precision", "bf16"), ("weight_decay", 0.0)],
)
@pytest.mark.usefixtures("tiny")
def test_muon_heeds_the_settings_it_shares_with_sgd(
    name: str, value: Any, tmp_path: Path, sample_folder: Path
) -> None:
    config = replace(BASE, optimizer="muon")
    before = result(config, tmp_path / "before", sample_folder)
    after = result(replace(config, **{name: value}), tmp_path / "after", sample_folder)
    assert before.weights != after.weights


@pytest.mark.usefixtures("tiny")
def test_data_is_what_is_trained_on(tmp_path: Path, sample_folder: Path, broken: Path) -> None:
    for path in sorted(broken.glob("train/*/images/*"))[:8]:  # a whole class
        Image.new("RGB", (64, 64), "white").save(path, "JPEG")
    before = result(BASE, tmp_path / "before", sample_folder)
    after = result(replace(BASE, data=str(broken)), tmp_path / "after", sample_folder)
    assert before.weights != after.weights and before.summary != after.summary


@pytest.mark.usefixtures("tiny")
def test_decoded_images_are_kept_where_asked(tmp_path: Path, sample_folder: Path) -> None:
    result(replace(BASE, cache=str(tmp_path / "cache")), tmp_path / "run", sample_folder)
    assert len(list((tmp_path / "cache").glob("*/images.npy"))) == 2


@pytest.mark.usefixtures("tiny")
def test_images_are_decoded_by_as_many_threads_as_asked(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, numbers = pack.ThreadPoolExecutor, []

    def noting(threads: int) -> Any:
        numbers.append(threads)
        return real(threads)

    monkeypatch.setattr(pack, "ThreadPoolExecutor", noting)
    config = replace(BASE, cache=str(tmp_path / "cache"), pack_threads=3)
    result(config, tmp_path / "run", sample_folder)
    assert set(numbers) == {3}


@pytest.mark.usefixtures("tiny")
def test_images_of_other_sizes_are_refused_or_scaled_or_skipped(
    tmp_path: Path, broken: Path
) -> None:
    first = sorted(broken.glob("train/*/images/*"))[0]
    Image.new("RGB", (100, 80), "white").save(first, "JPEG")
    refused = result(BASE, tmp_path / "refused", broken)
    scaled = result(replace(BASE, resize=True), tmp_path / "scaled", broken)
    skipped = result(replace(BASE, on_bad_image="skip"), tmp_path / "skipped", broken)
    assert "is 100x80 pixels, expected 64x64" in refused.summary
    assert '"train": 60' in scaled.summary and '"train": 59' in skipped.summary


@pytest.mark.usefixtures("tiny")
def test_training_starts_from_given_weights(tmp_path: Path, sample_folder: Path) -> None:
    torch.manual_seed(9)
    other = Tiny("x", 10)
    save_file(other.state_dict(), str(tmp_path / "w.safetensors"))
    config = replace(
        BASE, weights=str(tmp_path / "w.safetensors"), learning_rate=1e-9, weight_decay=0
    )
    out = train.train(
        replace(config, data=str(sample_folder)), RunOptions(out=str(tmp_path / "r"), quiet=True)
    )
    assert out is not None
    trained = train.load_run(out).model
    assert isinstance(trained, Tiny)
    assert torch.allclose(trained.conv.weight, other.conv.weight, atol=1e-6)
    assert torch.allclose(trained.fc.weight, other.fc.weight, atol=1e-6)


@pytest.mark.usefixtures("tiny")
def test_training_starts_from_a_run(tmp_path: Path, sample_folder: Path) -> None:
    config = replace(BASE, data=str(sample_folder))
    first = train.train(config, RunOptions(out=str(tmp_path / "a"), quiet=True))
    assert first is not None
    config = replace(config, init=str(first), whiten_stem=True, learning_rate=1e-9, weight_decay=0)
    second = train.train(config, RunOptions(out=str(tmp_path / "b"), quiet=True))
    assert second is not None
    old, new = (dict(train.load_run(out).model.named_parameters()) for out in (first, second))
    assert all(torch.allclose(old[name], new[name], atol=1e-6) for name in old)
    assert f"starts from {first}" in (second / "log.txt").read_text()
    # It continues from its own checkpoint: the run that it started from may be gone by then.
    shutil.rmtree(first)
    (second / "summary.json").unlink()
    assert train.train(config, RunOptions(out=str(second), resume=True, quiet=True)) == second
    assert (second / "summary.json").exists()


@pytest.mark.usefixtures("tiny")
def test_workers_fetch_the_batches_and_change_nothing(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    real: Callable[..., Any] = train.TrainBatches.__call__
    monkeypatch.setattr(
        train.TrainBatches,
        "__call__",
        lambda self, shard: real(self, shard) | {"process": os.getpid()},
    )
    fetched: list[int] = []
    loss = train.BatchLoss.__call__
    monkeypatch.setattr(
        train.BatchLoss,
        "__call__",
        lambda self, model, batch: fetched.append(batch["process"]) or loss(self, model, batch),
    )
    alone = result(BASE, tmp_path / "alone", sample_folder)
    assert set(fetched) == {os.getpid()}
    fetched.clear()
    with_worker = result(replace(BASE, workers=1), tmp_path / "worker", sample_folder)
    assert os.getpid() not in fetched and len(fetched) == 4
    assert with_worker.weights == alone.weights


@pytest.mark.usefixtures("tiny")
def test_best_checkpoint_is_reported_and_not_the_last(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([0.9, 0.5, 0.1, 0.05])
    names = ("valid_loss", "valid_acc", "valid_acc5")
    monkeypatch.setattr(
        train, "_figures_to_choose_by", lambda *given: dict.fromkeys(names, next(falling))
    )
    measured: list[float] = []
    real = train.measure

    def noting(model: Any, *given: Any, **settings: Any) -> Any:
        measured.append(float(model.fc.weight.detach().abs().sum()))
        return real(model, *given, **settings)

    monkeypatch.setattr(train, "measure", noting)
    config = replace(BASE, data=str(sample_folder), evaluate_every=1, learning_rate=0.5)
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    newest = train.load_run(out, checkpoint="last").model
    assert measured == [float(newest.fc.weight.detach().abs().sum())]  # what `last_val_top1` is of
    images = train.load_images(config)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["best_step"] == 1 and summary["metrics"]["valid_top1"] == 0.9
    losses = {}
    for name in ("best", "last"):
        model = train.load_run(out, checkpoint=name).model
        losses[name] = train.measure(model, images.val, device=torch.device("cpu")).figures()[
            "loss"
        ]
    assert losses["best"] != pytest.approx(losses["last"])
    assert summary["metrics"]["val_loss"] == pytest.approx(losses["best"])
    shutil.rmtree(out)


@pytest.mark.usefixtures("tiny")
def test_only_training_images_are_trained_on(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: set[bytes] = set()
    loss = train.BatchLoss.__call__

    def noting(self: Any, model: Any, batch: Any) -> Any:
        trained.update(image.numpy().tobytes() for image in batch["pixels"])
        return loss(self, model, batch)

    monkeypatch.setattr(train.BatchLoss, "__call__", noting)
    config = replace(BASE, data=str(sample_folder), steps=None, epochs=2)
    train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    images = train.load_images(config)
    own = {
        name: {one.numpy().tobytes() for one in subset.pixels(np.arange(len(subset)))}
        for name, subset in (
            ("train", images.train),
            ("holdout", images.holdout),
            ("val", images.val),
        )
    }
    assert len(own["train"]) == 60 and trained <= own["train"]
    assert not trained & (own["holdout"] | own["val"])
    assert len(trained) > 48  # each epoch has three batches of 16, of an order of its own


@pytest.mark.parametrize("precision, dtype", [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_muon_computes_in_the_precision_of_the_run(precision: str, dtype: torch.dtype) -> None:
    config = replace(BASE, optimizer="muon", precision=precision)  # type: ignore[arg-type]
    _, muon = train.make_optimizers(config, Tiny("x", 10))
    assert isinstance(muon, Muon)
    assert (muon._dtype, muon.defaults["lr"]) == (dtype, config.muon_learning_rate)
