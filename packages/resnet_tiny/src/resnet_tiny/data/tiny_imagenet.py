"""The publisher's layout of Tiny ImageNet, read where it lies.

    wnids.txt                      one class (WordNet id) a line
    words.txt                      wnid, tab, names
    train/<wnid>/images/*.JPEG     and <wnid>_boxes.txt, a line for each image
    val/images/*.JPEG              labels are in val/val_annotations.txt: image, tab, wnid, tab, box

Classes are numbered by sorted wnid, in train and val alike. An incomplete folder is named, never trained on: labels
taken from the wrong place train to 0.5 % without any error.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from resnet_tiny.data.listing import (
    Classes,
    Entry,
    ImageFiles,
    few,
    image_files,
    scan,
    subfolders,
)
from shared.errors import UserError
from shared.text.text_files import read_pieces

WNIDS, WORDS, ANNOTATIONS = "wnids.txt", "words.txt", "val_annotations.txt"
AGAIN = "Unpack the archive again"

Labelled = list[tuple[Entry, int]]


def read_classes(root: Path) -> Classes:
    """Return the classes that wnids.txt lists, sorted, with their names.

    Raises
    ------
    UserError
        The file is missing or empty, or lists a class twice.
    """
    path = root / WNIDS
    if not path.is_file():
        raise UserError(
            f"{root}: is incomplete: {WNIDS} is missing. Expected tiny-imagenet-200 as its publisher lays it out"
            f"{hint(root)}. {AGAIN}, or run `resnet-tiny fetch`."
        )
    seen: set[str] = set()
    for number, line in _lines(path):
        wnid = line.strip()
        if wnid in seen:
            raise UserError(f"{path}:{number}: {wnid} is listed twice. Expected each class once.")
        if wnid:
            seen.add(wnid)
    if len(seen) < 2:
        raise UserError(f"{path}:1: lists {len(seen)} classes, expected two or more. {AGAIN}.")
    wnids = tuple(sorted(seen))
    return Classes(wnids, _names(root / WORDS, wnids))


def train_images(root: Path, classes: Classes) -> ImageFiles:
    """List the training images.

    Raises
    ------
    UserError
        The folder is flattened or half unpacked, holds a class that wnids.txt does not know, or a class is empty.
    """
    train = root / "train"
    if not train.is_dir():
        raise UserError(f"{root}: is incomplete: train/ is missing{hint(root)}. {AGAIN}.")
    folders = set(subfolders(train))
    loose, _ = scan(train, root)
    if loose:
        raise UserError(
            f"{root / loose[0].path}: the folder is flattened: {len(loose):,} images lie in train/ itself and have "
            f"no class. Expected train/<wnid>/images/*.JPEG. {AGAIN}."
        )
    if missing := sorted(set(classes.ids) - folders):
        raise UserError(
            f"{train}: is half unpacked: {len(missing)} of the {len(classes)} classes in {WNIDS} have no folder "
            f"({few(missing)}). {AGAIN}."
        )
    if unknown := sorted(folders - set(classes.ids)):
        raise UserError(
            f"{train / unknown[0]}: {WNIDS} does not list this class ({len(unknown)} unknown in all). "
            "Remove the folder or add its name to the file."
        )
    labelled: Labelled = []
    ignored: Counter[str] = Counter()
    for label, wnid in enumerate(classes.ids):
        entries, others = _class_images(root, train / wnid)
        labelled += [(entry, label) for entry in entries]
        ignored += others
    return image_files(root, "train", labelled, ignored)


def val_images(root: Path, classes: Classes) -> ImageFiles:
    """List the validation images: labels from val_annotations.txt, or from class folders if there are those.

    Raises
    ------
    UserError
        Images have no label, annotated images are missing, or a class is unknown.
    """
    val = root / "val"
    if not val.is_dir():
        raise UserError(f"{root}: is incomplete: val/ is missing{hint(root)}. {AGAIN}.")
    reader = _annotated if (val / "images").is_dir() else _foldered
    labelled, ignored = reader(root, val, classes)
    return image_files(root, "val", labelled, ignored)


def hint(root: Path) -> str:
    """Return what to put into a message where the data set is one folder further down."""
    inner = root / "tiny-imagenet-200"
    return f"; did you mean {inner}?" if inner.is_dir() else ""


def _class_images(root: Path, folder: Path) -> tuple[list[Entry], Counter[str]]:
    """Return the training images of one class; compare with the boxes that name each of them."""
    wnid, images = folder.name, folder / "images"
    if not images.is_dir():
        if scan(folder, root)[0]:
            raise UserError(
                f"{folder}: the folder is flattened: its images lie beside each other without images/. "
                f"Expected train/{wnid}/images/*.JPEG. {AGAIN}."
            )
        raise UserError(f"{folder}: is half unpacked: images/ is missing. {AGAIN}.")
    entries, others = scan(images, root)
    if not entries:
        endings = f" (only {', '.join(sorted(others))})" if others else ""
        raise UserError(
            f"{images}: the class holds no image{endings}. {AGAIN}, or take {wnid} out of {WNIDS}."
        )
    boxes = folder / f"{wnid}_boxes.txt"
    if boxes.is_file():
        there = {Path(entry.path).name for entry in entries}
        listed = [(number, line.split("\t")[0]) for number, line in _lines(boxes) if line.strip()]
        if missing := [pair for pair in listed if pair[1] not in there]:
            number, name = missing[0]
            raise UserError(
                f"{boxes}:{number}: {name} is not in images/: the class is half unpacked "
                f"({len(missing)} of {len(listed)} images are missing). {AGAIN}."
            )
    return entries, others


def _annotated(root: Path, val: Path, classes: Classes) -> tuple[Labelled, Counter[str]]:
    """Return each image that the annotations name, with its label."""
    path, images = val / ANNOTATIONS, val / "images"
    entries, others = scan(images, root)
    there = {Path(entry.path).name: entry for entry in entries}
    if not path.is_file():
        raise UserError(
            f"{path}: is missing, so the {len(there):,} images in val/images have no labels. {AGAIN}."
        )
    labels: dict[str, int] = {}
    for number, name, label in _annotations(path, classes):
        if labels.setdefault(name, label) != label:
            raise UserError(f"{path}:{number}: {name} has two labels. Expected one line for each.")
        # Of a name longer than the file system takes, `Path.is_file` raises an error.
        if name not in there and os.path.isfile(images / name):
            raise UserError(
                f"{path}:{number}: {name} is not an image by its ending. Convert it to JPEG or PNG."
            )
        if name not in there:
            raise UserError(
                f"{path}:{number}: {name} is not in val/images ({len(there):,} images are there): val/ is half "
                f"unpacked. {AGAIN}."
            )
    if unlabelled := sorted(set(there) - set(labels)):
        raise UserError(
            f"{images / unlabelled[0]}: {ANNOTATIONS} does not name it ({len(unlabelled):,} such images). "
            f"{AGAIN}, or remove what does not belong."
        )
    if not labels:
        raise UserError(f"{path}:1: names no image. {AGAIN}.")
    return [(there[name], labels[name]) for name in sorted(labels)], others


def _annotations(path: Path, classes: Classes) -> Iterator[tuple[int, str, int]]:
    """Yield (line number, image, label) of each annotation."""
    numbers = {wnid: label for label, wnid in enumerate(classes.ids)}
    for number, line in _lines(path):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) < 2:
            raise UserError(
                f"{path}:{number}: has no tab. Expected image, tab, wnid, tab, four numbers."
            )
        name, wnid = fields[:2]
        if wnid not in numbers:
            raise UserError(
                f"{path}:{number}: class {wnid!r} is not among the {len(numbers)} classes known. "
                f"Correct the line, or use the {WNIDS} that belongs to it."
            )
        yield number, name, numbers[wnid]


def _foldered(root: Path, val: Path, classes: Classes) -> tuple[Labelled, Counter[str]]:
    """Return the same of a val/ that was sorted into class folders, as the coursework did with a copy."""
    folders = subfolders(val)
    if not folders:
        loose, _ = scan(val, root)
        state = "is flattened" if loose else "is half unpacked"
        raise UserError(
            f"{val}: {state}: {len(loose):,} images without a class folder, and no images/. "
            f"Expected val/images and val/{ANNOTATIONS}. {AGAIN}."
        )
    numbers = {wnid: label for label, wnid in enumerate(classes.ids)}
    labelled: Labelled = []
    ignored: Counter[str] = Counter()
    for wnid in folders:
        if wnid not in numbers:
            raise UserError(
                f"{val / wnid}: is not among the {len(numbers)} classes known. Remove the folder or correct its name."
            )
        inner = val / wnid / "images"
        entries, others = scan(inner if inner.is_dir() else val / wnid, root)
        if not entries:
            raise UserError(f"{val / wnid}: the class holds no image. {AGAIN}.")
        labelled += [(entry, numbers[wnid]) for entry in entries]
        ignored += others
    return labelled, ignored


def _names(path: Path, wnids: Sequence[str]) -> tuple[str, ...]:
    """Return the first name of each class; without words.txt, and where two would be the same, the wnid tells."""
    names: dict[str, str] = {}
    if path.is_file():
        wanted = set(wnids)
        for _, line in _lines(path):
            wnid, _, words = line.partition("\t")
            if wnid in wanted:
                names[wnid] = words.partition(",")[0].strip()
    first = [names.get(wnid) or wnid for wnid in wnids]
    counts = Counter(first)
    return tuple(
        name if counts[name] == 1 else f"{name} ({wnid})"
        for name, wnid in zip(first, wnids, strict=True)
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a text file."""
    text = "".join(read_pieces(path, expected="a text file"))
    yield from enumerate(text.split("\n"), start=1)
