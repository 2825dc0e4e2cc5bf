"""Which pictures a folder holds, and their classes, in the publisher's own layout.

    wnids.txt                      one class (WordNet id) a line
    words.txt                      wnid, tab, names
    train/<wnid>/images/*.JPEG     and <wnid>_boxes.txt, a line for each picture
    val/images/*.JPEG              labels are in val/val_annotations.txt: picture, tab, wnid, tab, box

Classes are numbered by sorted wnid, in train and val alike. A folder that is not whole is named, never trained on:
labels taken from the wrong place train to 0.5 % without any error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.data.archives import is_junk
from shared.errors import UserError
from shared.text.text_files import read_pieces

SUFFIXES = (".jpeg", ".jpg", ".png")
WNIDS, WORDS, ANNOTATIONS = "wnids.txt", "words.txt", "val_annotations.txt"


@dataclass(frozen=True)
class Classes:
    """The classes, in the order of their numbers.

    Parameters
    ----------
    wnids : tuple of str
        Sorted.
    names : tuple of str
        For people: the first of the names in words.txt, else the wnid.
    """

    wnids: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.wnids)


@dataclass(frozen=True)
class Pictures:
    """The pictures of one split.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    split : {"train", "val"}
    files : tuple of str
        Paths below the root, with `/`.
    sizes : int64 array (N,)
        Bytes of each file.
    labels : int64 array (N,)
        Class numbers.
    """

    root: Path
    split: str
    files: tuple[str, ...]
    sizes: NDArray[np.int64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.files)


def read_classes(root: Path) -> Classes:
    """Return the classes that wnids.txt lists, sorted, with their names.

    Raises
    ------
    UserError
        The file is missing or empty, or lists a class twice.
    """
    require_folder(root)
    path = root / WNIDS
    if not path.is_file():
        raise UserError(
            f"{root}: is not whole: {WNIDS} is missing. Expected tiny-imagenet-200 as its publisher lays it out"
            f"{_hint(root)}. Unpack the archive again, or run `resnet-tiny fetch`."
        )
    seen: set[str] = set()
    for number, line in _lines(path):
        wnid = line.strip()
        if wnid in seen:
            raise UserError(f"{path}:{number}: {wnid} is listed twice. Expected each class once.")
        if wnid:
            seen.add(wnid)
    if len(seen) < 2:
        raise UserError(
            f"{path}:1: lists {len(seen)} classes, expected two or more. Unpack the archive again."
        )
    wnids = tuple(sorted(seen))
    return Classes(wnids, tuple(_names(root / WORDS, wnids)))


def train_pictures(root: Path, classes: Classes) -> Pictures:
    """List the training pictures.

    Raises
    ------
    UserError
        The folder is flattened or half unpacked, holds a class that wnids.txt does not know, or a class is empty.
    """
    train = root / "train"
    if not train.is_dir():
        raise UserError(
            f"{root}: is not whole: train/ is missing{_hint(root)}. Unpack the archive again."
        )
    found = {entry.name for entry in os.scandir(train) if entry.is_dir() and _counts(entry.name)}
    if loose := _pictures_in(train):
        raise UserError(
            f"{train / loose[0][0]}: the folder is flattened: {len(loose):,} pictures lie in train/ itself and have "
            "no class. Expected train/<wnid>/images/*.JPEG. Unpack the archive again."
        )
    if missing := sorted(set(classes.wnids) - found):
        raise UserError(
            f"{train}: is half unpacked: {len(missing)} of the {len(classes)} classes in {WNIDS} have no folder "
            f"({_few(missing)}). Unpack the archive again."
        )
    if unknown := sorted(found - set(classes.wnids)):
        raise UserError(
            f"{train / unknown[0]}: {WNIDS} does not list this class ({len(unknown)} unknown in all). "
            "Remove the folder or add its name to the file."
        )
    files: list[str] = []
    sizes: list[int] = []
    labels: list[int] = []
    for label, wnid in enumerate(classes.wnids):
        pictures = _class_pictures(train / wnid)
        files += [f"train/{wnid}/images/{name}" for name, _ in pictures]
        sizes += [size for _, size in pictures]
        labels += [label] * len(pictures)
    return Pictures(root, "train", tuple(files), np.array(sizes), np.array(labels))


def val_pictures(root: Path, classes: Classes) -> Pictures:
    """List the validation pictures: labels from val_annotations.txt, or from class folders if there are those.

    Raises
    ------
    UserError
        Pictures have no label, annotated pictures are missing, or a class is unknown.
    """
    require_folder(root)
    val = root / "val"
    if not val.is_dir():
        raise UserError(
            f"{root}: is not whole: val/ is missing{_hint(root)}. Unpack the archive again."
        )
    labelled = _annotated(val, classes) if (val / "images").is_dir() else _foldered(val, classes)
    names, sizes, labels = zip(*labelled, strict=True)
    return Pictures(
        root, "val", tuple(f"val/{name}" for name in names), np.array(sizes), np.array(labels)
    )


def require_every_class(pictures: Pictures, classes: Classes) -> None:
    """Refuse a split without a single picture of some class: a figure over the others would not compare.

    Raises
    ------
    UserError
        Naming the first such classes.
    """
    missing = sorted(set(range(len(classes))) - set(pictures.labels.tolist()))
    if missing:
        names = _few([classes.wnids[label] for label in missing])
        raise UserError(
            f"{pictures.root / pictures.split}: is half unpacked: {len(missing)} of the {len(classes)} classes in "
            f"{WNIDS} have no picture there ({names}). Unpack the archive again."
        )


def require_folder(root: Path) -> None:
    """Refuse a data set that is still an archive.

    Raises
    ------
    UserError
        `root` is a file.
    """
    if root.is_file():
        raise UserError(
            f"{root}: is a file, expected the folder of the data set. Unpack it and name that."
        )


def _class_pictures(folder: Path) -> list[tuple[str, int]]:
    """Return (name, bytes) of one class' training pictures; compare with the boxes that name each of them."""
    wnid, images = folder.name, folder / "images"
    if not images.is_dir():
        if _pictures_in(folder):
            raise UserError(
                f"{folder}: the folder is flattened: its pictures lie beside each other without images/. "
                f"Expected train/{wnid}/images/*.JPEG. Unpack the archive again."
            )
        raise UserError(
            f"{folder}: is half unpacked: images/ is missing. Unpack the archive again."
        )
    pictures = _pictures_in(images)
    if not pictures:
        raise UserError(
            f"{images}: the class is empty. Expected pictures. Unpack the archive again, or take {wnid} out of {WNIDS}."
        )
    boxes = folder / f"{wnid}_boxes.txt"
    if boxes.is_file():
        there = {name for name, _ in pictures}
        listed = [(number, line.split("\t")[0]) for number, line in _lines(boxes) if line.strip()]
        if missing := [pair for pair in listed if pair[1] not in there]:
            number, name = missing[0]
            raise UserError(
                f"{boxes}:{number}: {name} is not in images/: the class is half unpacked "
                f"({len(missing)} of {len(listed)} pictures are missing). Unpack the archive again."
            )
    return pictures


