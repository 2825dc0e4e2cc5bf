"""Your own images: a folder for each class, as torchvision's `ImageFolder` reads them.

    train/<class>/**/*.png   val/<class>/**/*.png      with a split of its own: val, valid, validation or test
    <class>/**/*.png                                   without: a fifth of each class is set aside for val

Classes are numbered by their sorted names, the same in train and val.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from resnet_tiny.data.listing import Classes, Entry, ImageFiles, few, image_files, scan, subfolders
from shared.errors import UserError

VAL_NAMES = ("val", "valid", "validation", "test")
"""Names that the folder of validation images may have; the first one that exists is read."""
VAL_FRACTION = 0.2
"""Fraction of each class held out where the data set has no split of its own."""


def has_split(root: Path) -> bool:
    """Whether the data set has folders for train and val; a single `test/` may be a class of that name."""
    return any((root / name).is_dir() for name in ("train", *VAL_NAMES[:3]))


def folder_classes(root: Path) -> Classes:
    """Return the classes: the names of the folders.

    Raises
    ------
    UserError
        There are fewer than two.
    """
    folder = root
    if has_split(root):
        # To evaluate on, val/ alone is enough; `folder_images` names a train/ that is missed.
        folder = next(root / name for name in ("train", *VAL_NAMES) if (root / name).is_dir())
    names = tuple(subfolders(folder))
    if len(names) < 2:
        held = f"{len(names)} folder{'s' * (len(names) != 1)}"
        raise UserError(
            f"{folder}: holds {held}, expected a folder for each class (two or more), such as "
            "train/<class>/*.jpg and val/<class>/*.jpg."
        )
    return Classes(names, names)


def folder_images(root: Path, classes: Classes, split: str) -> ImageFiles:
    """List the images of a split.

    Parameters
    ----------
    root : Path
    classes : Classes
        Of the data set, or of a trained model; the labels are numbers in it.
    split : {"train", "val"}

    Raises
    ------
    UserError
        A folder is missing, is not a class, or holds no image.
    """
    folder = root
    if has_split(root):
        names = ("train",) if split == "train" else VAL_NAMES
        there = [root / name for name in names if (root / name).is_dir()]
        if not there:
            wanted = " or ".join(f"{name}/" for name in names)
            raise UserError(
                f"{root}: {wanted} is missing. Add it, or name a folder that holds the class folders themselves: a "
                "fifth of their images is then set aside for val."
            )
        folder = there[0]
    numbers = {name: label for label, name in enumerate(classes.ids)}
    folders = subfolders(folder)
    if unknown := [name for name in folders if name not in numbers]:
        raise UserError(
            f"{folder / unknown[0]}: is not among the {len(numbers)} classes known ({few(sorted(numbers))}). "
            "Remove the folder or correct its name."
        )
    labelled: list[tuple[Entry, int]] = []
    ignored: Counter[str] = Counter()
    for name in folders:
        entries, others = scan(folder / name, root, nested=True)
        if not entries:
            endings = f" (only {', '.join(sorted(others))})" if others else ""
            raise UserError(f"{folder / name}: the class holds no image{endings}. Add some.")
        if not has_split(root):
            entries = _part(folder / name, entries, split)
        labelled += [(entry, numbers[name]) for entry in entries]
        if has_split(root) or split == "train":  # told once
            ignored += others
    if not labelled:
        raise UserError(f"{folder}: holds no class folder. Expected <class>/*.jpg.")
    return image_files(root, split, labelled, ignored)


def _part(folder: Path, entries: list[Entry], split: str) -> list[Entry]:
    """Return the part of a class that belongs to a split: the order of a hash of the names decides."""
    if len(entries) < 2:
        raise UserError(
            f"{folder}: holds one image, expected two or more: one to train on and one for val."
        )
    ordered = sorted(
        entries, key=lambda entry: hashlib.blake2b(entry.path.encode("utf-8", "replace")).digest()
    )
    count = max(1, round(VAL_FRACTION * len(entries)))
    chosen = {entry.path for entry in ordered[:count]}
    return [entry for entry in entries if (entry.path in chosen) == (split == "val")]
