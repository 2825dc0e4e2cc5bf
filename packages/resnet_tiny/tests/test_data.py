from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_tiny.config import TrainConfig
from resnet_tiny.data import sample
from resnet_tiny.data.dataset import TrainBatches, load_images, split_holdout
from resnet_tiny.data.decode import decode
from resnet_tiny.data.layout import read_classes, train_images, val_images
from resnet_tiny.data.listing import Classes
from shared.errors import UserError
from shared.torch.sampler import Shard


def load(folder: Path) -> None:
    load_images(TrainConfig(data=str(folder), holdout_per_class=2))


def test_classes_are_numbered_by_sorted_wnid_in_train_and_val_alike(sample_folder: Path) -> None:
    listed = (sample_folder / "wnids.txt").read_text().split()
    assert listed != sorted(listed)  # else this test could not fail
    classes = read_classes(sample_folder)
    assert list(classes.ids) == sorted(listed)
    train = train_images(sample_folder, classes)
    for file, label in zip(train.files, train.labels, strict=True):
        assert file.split("/")[1] == classes.ids[label]
    val = val_images(sample_folder, classes)
    written = dict(
        line.split("\t")[:2]
        for line in (sample_folder / "val" / "val_annotations.txt").read_text().splitlines()
    )
    assert len(val) == len(written) == 30
    for file, label in zip(val.files, val.labels, strict=True):
        assert written[file.removeprefix("val/images/")] == classes.ids[label]


def test_class_names_are_the_first_of_words_txt(sample_folder: Path) -> None:
    names = read_classes(sample_folder).names
    assert "red disc" in names and "blue stripes" in names


def sort_val(folder: Path) -> None:
    """Move the images of val into class folders, as the coursework did."""
    for line in (folder / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        target = folder / "val" / wnid / "images"
        target.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / "val" / "images" / name, target)
    (folder / "val" / "images").rmdir()


def test_val_sorted_into_class_folders_gives_the_same_labels(
    sample_folder: Path, broken: Path
) -> None:
    classes = read_classes(sample_folder)
    before = val_images(sample_folder, classes)
    sort_val(broken)
    after = val_images(broken, classes)
    as_pairs = [
        {(Path(f).name, int(n)) for f, n in zip(p.files, p.labels, strict=True)}
        for p in (before, after)
    ]
    assert as_pairs[0] == as_pairs[1]


def flatten_train(folder: Path) -> None:
    for image in list(folder.glob("train/*/images/*")):
        shutil.move(image, folder / "train")


def flatten_one_level(folder: Path) -> None:
    wnid = sorted(p.name for p in (folder / "train").iterdir())[0]
    for image in list((folder / "train" / wnid / "images").iterdir()):
        shutil.move(image, folder / "train" / wnid)
    (folder / "train" / wnid / "images").rmdir()


def flatten_val(folder: Path) -> None:
    for image in list((folder / "val" / "images").iterdir()):
        shutil.move(image, folder / "val")
    (folder / "val" / "images").rmdir()


def lose_classes(folder: Path) -> None:
    for wnid in sorted(p.name for p in (folder / "train").iterdir())[7:]:
        shutil.rmtree(folder / "train" / wnid)


def lose_images(folder: Path) -> None:
    for image in sorted(folder.glob("train/*/images/*"))[-5:]:
        image.unlink()


def empty_class(folder: Path) -> None:
    wnid = sorted(p.name for p in (folder / "train").iterdir())[3]
    for image in (folder / "train" / wnid / "images").iterdir():
        image.unlink()


def lose_val_classes(folder: Path) -> None:
    sort_val(folder)
    for wnid in sorted(p.name for p in (folder / "val").iterdir() if p.is_dir())[:2]:
        shutil.rmtree(folder / "val" / wnid)


def add_class(folder: Path) -> None:
    shutil.copytree(next((folder / "train").iterdir()), folder / "train" / "n00000001")


def add_unlabelled(folder: Path) -> None:
    shutil.copy(next(folder.glob("val/images/*")), folder / "val" / "images" / "val_999.JPEG")


def unknown_wnid(folder: Path) -> None:
    path = folder / "val" / "val_annotations.txt"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].split("\t")[0] + "\tn77777777\t0\t0\t1\t1"
    path.write_text("\n".join(lines) + "\n")


