from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from resnet_tiny import train
from resnet_tiny.config import TrainConfig
from resnet_tiny.model.loss import BatchLoss, stage_of
from resnet_tiny.model.resnet import model_of
from resnet_tiny.model.trained import load_run
from shared.command.options import RunOptions
from shared.errors import UserError
from shared.interrupt import Interrupted
from shared.testing import records_of
from shared.torch.muon import Muon

CONFIG = TrainConfig(
    device="cpu", threads=1, arch="shufflenet_v2_x0_5", precision="float32", batch_size=16, steps=7,
    evaluate_every=3, holdout_per_class=2, log_every=1, learning_rate=0.02,
)  # fmt: skip


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_run(run, checkpoint="last").model.state_dict()


EVERYTHING = {
    "crop": "resized", "flip": "random", "cutmix": 1.0, "mixup": 0.4, "mix_until": 0.8, "label_smoothing": 0.1,
    "sizes": (32, 64), "ema_decay": 0.9, "nesterov": True, "decay_norms": False, "schedule": "one_cycle",
    "precision": "bf16",
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, marks=pytest.mark.reliability),
        pytest.param(EVERYTHING, marks=pytest.mark.reliability),
        EVERYTHING | {"optimizer": "muon"},
        pytest.param({"workers": 2, "crop": "pad"}, marks=pytest.mark.reliability),
    ],
    ids=["plain", "all", "muon", "workers"],
)
def test_killed_mid_epoch_and_resumed_is_bit_identical(
    changes: dict[str, Any], tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, data=str(sample_folder), **changes)
    train.train(config, RunOptions(out=str(tmp_path / "whole"), quiet=True))

    real, calls = BatchLoss.__call__, 0

    def loss_then_signal(self: Any, *inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *inputs)

    monkeypatch.setattr(BatchLoss, "__call__", loss_then_signal)
    out = RunOptions(out=str(tmp_path / "torn"), quiet=True, resume=True)
    with pytest.raises(Interrupted, match="--resume"):
        train.train(config, out)
    assert not (tmp_path / "torn" / "summary.json").exists()
    train.train(config, out)
    whole, torn = weights_of(tmp_path / "whole"), weights_of(tmp_path / "torn")
    assert whole.keys() == torn.keys()
    assert all(torch.equal(whole[name], torn[name]) for name in whole)
    assert records_of(tmp_path / "whole") == records_of(tmp_path / "torn")


def test_checkpoints_are_best_last_and_the_epochs_asked_for(small_run: Path) -> None:
    names = {path.name for path in (small_run / "checkpoints").iterdir()}
    assert names == {"best", "epoch-0001", "epoch-0002", "step-00000006"}


def test_tensorboard_holds_the_four_curves(small_run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(small_run / "tensorboard"))
    events.Reload()
    records = records_of(small_run)
    for name, steps in (
        ("train_loss", [1, 2, 3, 4, 5, 6]), ("train_acc", [1, 2, 3, 4, 5, 6]), ("valid_loss", [3, 6]),
        ("valid_acc", [3, 6]),
    ):  # fmt: skip
        points = events.Scalars(name)
        assert [point.step for point in points] == steps
        logged = [record[name] for record in records if name in record]
        assert [point.value for point in points] == pytest.approx(logged, rel=1e-5)
        if name.endswith("acc"):
            assert all(0 <= value <= 1 for value in logged)


def test_each_epoch_is_a_point_of_the_courseworks_four_curves(small_run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(small_run / "tensorboard" / "epochs"))
    events.Reload()
    records = records_of(small_run)
    logged = [record for record in records if "epoch_train_acc" in record]
    names = {
        "train_loss": "epoch_train_loss", "train_acc": "epoch_train_acc", "valid_loss": "valid_loss",
        "valid_acc": "valid_acc",
    }  # fmt: skip
    for curve, name in names.items():
        points = events.Scalars(curve)
        assert [point.step for point in points] == [1, 2]
        assert [point.value for point in points] == pytest.approx(
            [r[name] for r in logged], rel=1e-5
        )
    # Means over all images of the epoch: three lines of 16 images each, one a step.
    lines = [record["train_loss"] for record in records if "train_loss" in record]
    means = [sum(lines[:3]) / 3, sum(lines[3:]) / 3]
    assert [record["epoch_train_loss"] for record in logged] == pytest.approx(means)


def test_log_has_each_figure_and_its_mean_over_the_epoch(small_run: Path) -> None:
    lines = [line for line in (small_run / "log.txt").read_text().splitlines() if "ms/step" in line]
    assert len(lines) == 6
    pattern = r"Time ([\d.]+) \(([\d.]+)\) Data \S+ \(\S+\) Loss ([\d.]+) \(([\d.]+)\) Acc@1 ([\d.]+) \(([\d.]+)\) "
    pattern += r"Acc@5 ([\d.]+) \(([\d.]+)\)"
    rows = [[float(n) for n in re.search(pattern, line).groups()] for line in lines]  # type: ignore[union-attr]
    for start in (0, 3):  # the means start again with each epoch
        for last in range(start, start + 3):
            for figure, tolerance in ((0, 2e-3), (2, 2e-4), (4, 0.02), (6, 0.02)):
                mean = sum(row[figure] for row in rows[start : last + 1]) / (last + 1 - start)
                assert rows[last][figure + 1] == pytest.approx(mean, abs=tolerance)


