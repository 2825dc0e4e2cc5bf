"""Reviews in folders, one text file each.

    <folder>/{train,test}/{pos,neg}/<id>_<rating>.txt      the publisher's layout
    <folder>/{train,test}/urls_{pos,neg}.txt               line n: the film of review n (optional)
    <folder>/{train,test}/<class>/<any name>.txt           your own classes
    <folder>/<class>/<any name>.txt                        the same without a test set

The class is the folder's, the rating the file name's. `unsup` beside pos and neg is never read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imdb_sentiment.data.reviews import CLASSES, Reviews
from shared.errors import UserError
from shared.text.text_files import PACKED, read_pieces

FOLDERS = ("neg", "pos")
"""The publisher's class folders, in the order of the labels."""
UNLABELLED = "unsup"
LAYOUT = (
    "Expected {train,test}/{pos,neg}/<id>_<rating>.txt, or a folder of text files for each of your classes, in train/ "
    "and test/ or without them."
)

_NAME = re.compile(r"([0-9]+)_([0-9]+)\.txt")
_FILM = re.compile(r"/title/(tt\d+)")


def class_folders(folder: Path) -> list[str]:
    """Return the names of the class folders in a folder, in the order of the labels; empty if there are none."""
    try:
        entries = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = sorted(name for name in entries if not name.startswith("."))
    return [n for n in names if n != UNLABELLED] if set(FOLDERS) <= set(names) else names


def class_names(folders: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the classes of folders: theirs, but negative and positive for the publisher's two."""
    return CLASSES if tuple(folders) == FOLDERS else tuple(folders)


def read_folders(folder: Path, prefix: str, classes: Sequence[str] | None = None) -> Reviews:
    """Read the labelled reviews of a folder of class folders, class by class; each by id, or else by name.

    Parameters
    ----------
    folder : Path
    prefix : str
        What names of reviews begin with, such as `train/`.
    classes : sequence of str, optional
        The classes to expect, those of the training reviews; default: those that are there.

    Raises
    ------
    UserError
        There is no class folder, or one of an unknown class; a class folder is missing or empty; a file is no text
        file, is not named as the others, has a rating that is not 1 to 10, or is not UTF-8.
    """
    folders = class_folders(folder)
    if classes is None:
        if len(folders) < 2:
            # The publisher's is what most people look for.
            missing = next((n for n in FOLDERS if n not in folders), FOLDERS[0])
            raise UserError(f"{folder / missing}: not found. {LAYOUT}")
        classes = class_names(folders)
    else:
        folders = _in_order(folder, folders, tuple(classes))
    texts: list[str] = []
    labels: list[int] = []
    ratings: list[int] = []
    films: list[str] = []
    names: list[str] = []
    for label, name in enumerate(folders):
        listed = _films(folder / f"urls_{name}.txt")
        for number, rating, file in _files(folder / name):
            texts.append(_text(folder / name / file))
            labels.append(label)
            ratings.append(rating)
            films.append(listed[number] if 0 <= number < len(listed) else "")
            names.append(f"{prefix}{name}/{file}")
    return Reviews(texts, np.array(labels), np.array(ratings), films, names, tuple(classes))


def _in_order(folder: Path, folders: list[str], classes: tuple[str, ...]) -> list[str]:
    """Return the folders of known classes in the order of their labels."""
    expected = FOLDERS if classes == CLASSES else classes
    unknown = [name for name in folders if name not in expected]
    if unknown:
        raise UserError(
            f"{folder / unknown[0]}: is not a class of the training reviews. Expected {', '.join(expected)}."
        )
    for name in expected:
        if name not in folders:
            raise UserError(f"{folder / name}: not found. {LAYOUT}")
    return list(expected)


def _files(folder: Path) -> list[tuple[int, int, str]]:
    """Return (id, rating, name) of the reviews of one class, by id; (-1, 0, name) by name if none is so named."""
    names = [entry for entry in os.listdir(folder) if not entry.startswith(".")]
    if not names:
        raise UserError(f"{folder}: has no review. {LAYOUT}")
    matches = {name: _NAME.fullmatch(name) for name in names}
    numbered = sum(match is not None for match in matches.values())
    files = []
    for name, match in matches.items():
        shown = folder / (name if name.isprintable() else repr(name))  # one line, whatever is in it
        if match is not None:
            rating = int(match[2])
            if not 1 <= rating <= 10:
                raise UserError(f"{shown}: the rating is {rating}. Expected 1 to 10.")
            files.append((int(match[1]), rating, name))
            continue
        if numbered:
            raise UserError(
                f"{shown}: is not named <id>_<rating>.txt, two numbers, as {numbered:,} other files here are. "
                "Rename or remove it."
            )
        if not _is_text(name) or (folder / name).is_dir():
            raise UserError(
                f"{shown}: is not a text file. Expected .txt files in the folder of a class."
            )
        files.append((-1, 0, name))
    return sorted(files)


def _is_text(name: str) -> bool:
    return name.lower().endswith((".txt", *(f".txt{packed}" for packed in PACKED)))


def _text(path: Path) -> str:
    if path.suffix.lower() in PACKED:
        return "".join(read_pieces(path))
    # open() with an encoding costs three times as much for a small file.
    with open(path, "rb", buffering=0) as file:
        content = file.read()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}:{line}: is not UTF-8 ({error.reason}). Expected UTF-8 text. Convert it, for example with iconv."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{path}:{line}: holds a NUL byte, so it is no text. Expected a text file.")
    return text.removeprefix("\ufeff")


def _films(path: Path) -> Sequence[str]:
    """Return the film of each review id; empty if there is no such list."""
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [match[1] if (match := _FILM.search(line)) else line.strip() for line in lines]