def long_name(folder: Path) -> None:
    with (folder / "val" / "val_annotations.txt").open("a") as file:
        file.write(f"{'a' * 300}.JPEG\t{next((folder / 'train').iterdir()).name}\t0\t0\t1\t1\n")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "flattened train": (flatten_train, "flattened: 80 images lie in train/ itself"),
    "flattened class": (flatten_one_level, "flattened: its images lie beside each other without images/"),
    "flattened val": (flatten_val, "val: is flattened: 30 images without a class folder"),
    "no annotations": (
        lambda f: (f / "val" / "val_annotations.txt").unlink(), "the 30 images in val/images have no labels"
    ),
    "no wnids": (lambda f: (f / "wnids.txt").unlink(), "is incomplete: wnids.txt is missing"),
    "no train": (lambda f: shutil.rmtree(f / "train"), "is incomplete: train/ is missing"),
    "no val": (lambda f: shutil.rmtree(f / "val"), "is incomplete: val/ is missing"),
    "classes missing": (lose_classes, "is half unpacked: 3 of the 10 classes"),
    "images missing": (lose_images, "the class is half unpacked (5 of 8 images are missing)"),
    "val images missing": (
        lambda f: next(f.glob("val/images/*")).unlink(), "is not in val/images (29 images are there)"
    ),
    "val classes missing": (lose_val_classes, "val: is incomplete: 2 of the 10 classes have no image"),
    "empty class": (empty_class, "the class holds no image"),
    "unknown class": (add_class, "n00000001: wnids.txt does not list this class"),
    "val image without label": (add_unlabelled, "val_999.JPEG: val_annotations.txt does not name it"),
    "unknown wnid": (unknown_wnid, "val_annotations.txt:3: class 'n77777777' is not among the 10 classes"),
    "name longer than a file's": (long_name, "aaa.JPEG is not in val/images (30 images are there)"),
    "class listed twice": (
        lambda f: (f / "wnids.txt").write_text("n1\nn2\nn1\n"), "wnids.txt:3: n1 is listed twice"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_folder_that_is_not_whole_is_named_and_not_trained_on(case: str, broken: Path) -> None:
    spoil, expected = BROKEN[case]
    spoil(broken)
    with pytest.raises(UserError) as caught:
        load(broken)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_holdout_takes_as_many_of_each_class_and_leaves_the_rest(sample_folder: Path) -> None:
    images = load_images(
        TrainConfig(data=str(sample_folder), holdout_per_class=3, seed=1), quiet=True
    )
    again = load_images(
        TrainConfig(data=str(sample_folder), holdout_per_class=3, seed=2), quiet=True
    )
    assert np.array_equal(np.bincount(images.holdout.labels), np.full(10, 3))
    assert np.array_equal(np.bincount(images.train.labels), np.full(10, 5))
    assert not set(images.holdout.rows) & set(images.train.rows)
    assert np.array_equal(images.holdout.rows, again.holdout.rows)  # runs of other seeds compare
    labels = np.repeat(np.arange(3), 50)  # drawn at random, by each class for itself
    _, rows = split_holdout(labels, np.arange(150), 10, Classes(("a", "b", "c"), ("a", "b", "c")))
    places = [rows[labels[rows] == label] - 50 * label for label in range(3)]
    assert all(own.max() > 30 and np.diff(own).max() > 1 for own in places)
    assert not np.array_equal(places[0], places[1])


def test_holdout_that_leaves_nothing_is_refused() -> None:
    labels = np.repeat(np.arange(3), 4)
    with pytest.raises(UserError, match="--holdout-per-class is 4"):
        split_holdout(labels, np.arange(12), 4, Classes(("a", "b", "c"), ("a", "b", "c")))


def test_choosing_on_val_trains_on_all_of_train(sample_folder: Path) -> None:
    images = load_images(TrainConfig(data=str(sample_folder), selection="val"))
    assert (len(images.train), len(images.holdout)) == (80, 0)


def test_batch_holds_the_images_and_labels_of_its_share(sample_folder: Path) -> None:
    config = TrainConfig(data=str(sample_folder), holdout_per_class=2, only_classes=4)
    images = load_images(config)
    assert len(images.classes) == 4 and len(images.val) == 12
    fetch = TrainBatches(config, images)
    places = np.array([5, 0, 17])
    batch = fetch(Shard(0, 0, 0, 1, places))
    files = [images.train.pack.listing.files[row] for row in images.train.rows[places]]
    for pixels, label, file in zip(batch["pixels"], batch["labels"], files, strict=True):
        expected = decode(sample_folder / file, 64)
        assert np.array_equal(pixels.numpy(), expected)
        assert images.classes.ids[label] == file.split("/")[1]


def test_sample_is_deterministic_and_has_greyscale_and_a_train_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sample.write(tmp_path / name, train=4, val=2)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 40 + 20 + 2 + 10 + 3
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )
    modes = set()
    for file in (tmp_path / "a").rglob("*.JPEG"):
        with Image.open(file) as image:
            modes.add(image.mode)
    assert modes == {"RGB", "L"}


def test_real_data_reads_as_its_publisher_says(real_data: Path) -> None:
    classes = read_classes(real_data)
    assert len(classes) == 200 and classes.names[0] == "goldfish"
    val = val_images(real_data, classes)
    assert len(set(np.bincount(val.labels))) == 1  # as many images of each class