def test_summary_reports_best_and_last_on_val_and_what_chose(small_run: Path) -> None:
    summary = json.loads((small_run / "summary.json").read_text())
    metrics = summary["metrics"]
    assert metrics["chosen_on"] == "20 training images held out"
    assert metrics["val_images"] == 30
    assert summary["data"]["images"] == {"train": 60, "holdout": 20, "val": 30}
    assert {
        "val_top1",
        "val_top5",
        "last_val_top1",
        "last_val_top5",
        "val_top1_flip",
        "calibration_error",
        "valid_top1",
    } <= metrics.keys()
    assert (small_run / "report.html").is_file() and (small_run / "examples.json").is_file()


def test_val_is_measured_only_after_training(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def noting(real: Any) -> Any:
        def measured(model: Any, subset: Any, **settings: Any) -> Any:
            seen.append((subset.pack.listing.split, len(subset)))
            return real(model, subset, **settings)

        return measured

    monkeypatch.setattr(train, "measure", noting(train.measure))
    monkeypatch.setattr(train, "measure_with_flip", noting(train.measure_with_flip))
    config = replace(CONFIG, data=str(sample_folder))
    train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    first_val = seen.index(("val", 30))
    # 20 of the training images are held out; the other 60 choose nothing.
    assert seen[:first_val] == [("train", 20)] * 3 and set(seen[first_val:]) == {("val", 30)}


@pytest.mark.parametrize("selection", ["val", "last"])
def test_choosing_on_val_says_so_and_last_does_not_choose(
    selection: str, tmp_path: Path, sample_folder: Path
) -> None:
    config = replace(CONFIG, data=str(sample_folder), selection=selection, steps=2)
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    metrics = json.loads((out / "summary.json").read_text())["metrics"]
    expected = {"val": "val itself", "last": "nothing, it is the last"}[selection]
    assert metrics["chosen_on"] == expected
    if selection == "val":
        assert metrics["valid_top1"] is None
        assert "optimistic" in (out / "log.txt").read_text()
    else:
        assert metrics["val_top1"] == metrics["last_val_top1"]


@pytest.mark.parametrize(
    "optimizer", ["sgd", pytest.param("adamw", marks=pytest.mark.reliability), "muon"]
)
def test_one_batch_can_be_overfit(optimizer: Any) -> None:
    torch.manual_seed(0)
    rate = 0.002 if optimizer == "adamw" else 0.05
    config = replace(CONFIG, optimizer=optimizer, learning_rate=rate, weight_decay=0.0)
    from resnet_tiny.model.resnet import model_of

    model = model_of(config, 10).train()
    optimizers = train.make_optimizers(config, model)
    loss_of = BatchLoss(config, lambda: 0.0)
    pixels = torch.randint(0, 256, (16, 64, 64, 3)).to(torch.uint8)
    batch = {"pixels": pixels, "labels": torch.arange(16) % 10, "draws": {}, "mix": {}}
    # Rates that end at zero, as in every recipe: Muon's steps do not get shorter with the gradient.
    schedules = [
        torch.optim.lr_scheduler.LinearLR(one, 1.0, 1 / 40, total_iters=40) for one in optimizers
    ]
    for _ in range(40):
        loss, count, hits = loss_of(model, batch)
        (loss / count).backward()
        for one, schedule in zip(optimizers, schedules, strict=True):
            one.step()
            one.zero_grad()
            schedule.step()
    assert hits["acc"] / count == 1


def test_loss_is_a_sum_with_smoothing_mixing_and_hits() -> None:
    class Fixed(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return logits

    torch.manual_seed(0)
    logits, labels = torch.randn(4, 10), torch.tensor([3, 1, 4, 1])
    partner, kept = torch.tensor([1, 2, 3, 0]), 0.7
    batch = {
        "pixels": torch.zeros(4, 64, 64, 3, dtype=torch.uint8), "labels": labels, "draws": {},
        "mix": {"partner": partner, "kept": kept},
    }  # fmt: skip
    config = replace(CONFIG, mixup=1.0, label_smoothing=0.1)
    loss, count, hits = BatchLoss(config, lambda: 0.0)(Fixed(), batch)
    targets = 0.7 * F.one_hot(labels, 10) + 0.3 * F.one_hot(labels[partner], 10)
    targets = 0.9 * targets + 0.1 / 10
    assert float(loss) == pytest.approx(float(-(targets * logits.log_softmax(1)).sum()), rel=1e-5)
    top5 = logits.topk(5).indices
    assert count == 4
    assert float(hits["acc"]) == int((logits.argmax(1) == labels).sum())
    assert float(hits["acc5"]) == sum(int(n in t) for n, t in zip(labels, top5, strict=True))
    after, _, _ = BatchLoss(replace(config, mix_until=0.5), lambda: 0.6)(Fixed(), batch)
    plain = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=0.1)
    assert float(after) == pytest.approx(float(plain), rel=1e-5)


def test_each_size_with_and_without_mixing_is_a_stage_that_is_timed() -> None:
    config = replace(CONFIG, sizes=(32, 48), size_fractions=(0.25, 0.75), mix_until=0.5)
    stage = stage_of(config)
    assert [stage(progress) for progress in (0, 0.24, 0.25, 0.49, 0.5, 0.99)] == [
        (32, True), (32, True), (48, True), (48, True), (48, False), (48, False),
    ]  # fmt: skip
    batch = {"pixels": torch.zeros(1, 64, 64, 3, dtype=torch.uint8), "draws": {}, "mix": {}}
    for progress in (0.1, 0.9):
        images, _ = BatchLoss(config, lambda done=progress: done).prepare(batch)
        assert images.shape[-1] == stage(progress)[0]


def test_minutes_are_planned_by_stages_and_leave_time_for_val(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    def fit(self: Any) -> None:
        assert [self.stage(progress) for progress in (0.0, 0.9)] == [(32, True), (64, True)]
        # 30 images of val with their flips, and again with the last weights, against 20 of the hold-out
        assert self.evaluations_after == pytest.approx(3 * 30 / 20)
        raise Stopped

    monkeypatch.setattr(train.Training, "fit", fit)
    config = replace(CONFIG, data=str(sample_folder), minutes=1.0, sizes=(32, 64))
    with pytest.raises(Stopped):
        train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))


