from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import Images, load_images
from resnet_tiny.data.transforms import center_crop, normalize
from resnet_tiny.measure import (
    Predictions,
    confusions,
    evaluation_of,
    examples,
    measure,
    measure_with_flip,
    per_class,
    worst_mistakes,
)
from resnet_tiny.model.trained import load_run
from resnet_tiny.predict import predict

Caller = Callable[..., tuple[int, str, str]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(sample_folder: Path) -> Images:
    return load_images(TrainConfig(data=str(sample_folder), holdout_per_class=2))


class Brightness(nn.Module):
    """A model whose scores are the means of ten columns of the image; it counts what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, shown: Tensor) -> Tensor:
        assert not self.training
        self.seen.append(len(shown))
        return shown.mean(dim=1)[:, 0, :10] * 2


def answers(
    labels: list[int], first: list[int], sure: list[float], classes: int = 10
) -> Predictions:
    others = [[c for c in range(classes) if c != a][:4] for a in first]
    top = np.array([[a, *rest] for a, rest in zip(first, others, strict=True)])
    shares = np.array([[p] + [0.01] * 4 for p in sure], dtype=np.float32)
    count = np.arange(len(labels))
    return Predictions(count, np.array(labels), top, shares, np.ones(len(labels)))


@pytest.mark.parametrize("batch", [1, 7, 30, 256])
def test_every_image_counts_once_whatever_the_batch(batch: int, images: Images) -> None:
    model = Brightness()
    found = measure(model, images.val, device=CPU, batch_size=batch)
    assert sum(model.seen) == 30  # the last, smaller batch is not dropped
    whole = measure(Brightness(), images.val, device=CPU, batch_size=30)
    assert np.array_equal(found.classes, whole.classes)
    assert found.figures() == pytest.approx(whole.figures())


def test_accuracy_is_of_all_images_and_not_a_mean_over_batches(images: Images) -> None:
    found = measure(Brightness(), images.val, device=CPU, batch_size=29)
    right = sum(int(a[0] == n) for a, n in zip(found.classes, images.val.labels, strict=True))
    among = sum(int(n in a) for a, n in zip(found.classes, images.val.labels, strict=True))
    assert found.figures()["top1"] == pytest.approx(right / 30)
    assert found.figures()["top5"] == pytest.approx(among / 30)


def test_flip_averages_the_image_and_its_horizontal_flip(images: Images) -> None:
    alone, found = measure_with_flip(Brightness(), images.val, device=CPU)
    assert alone.figures() == measure(Brightness(), images.val, device=CPU).figures()
    shown = normalize(images.val.pixels(np.arange(30)))
    model = Brightness().eval()
    both = (model(shown).softmax(1) + model(shown.flip(3)).softmax(1)) / 2
    assert np.array_equal(found.classes[:, 0], both.argmax(1).numpy())


def test_measuring_shows_the_middle_that_is_asked_for(images: Images) -> None:
    shown = center_crop(normalize(images.val.pixels(np.arange(30))), 0.5)
    expected = Brightness().eval()(shown).argmax(1).numpy()
    for found in (
        measure(Brightness(), images.val, device=CPU, crop=0.5),
        measure_with_flip(Brightness(), images.val, device=CPU, crop=0.5)[0],
    ):
        assert np.array_equal(found.classes[:, 0], expected)
    whole = measure(Brightness(), images.val, device=CPU)
    assert not np.array_equal(whole.classes[:, 0], expected)


def test_runs_crop_is_that_of_its_figures_and_of_predict_unless_another_is_named(
    resnet_tiny: Caller, small_run: Path, tmp_path: Path
) -> None:
    def figures(*words: object) -> dict[str, float]:
        return json.loads(resnet_tiny("evaluate", small_run, "--json", *words)[1])

    summary = json.loads((small_run / "summary.json").read_text())["metrics"]
    own, whole = figures(), figures("--evaluation-crop", 1)
    assert own["evaluation_crop"] == 0.875 and own["val_loss"] == pytest.approx(summary["val_loss"])
    assert whole["evaluation_crop"] == 1 and whole["val_loss"] != own["val_loss"]
    assert "30 images, center crop 0.875, step" in resnet_tiny("evaluate", small_run)[1]
    assert "center crop 0.875" in (small_run / "report.html").read_text()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    arrays = [noise, 255 - noise]
    arrays[1][4:-4, 4:-4] = noise[4:-4, 4:-4]  # the same but for the edge
    found = []
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(tmp_path / f"{number}.png")
        found += predict(load_run(small_run), [tmp_path / f"{number}.png"])
    assert found[0].scores == found[1].scores


def test_model_is_left_in_training_mode(images: Images) -> None:
    model = Brightness().train()
    measure(model, images.val, device=CPU)
    assert model.training


def test_classes_confusions_and_worst_mistakes_of_known_answers() -> None:
    found = answers([0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 2, 2], [0.9, 0.6, 0.8, 0.5, 0.99, 0.7])
    assert per_class(found, 10)[:3] == [(3, 1, 3, 1), (2, 1, 2, 3), (1, 1, 1, 2)]
    assert confusions(found, 5) == [(0, 1, 2), (1, 2, 1)]
    assert worst_mistakes(found, 2).tolist() == [4, 2]


def test_calibration_compares_the_confidence_with_how_often_the_first_class_is_right(
    images: Images,
) -> None:
    labels = images.val.labels.tolist()
    first = [label if number % 2 else (label + 1) % 10 for number, label in enumerate(labels)]
    half_right = answers(labels, first, [0.9] * 30)
    figures = evaluation_of(half_right, half_right, images.val, images.classes)
    assert figures["val_top1"] == 0.5
    assert figures["calibration_error"] == pytest.approx(0.4, abs=1e-6)
    (one,) = figures["reliability"]
    assert (one["images"], one["accuracy"]) == (30, 0.5) and one["confidence"] == pytest.approx(0.9)
    assert np.array(figures["confusion_matrix"]).sum() == 30
    assert np.trace(np.array(figures["confusion_matrix"])) == 15


def test_loss_of_a_certain_mistake_is_not_cut_off(images: Images) -> None:
    class Certain(nn.Module):
        def forward(self, shown: Tensor) -> Tensor:
            logits = torch.zeros(len(shown), 10)
            logits[:, 0] = 1000
            return logits

    found, flipped = measure_with_flip(Certain(), images.val, device=CPU)
    wrong = images.val.labels != 0
    assert found.losses[wrong] == pytest.approx(1000) and found.losses[~wrong] == pytest.approx(0)
    assert flipped.losses[wrong] == pytest.approx(1000)


def test_examples_are_the_most_confident_mistakes_and_correct_ones(images: Images) -> None:
    found = measure(Brightness(), images.val, device=CPU)
    shown = examples(found, images.val, images.classes, most=5)
    wrong = worst_mistakes(found, 5)
    assert [row["file"] for row in shown["wrong"]] == [images.val.file(index) for index in wrong]
    assert all(row["label"] != row["predicted"] for row in shown["wrong"])
    assert all(row["label"] == row["predicted"] for row in shown["right"])
    first = Image.open(io.BytesIO(base64.b64decode(shown["wrong"][0]["png"])))
    assert np.array_equal(np.asarray(first), images.val.pixels(wrong[:1])[0].numpy())
    labels = images.val.labels.tolist()
    perfect = examples(answers(labels, labels, [0.9] * 30), images.val, images.classes, most=5)
    assert perfect["wrong"] == [] and len({row["file"] for row in perfect["right"]}) == 5


def test_evaluating_a_run_gives_the_figures_of_its_summary(
    resnet_tiny: Caller, small_run: Path, sample_folder: Path, tmp_path: Path
) -> None:
    code, printed, _ = resnet_tiny(
        "evaluate",
        small_run,
        "--data",
        sample_folder,
        "--json",
        "--batch-size",
        7,
        "--out",
        tmp_path / "e",
    )
    assert code == 0
    facts = json.loads(printed)
    metrics = json.loads((small_run / "summary.json").read_text())["metrics"]
    for name in ("val_top1", "val_top5", "val_top1_flip", "val_top5_flip"):
        assert facts[name] == pytest.approx(metrics[name])
    assert facts["images"] == 30 and len(facts["per_class"]) == 10
    assert sum(row["images"] for row in facts["reliability"]) == 30
    right = sum(row["top1"] * row["images"] for row in facts["per_class"])
    assert right / 30 == pytest.approx(facts["val_top1"])
    assert (
        json.loads((tmp_path / "e" / "evaluation.json").read_text())["val_top1"]
        == facts["val_top1"]
    )
    assert json.loads((tmp_path / "e" / "examples.json").read_text()).keys() == {"wrong", "right"}


def test_evaluating_a_run_whose_data_is_gone_asks_for_data(
    resnet_tiny: Caller, small_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_run, tmp_path / "run")
    file = tmp_path / "run" / "config.yaml"
    file.write_text(re.sub(r"^data: .*$", "data: gone", file.read_text(), flags=re.MULTILINE))
    code, _, error = resnet_tiny("evaluate", "run")
    assert code == 2 and "gone: the run's data is not there. Name data with --data." in error


def test_any_folder_with_val_can_be_evaluated(
    resnet_tiny: Caller, small_run: Path, sample_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(sample_folder / "val", tmp_path / "other" / "val")
    lines = (tmp_path / "other" / "val" / "val_annotations.txt").read_text().splitlines()
    for line in lines[5:]:  # five images of few classes are left
        (tmp_path / "other" / "val" / "images" / line.split("\t")[0]).unlink()
    (tmp_path / "other" / "val" / "val_annotations.txt").write_text("\n".join(lines[:5]) + "\n")
    code, printed, _ = resnet_tiny("evaluate", small_run, "--data", tmp_path / "other", "--json")
    assert code == 0 and json.loads(printed)["images"] == 5


def test_images_of_other_sizes_are_evaluated_where_asked(
    resnet_tiny: Caller, small_run: Path, broken: Path
) -> None:
    path = next(broken.glob("val/images/*"))
    with Image.open(path) as image:
        image.convert("RGB").resize((128, 128)).save(path, "JPEG")
    code, _, error = resnet_tiny("evaluate", small_run, "--data", broken, "--json")
    assert code == 2 and "is 128x128 pixels" in error and "--resize" in error
    code, printed, _ = resnet_tiny("evaluate", small_run, "--data", broken, "--json", "--resize")
    assert code == 0 and json.loads(printed)["images"] == 30


def test_evaluation_lists_image_class_answer_and_verdict(
    resnet_tiny: Caller, small_run: Path, sample_folder: Path
) -> None:
    code, printed, _ = resnet_tiny("evaluate", small_run, "--data", sample_folder, "--list")
    rows = [line.split("\t") for line in printed.splitlines() if line.count("\t") == 3]
    assert code == 0 and len(rows) == 30
    assert all((row[1] == row[2]) == (row[3] == "correct") for row in rows)
    top1 = 100 * sum(row[3] == "correct" for row in rows) / 30
    assert f"top-1 {top1:.2f} %" in printed


def test_named_checkpoints_can_be_evaluated(
    resnet_tiny: Caller, small_run: Path, sample_folder: Path
) -> None:
    steps = {}
    for name in ("epoch-0001", "epoch-0002", "last"):
        words = ("evaluate", small_run, "--data", sample_folder, "--json", "--checkpoint", name)
        steps[name] = json.loads(resnet_tiny(*words)[1])["step"]
    assert steps == {"epoch-0001": 3, "epoch-0002": 6, "last": 6}
