"""What a listing of a data set holds: its classes, and the image files of a split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resnet_tiny.data.decode import SUFFIXES
from shared.data.archives import is_junk


@dataclass(frozen=True)
class Classes:
    """The classes, in the order of their numbers.

    Parameters
    ----------
    ids : tuple of str
        Sorted: WordNet ids (wnids) in Tiny ImageNet, names of folders elsewhere.
    names : tuple of str
        For people, all different: the first name in words.txt, else the id.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Entry:
    """One image file: its path below the data set's folder (with `/`), size in bytes, time of change."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class ImageFiles:
    """The image files of one split, in the order in which they are packed.

    Parameters
    ----------
    root : Path
        Folder of the data set.
    split : {"train", "val"}
    files : tuple of str
        Paths below the root, with `/`.
    sizes : int64 array (N,)
        Bytes of each file.
    mtimes : int64 array (N,)
        Time of the last change of each file, in nanoseconds.
    labels : int64 array (N,)
        Class numbers.
    ignored : mapping of str to int
        Files that do not look like images: how many there are of each ending.
    """

    root: Path
    split: str
    files: tuple[str, ...]
    sizes: NDArray[np.int64]
    mtimes: NDArray[np.int64]
    labels: NDArray[np.int64]
    ignored: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.files)

    def path(self, row: int) -> Path:
        """Return the path of one file."""
        return self.root / self.files[row]

    def warning(self) -> str | None:
        """Return a line about the files that are ignored, or None where there are none."""
        if not self.ignored:
            return None
        count = sum(self.ignored.values())
        endings = ", ".join(f"{ending} ({n})" for ending, n in sorted(self.ignored.items()))
        return (
            f"{self.root}: {count:,} file{'s' * (count != 1)} of {self.split} ignored, not images by their "
            f"names: {endings}. Images end in {' '.join(SUFFIXES)}."
        )


def image_files(
    root: Path,
    split: str,
    labelled: Sequence[tuple[Entry, int]],
    ignored: Mapping[str, int],
) -> ImageFiles:
    """Return (entry, label) pairs as one listing."""
    return ImageFiles(
        root,
        split,
        tuple(entry.path for entry, _ in labelled),
        np.array([entry.size for entry, _ in labelled], dtype=np.int64),
        np.array([entry.mtime_ns for entry, _ in labelled], dtype=np.int64),
        np.array([label for _, label in labelled], dtype=np.int64),
        dict(ignored),
    )


def scan(folder: Path, root: Path, *, nested: bool = False) -> tuple[list[Entry], Counter[str]]:
    """List the images in a folder.

    Parameters
    ----------
    folder : Path
    root : Path
        What the paths of the entries are relative to.
    nested : bool
        Look into subfolders too.

    Returns
    -------
    list of Entry
        Sorted by path.
    Counter
        Other files by their ending; hidden ones and those of file managers are not counted.
    """
    entries: list[Entry] = []
    others: Counter[str] = Counter()
    with os.scandir(folder) as items:
        for item in items:
            if not is_visible(item.name):
                continue
            if item.is_dir():
                if nested:
                    more, more_others = scan(Path(item.path), root, nested=True)
                    entries += more
                    others += more_others
            elif item.name.lower().endswith(SUFFIXES):
                path = Path(item.path).relative_to(root).as_posix()
                entries.append(Entry(path, *_size_and_time(item)))
            else:
                others[Path(item.name).suffix.lower() or "no ending"] += 1
    return sorted(entries, key=lambda entry: entry.path), others


def _size_and_time(item: os.DirEntry[str]) -> tuple[int, int]:
    """Return bytes and time of change; 0 of a link to nothing, which `decode` will name."""
    try:
        stat = item.stat()
    except FileNotFoundError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def image_paths(names: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Return files as they are, and the images in folders (subfolders included), sorted; and what cannot be found.

    Returns
    -------
    paths : list of Path
    problems : list of str
        A message for each name that is not there, and for each folder that holds no image.
    """
    paths: list[Path] = []
    problems: list[str] = []
    for name in names:
        path = Path(name)
        if os.path.isdir(path):
            entries, others = scan(path, path, nested=True)
            endings = f", only {', '.join(sorted(others))}" if others else ""
            if not entries:
                problems.append(
                    f"{path}: holds no image{endings}. Name images or a folder of images."
                )
            paths += [path / entry.path for entry in entries]
        elif os.path.exists(path):
            paths.append(path)
        else:
            problems.append(f"{path}: not found. Expected an image, such as a JPEG or PNG.")
    return paths, problems


def subfolders(folder: Path) -> list[str]:
    """Return the names of the visible folders in a folder, sorted."""
    with os.scandir(folder) as items:
        return sorted(item.name for item in items if item.is_dir() and is_visible(item.name))


def is_visible(name: str) -> bool:
    """Whether a file or folder belongs to the data, unlike `.DS_Store` and the like."""
    return not is_junk((name,)) and not name.startswith(".")


def few(names: Sequence[str]) -> str:
    """Return the first three names for a message."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