def test_run_resumed_on_other_images_is_refused(tmp_path: Path, broken: Path) -> None:
    config = replace(CONFIG, data=str(broken), steps=1)
    train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    (tmp_path / "run" / "summary.json").unlink()
    images = sorted(broken.glob("train/*/images/*"))
    images[0].write_bytes(images[-1].read_bytes())
    with pytest.raises(UserError, match="was trained on other data"):
        train.train(config, RunOptions(out=str(tmp_path / "run"), resume=True, quiet=True))


def test_pretrained_weights_are_another_track_and_said(
    tmp_path: Path, small_run: Path, sample_folder: Path
) -> None:
    weights = small_run / "checkpoints" / "best" / "model.safetensors"
    config = replace(CONFIG, data=str(sample_folder), steps=1, weights=str(weights))
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    assert json.loads((out / "summary.json").read_text())["metrics"]["starts_from"] == str(weights)
    assert "starts from" in (out / "log.txt").read_text()


@pytest.mark.reliability
@pytest.mark.skipif(sys.platform == "win32", reason="gloo needs a POSIX system")
def test_two_processes_train_and_count_each_image_once(tmp_path: Path, sample_folder: Path) -> None:
    config = replace(
        CONFIG,
        data=str(sample_folder),
        steps=4,
        evaluate_every=0,
        holdout_per_class=3,
        batch_size=10,
    )
    from shared.command import config as configuration

    (tmp_path / "two.yaml").write_text(configuration.dump(config))
    run, script = tmp_path / "two", Path(__file__).with_name("two_processes.py")
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    done = subprocess.run(
        [*launch, str(script), str(tmp_path / "two.yaml"), str(run), str(sample_folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["steps"], summary["metrics"]["val_images"]) == (4, 30)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    two = json.loads(line)
    assert two["images"] == 30
    # The same weights in one process: figures over images, not over processes.
    from resnet_tiny.data.dataset import load_images

    images = load_images(config)
    trained = load_run(run)
    alone = train.measure(trained.model, images.val, device=torch.device("cpu"), batch_size=30)
    assert two["val_top1"] == pytest.approx(alone.figures()["top1"])
    assert two["val_top5"] == pytest.approx(alone.figures()["top5"])
    assert two["val_loss"] == pytest.approx(alone.figures()["loss"], rel=1e-4)


def test_convolutions_are_muons_and_the_rest_is_sgds() -> None:
    config = TrainConfig(optimizer="muon", learning_rate=0.3, muon_learning_rate=0.04)
    model = model_of(config, 10)
    sgd, muon = train.make_optimizers(config, model)
    assert isinstance(sgd, torch.optim.SGD) and isinstance(muon, Muon)
    taken = {id(w): o for o in (sgd, muon) for group in o.param_groups for w in group["params"]}
    assert len(taken) == len(list(model.parameters()))
    for name, module in model.named_modules():
        for weight in module.parameters(recurse=False):
            is_convolution = isinstance(module, nn.Conv2d)
            assert taken[id(weight)] is (muon if is_convolution else sgd), name
    rates = [group["lr"] for o in (sgd, muon) for group in o.param_groups]
    assert rates == [0.3, 0.3, 0.04]
