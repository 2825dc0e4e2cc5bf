"""Images of one's own: a folder for each class, of any size and kind; and the Python API."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import paint
from PIL import Image

import resnet_tiny as package
from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import load_images, split_holdout
from resnet_tiny.data.layout import read_classes, train_images, val_images
from resnet_tiny.data.listing import Classes
from resnet_tiny.predict import load
from shared.errors import UserError

Caller = Callable[..., tuple[int, str, str]]
COLORS = ("amber", "blue", "cyan", "dark", "else")
"""The classes of the fixture `photos`."""


def test_a_fifth_of_each_class_is_set_aside_where_there_is_no_split(photos: Path) -> None:
    classes = read_classes(photos)
    assert classes.names == tuple(sorted(COLORS))
    train, val = train_images(photos, classes), val_images(photos, classes)
    assert np.array_equal(np.bincount(train.labels), [16] * 5)
    assert np.array_equal(np.bincount(val.labels), [4] * 5)
    assert not set(train.files) & set(val.files) and len({*train.files, *val.files}) == 100
    for listing in (train, val):
        for file, label in zip(listing.files, listing.labels, strict=True):
            assert file.split("/")[0] == classes.names[label]


def test_folders_for_train_and_val_are_read_as_they_are(photos: Path, tmp_path: Path) -> None:
    for split in ("train", "validation"):
        shutil.copytree(photos, tmp_path / "own" / split)
    root = tmp_path / "own"
    classes = read_classes(root)
    assert len(train_images(root, classes)) == len(val_images(root, classes)) == 100


def keep_one_class(root: Path) -> None:
    for name in COLORS[1:]:
        shutil.rmtree(root / name)


def add_class_of_other_files(root: Path) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "a.heic").write_text("x")


def move_all_into_train(root: Path) -> None:
    (root / "train").mkdir()
    for name in COLORS:
        shutil.move(root / name, root / "train" / name)


PROBLEMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "one class": (keep_one_class, "holds 1 folder, expected a folder"),
    "empty class": (lambda root: (root / "none").mkdir(), "none: the class holds no image"),
    "class of other files": (add_class_of_other_files, "holds no image (only .heic)"),
    "train alone": (move_all_into_train, "val/ or valid/ or validation/ or test/ is missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_is_wrong_with_a_folder_is_said(case: str, photos: Path, tmp_path: Path) -> None:
    spoil, expected = PROBLEMS[case]
    shutil.copytree(photos, tmp_path / "own")
    spoil(tmp_path / "own")
    with pytest.raises(UserError) as caught:
        load_images(TrainConfig(data=str(tmp_path / "own"), resize=True))
    assert expected in str(caught.value)


def test_images_of_another_size_are_trained_on_with_advice(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="96x96 pixels, expected 64x64.*--resize"):
        load_images(TrainConfig(data=str(photos), holdout_per_class=2))
    images = load_images(TrainConfig(data=str(photos), holdout_per_class=2, image_size=96))
    assert images.train.pixels(np.array([0])).shape == (1, 96, 96, 3)
    with pytest.raises(
        UserError, match="class 'amber' has only 16 training images. Hold fewer out"
    ):
        load_images(TrainConfig(data=str(photos), holdout_per_class=16, resize=True))


def test_folders_are_predicted_image_by_image(
    own_run: Path, photos: Path, resnet_tiny: Caller
) -> None:
    code, printed, _ = resnet_tiny("predict", own_run, photos / "blue", "--json", "--top", 1)
    rows = [json.loads(line) for line in printed.splitlines()]
    assert code == 0 and len(rows) == 20
    assert {row["file"] for row in rows} == {str(path) for path in (photos / "blue").rglob("*.png")}


def test_python_and_command_line_give_the_same_probabilities(
    own_run: Path, photos: Path, resnet_tiny: Caller
) -> None:
    model = load(own_run)
    path = sorted(photos.glob("cyan/*.png"))[0]
    one = model.predict(path)
    assert one.label == next(iter(one.scores)) and one.probability == max(one.scores.values())
    assert sum(one.scores.values()) == pytest.approx(1) and set(one.scores) == set(COLORS)
    _, printed, _ = resnet_tiny("predict", own_run, path, "--json", "--top", 5)
    shown = {row["name"]: row["probability"] for row in json.loads(printed)["classes"]}
    assert shown == pytest.approx(one.scores)
    assert "5 classes" in repr(model) and one.label in repr(one)


def test_files_images_and_arrays_one_or_many_are_predicted_alike(
    own_run: Path, photos: Path
) -> None:
    model = load(own_run)
    paths = sorted(photos.glob("*/1.png"))
    arrays = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])
    expected = [model.predict(path).scores for path in paths]
    for given in (
        [str(path) for path in paths],
        list(arrays),
        arrays,
        [Image.fromarray(a) for a in arrays],
    ):
        predictions = model.predict(given)
        assert isinstance(predictions, list) and len(predictions) == 5
        for prediction, scores in zip(predictions, expected, strict=True):
            assert prediction.scores == pytest.approx(scores, abs=1e-6)
    grey = model.predict(arrays[0][..., 0])
    assert grey.source == "image 0" and len(grey.top(2)) == 2
    for array in (np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            model.predict(array)
    for other in (None, 3, [None], torch.zeros(1, 8, 8, 3)):
        with pytest.raises(
            ValueError, match="image 0 is of type .*, expected a file name, a PIL image"
        ):
            model.predict(other)
    with pytest.raises(UserError, match="image 0: holds floating-point values"):
        model.predict(Image.new("F", (8, 8)))


def test_opened_image_is_predicted_as_its_file_is(
    own_run: Path, photos: Path, tmp_path: Path
) -> None:
    """Turned as its camera noted, and refused where it is damaged."""
    model = load(own_run)
    with Image.open(next(photos.glob("cyan/1.png"))) as image:
        pixels = np.array(image.convert("RGB"))
    pixels[:48] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        assert model.predict(image).scores == model.predict(path).scores
    path.write_bytes(path.read_bytes()[:1000])
    with (
        Image.open(path) as image,
        pytest.raises(UserError, match="image 0: is truncated or damaged"),
    ):
        model.predict(image)


def test_names_that_are_not_utf8_do_not_keep_a_run_from_its_page_and_its_export(
    resnet_tiny: Caller, tmp_path: Path
) -> None:
    root = tmp_path / "own"
    try:
        for name, color in ((b"caf\xe9", (250, 190, 0)), (b"blue", (0, 0, 220))):
            for number in range(8):
                paint(
                    root / os.fsdecode(name) / os.fsdecode(b"\xe9%d.png" % number),
                    color,
                    number,
                    size=32,
                )
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    words = (
        "--image-size",
        32,
        "--arch",
        "squeezenet1_1",
        "--epochs",
        1,
        "--batch-size",
        4,
        "--device",
        "cpu",
    )
    code, _, error = resnet_tiny(
        "train", "--data", root, *words, "--threads", 1, "--quiet", "--out", "run"
    )
    assert (code, error) == (0, "")
    assert "caf\ufffd" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert resnet_tiny("export", "run", "--format", "pth", "--out", "out")[0] == 0


def test_evaluating_a_folder_without_val_says_that_a_fifth_is_measured(
    own_run: Path, photos: Path, resnet_tiny: Caller, tmp_path: Path
) -> None:
    said = "a fifth of each class is measured"
    code, printed, _ = resnet_tiny("evaluate", own_run, "--data", photos)
    assert code == 0 and said in printed and "(20 images" in printed
    assert said not in resnet_tiny("evaluate", own_run)[1]
    shutil.copytree(photos, tmp_path / "other" / "val")
    code, printed, _ = resnet_tiny("evaluate", own_run, "--data", tmp_path / "other")
    assert code == 0 and said not in printed and "(100 images" in printed


def test_model_of_the_first_classes_is_evaluated_on_val_alone(
    photos: Path, resnet_tiny: Caller, tmp_path: Path
) -> None:
    words = ("--resize", "--image-size", 32, "--arch", "shufflenet_v2_x0_5", "--batch-size", 16)
    words += ("--only-classes", 3, "--steps", 1, "--device", "cpu", "--quiet", "--out", "run")
    assert resnet_tiny("train", "--data", photos, *words)[0] == 0
    shutil.copytree(photos, tmp_path / "other" / "val")
    code, printed, error = resnet_tiny("evaluate", "run", "--data", tmp_path / "other", "--json")
    assert (code, error) == (0, "") and json.loads(printed)["images"] == 60  # 20 of each class
    code, _, error = resnet_tiny("train", "--data", tmp_path / "other", "--out", "none")
    assert code == 2 and "train/ is missing. Add it, or name a folder that holds" in error


def test_public_names_are_listed() -> None:
    assert {"load", "build_model", "ImageClassifier"} <= set(dir(package))
    assert package.load is load


@pytest.mark.parametrize(
    ("images", "held"), [(2, 1), (16, 1), (29, 2), (99, 9), (100, 10), (500, 10)]
)
def test_a_small_class_holds_out_a_tenth(images: int, held: int) -> None:
    labels = np.repeat([0, 1], [images, 500])
    train, holdout = split_holdout(
        labels, np.arange(len(labels)), None, Classes(("a", "b"), ("a", "b"))
    )
    assert np.array_equal(np.bincount(labels[holdout]), [held, 10])
    assert len(train) + len(holdout) == len(labels)


def test_training_on_few_images_says_what_is_held_out_and_no_top5(
    photos: Path, resnet_tiny: Caller, tmp_path: Path
) -> None:
    words = ("--resize", "--image-size", 32, "--arch", "squeezenet1_1", "--epochs", 1)
    words = (*words, "--batch-size", 16, "--learning-rate", 0.001, "--cache", tmp_path / "cache")
    words = (*words, "--log-every", 1, "--device", "cpu", "--threads", 1)
    code, printed, _ = resnet_tiny("train", "--data", photos, *words, "--out", "run")
    assert code == 0
    assert "75 / 5 / 20 images in train / hold-out / val" in printed
    assert "trained at 32x32 pixels" in printed
    assert "Hold-out: 1 training image of each class" in printed
    assert "5 images hardly tell one checkpoint from another" in printed
    assert {path.name.rsplit("-", 1)[0] for path in (tmp_path / "cache").iterdir()} == {
        "photos-train",
        "photos-val",
    }
    assert "top-5" not in printed and "Acc@5" not in printed
    metrics = json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]
    assert metrics["val_top5"] is metrics["val_top5_flip"] is metrics["last_val_top5"] is None
    assert "acc5" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "trained at" in page and "32x32 pixels" in page
    assert "val top-1" in page and "top-5" not in page
    code, printed, _ = resnet_tiny("evaluate", "run")
    assert code == 0 and "top-1" in printed and "top-5" not in printed
    assert resnet_tiny("export", "run", "--out", "out")[0] == 0
    assert resnet_tiny("compare", "run", "run")[0] == 0