def _annotated(val: Path, classes: Classes) -> list[tuple[str, int, int]]:
    """Return (path below val/, bytes, label) of each picture that the annotations name."""
    path, images = val / ANNOTATIONS, val / "images"
    sizes = dict(_pictures_in(images))
    if not path.is_file():
        raise UserError(
            f"{path}: is missing, so the {len(sizes):,} pictures in val/images have no labels. "
            "Unpack the archive again."
        )
    numbers = {wnid: label for label, wnid in enumerate(classes.wnids)}
    found: dict[str, int] = {}
    for number, line in _lines(path):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) < 2:
            raise UserError(
                f"{path}:{number}: has no tab. Expected picture, tab, wnid, tab, four numbers."
            )
        name, wnid = fields[:2]
        if wnid not in numbers:
            raise UserError(
                f"{path}:{number}: class {wnid!r} is not among the {len(numbers)} classes known. "
                f"Mend the line, or use the {WNIDS} that belongs to it."
            )
        if found.setdefault(name, numbers[wnid]) != numbers[wnid]:
            raise UserError(f"{path}:{number}: {name} has two labels. Expected one line for each.")
        if name not in sizes:
            raise UserError(
                f"{path}:{number}: {name} is not in val/images ({len(sizes):,} pictures are there): val/ is half "
                "unpacked. Unpack the archive again."
            )
    if unlabelled := sorted(set(sizes) - set(found)):
        raise UserError(
            f"{images / unlabelled[0]}: {ANNOTATIONS} does not name it ({len(unlabelled):,} such pictures). "
            "Unpack the archive again, or remove what does not belong."
        )
    if not found:
        raise UserError(f"{path}:1: names no picture. Unpack the archive again.")
    return [(f"images/{name}", sizes[name], found[name]) for name in sorted(found)]


def _foldered(val: Path, classes: Classes) -> list[tuple[str, int, int]]:
    """Return the same of a val/ that was sorted into class folders, as the coursework did with a copy."""
    folders = sorted(e.name for e in os.scandir(val) if e.is_dir() and _counts(e.name))
    if not folders:
        loose = _pictures_in(val)
        what = "is flattened" if loose else "is half unpacked"
        raise UserError(
            f"{val}: {what}: {len(loose):,} pictures without a class folder, and no images/. "
            f"Expected val/images and val/{ANNOTATIONS}. Unpack the archive again."
        )
    numbers = {wnid: label for label, wnid in enumerate(classes.wnids)}
    found = []
    for wnid in folders:
        if wnid not in numbers:
            raise UserError(
                f"{val / wnid}: is not among the {len(numbers)} classes known. Remove the folder or mend its name."
            )
        inner = "images/" if (val / wnid / "images").is_dir() else ""
        pictures = _pictures_in(val / wnid / inner)
        if not pictures:
            raise UserError(f"{val / wnid}: the class is empty. Expected pictures.")
        found += [(f"{wnid}/{inner}{name}", size, numbers[wnid]) for name, size in pictures]
    return found


def _pictures_in(folder: Path) -> list[tuple[str, int]]:
    """Return (name, bytes) of the pictures in a folder, sorted by name."""
    with os.scandir(folder) as entries:
        return sorted(
            (entry.name, entry.stat().st_size)
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and _counts(entry.name) and entry.is_file()
        )


def _names(path: Path, wnids: Sequence[str]) -> Iterator[str]:
    """Yield the first name of each class; a missing words.txt leaves the wnids."""
    names: dict[str, str] = {}
    if path.is_file():
        wanted = set(wnids)
        for _, line in _lines(path):
            wnid, _, words = line.partition("\t")
            if wnid in wanted:
                names[wnid] = words.partition(",")[0].strip()
    for wnid in wnids:
        yield names.get(wnid) or wnid


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a text file."""
    text = "".join(read_pieces(path, expected="a text file"))
    yield from enumerate(text.split("\n"), start=1)


def _counts(name: str) -> bool:
    return not is_junk((name,)) and not name.startswith(".")


def _hint(root: Path) -> str:
    inner = root / "tiny-imagenet-200"
    return f"; did you mean {inner}?" if inner.is_dir() else ""


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
