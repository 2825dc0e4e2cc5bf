"""The checksum of a data set's content: what a run says it was trained on, and what a resumed run must find again.

Names of the data folder or file itself do not count, nor do hidden files (locks, `.DS_Store`), what desktops leave
behind, and runs that were written into the folder. Of large data the checksum is kept in the user's cache folder, for
as long as names, sizes and times of the files stay the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.data.archives import is_junk
from shared.errors import UserError
from shared.files import whole_file
from shared.runs.listing import RUN_FILES

LARGE = 32 << 20
"""Bytes from which a checksum is kept."""
_CHUNK = 1 << 20
_THREADS = 8  # small files wait for the disk more than for the processor


@dataclass(frozen=True)
class DataListing:
    """Name, checksum and size of a data set."""

    name: str
    """Name of the folder or file."""
    sha256: str
    """SHA-256 of the content: of a folder's relative file names and bytes, or of one file's bytes."""
    files: int
    """Number of files."""

    def as_dict(self) -> dict[str, Any]:
        """Return the listing for `summary.json`."""
        return asdict(self)


@dataclass(frozen=True)
class _File:
    name: str
    path: str
    size: int
    modified: int  # nanoseconds


def describe(path: str | Path) -> DataListing:
    """Return the name, the checksum of the content and the number of files of a data folder, or of one file.

    Links to folders are followed, each once.

    Raises
    ------
    UserError
        A file cannot be read, or is a link to a file that does not exist.
    """
    path = Path(path)
    files = sorted(_files_in(path), key=lambda file: file.name)
    name = path.resolve().name
    if sum(file.size for file in files) < LARGE:
        return DataListing(name, _checksum(path, files), len(files))
    kept = _cache_file(path, files)
    try:
        checksum = kept.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        checksum = ""
    if len(checksum) != 64:
        checksum = _checksum(path, files)
        try:
            with whole_file(kept) as file:
                file.write(f"{checksum}\n")
        except OSError:
            pass  # a cache that cannot be written only costs time
    return DataListing(name, checksum, len(files))


def _checksum(path: Path, files: Sequence[_File]) -> str:
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = list(pool.map(_digest_of, files))
    if not path.is_dir():
        return digests[0].hex()
    total = hashlib.sha256()
    for file, digest in zip(files, digests, strict=True):
        total.update(file.name.encode("utf-8", "surrogateescape") + b"\0" + digest)
    return total.hexdigest()


def _digest_of(file: _File) -> bytes:
    digest = hashlib.sha256()
    try:
        with open(file.path, "rb") as opened:
            while chunk := opened.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise UserError(f"{file.path}: cannot be read ({error.strerror}).") from None
    return digest.digest()


def _cache_file(path: Path, files: Iterable[_File]) -> Path:
    from shared.data.datasets import cache_root

    key = hashlib.sha256(os.fsencode(path.resolve()))
    for file in files:
        entry = f"\0{file.name}\0{file.size}\0{file.modified}"
        key.update(entry.encode("utf-8", "surrogateescape"))
    return cache_root() / "checksums" / key.hexdigest()


def _files_in(root: Path) -> Iterator[_File]:
    if not root.is_dir():
        yield _File(root.name, str(root), *_size_and_time(str(root)))
        return
    seen: set[str] = set()
    folders = [(str(root), "")]
    while folders:
        folder, prefix = folders.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name, reverse=True)
            if prefix and {entry.name for entry in found}.issuperset(RUN_FILES):
                continue
            for entry in found:
                if _is_left_out(entry.name):
                    continue
                if entry.is_dir():
                    folders.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    yield _File(prefix + entry.name, entry.path, *_size_and_time(entry.path))


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or is_junk((name,))


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: is a link to a file that does not exist. Remove the link, or restore the file."
        ) from None
    return facts.st_size, facts.st_mtime_ns
