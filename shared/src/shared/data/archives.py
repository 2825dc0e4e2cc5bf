"""Unpack an archive that came from somewhere else.

An archive is a program for the file system, so it is held to what a data set needs: plain files in
plain folders, inside the target, of a bounded size. Links, devices and names that lead outside are
refused, not repaired. The folder gets its name only when everything in it is there.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any, Self

from tqdm import tqdm

from shared.errors import UserError
from shared.locks import Busy, NoLocks, acquire

if TYPE_CHECKING:
    from filelock import BaseFileLock

_CHUNK = 1 << 20
_HEADER_ROOM = (
    1 << 24
)  # bytes of tar headers between two members; beyond it a header is an attack on memory
_MOST_MEMBERS = 2_000_000
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    UnicodeDecodeError,  # a name in a zip that is not the UTF-8 it claims
)
_TAR_OPENERS: dict[str, Any] = {
    ".tar": open, ".tar.gz": gzip.open, ".tgz": gzip.open, ".tar.xz": lzma.open, ".txz": lzma.open,
    ".tar.bz2": bz2.open,
}  # fmt: skip
_JUNK = {"__MACOSX", ".DS_Store", "Icon\r", "Thumbs.db", "desktop.ini"}


@dataclass
class _Member:
    """One entry as the archive declares it; `open` is None for a folder."""

    name: str
    size: int
    open: Callable[[], Any] | None


def extract(
    archive: str | Path,
    folder: str | Path,
    *,
    max_bytes: int = 16 * 2**30,
    strip_top: bool = False,
    quiet: bool = True,
) -> Path:
    """Unpack a zip, tar (plain, gz, xz, bz2) or gz file into a new folder.

    Parameters
    ----------
    archive : path
        Its format is that of its file name's ending.
    folder : path
        Must not exist, or be empty. File modes and times of the archive are not kept.
    max_bytes : int
        Most bytes the content may have, declared or real.
    strip_top : bool
        When all content lies in one top folder, that folder becomes `folder`.
    quiet : bool
        No progress bar.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    UserError
        The archive is damaged, encrypted, too large, empty or holds what a data set must not; or
        `folder` has content. Nothing is left behind then.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_symlink() or folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UserError(f"{folder}: already there. Move it away to unpack {archive.name} again.")
    workplace = lock = None
    members = _members(archive, max_bytes)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock_and_tidy(folder)
        workplace = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent)
        )
        content = workplace / "content"  # inside, because mkdtemp's own mode is for one user only
        content.mkdir()
        _write_all(archive, members, content, max_bytes, quiet)
        top = list(content.iterdir())
        if strip_top and len(top) == 1 and top[0].is_dir():
            content = top[0]
        if folder.is_dir():
            folder.rmdir()
        content.rename(folder)
    except _DAMAGED as error:
        raise UserError(
            f"{archive}: damaged ({_line(error)}). Remove it and fetch it again."
        ) from error
    except NotImplementedError as error:
        raise UserError(
            f"{archive}: packed in a way that is not read here ({_line(error)})."
        ) from error
    except OSError as error:
        where = error.filename or folder
        raise UserError(
            f"{where}: {error.strerror or _line(error)}, while unpacking {archive.name}."
        ) from error
    finally:
        members.close()  # and with it the archive: Windows removes no open file
        if workplace is not None:
            shutil.rmtree(workplace, ignore_errors=True)
        if lock is not None:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
    return folder


def _lock_and_tidy(folder: Path) -> BaseFileLock | None:
    """Remove what killed calls have left beside a folder, unless another process is unpacking into it just now."""
    try:
        lock = acquire(folder.with_name(f".{folder.name}.lock"))
    except (Busy, NoLocks):
        return None
    for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
    return lock


def is_junk(parts: tuple[str, ...]) -> bool:
    """Return whether a path is what desktops leave in archives: `__MACOSX`, `.DS_Store`, `._*`, ..."""
    return any(part in _JUNK for part in parts) or parts[-1].startswith(("._", ".#"))


def _write_all(
    archive: Path,
    members: Generator[_Member, None, None],
    content: Path,
    max_bytes: int,
    quiet: bool,
) -> None:
    declared = written = files = 0
    for member in tqdm(members, desc=archive.name, unit=" files", disable=True if quiet else None):
        name = _safe_name(archive, member.name)
        declared += member.size
        files += 1
        if declared > max_bytes or files > _MOST_MEMBERS:
            raise _too_large(archive, max_bytes)
        if name is None:
            continue
        path = content / name
        if member.open is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise UserError(f"{archive}: holds {name} twice. Refused; nothing was unpacked.")
        with open(path, "xb") as file, member.open() as stream:
            while chunk := stream.read(_CHUNK):
                written += len(chunk)
                if written > max_bytes:
                    raise _too_large(archive, max_bytes)
                file.write(chunk)
    if not any(content.iterdir()):
        raise UserError(f"{archive}: holds no files. Remove it and fetch it again.")


def _safe_name(archive: Path, raw: str) -> PurePosixPath | None:
    """Return the relative path inside the target; None for what is left out."""
    name = raw.replace("\\", "/")  # as Windows reads it, on every system
    parts = PurePosixPath(name).parts
    if PureWindowsPath(name).anchor or ".." in parts or "\0" in name:
        raise UserError(
            f"{archive}: the name {raw!r} leads outside the folder. Refused; nothing was unpacked."
        )
    if not parts or is_junk(parts):
        return None
    return PurePosixPath(*parts)


def _members(archive: Path, max_bytes: int) -> Generator[_Member, None, None]:
    name = archive.name.lower()
    if not archive.is_file():
        raise UserError(f"{archive}: not found. Expected an archive.")
    if name.endswith(".zip"):
        return _zip_members(archive, max_bytes)
    for suffix, opener in _TAR_OPENERS.items():
        if name.endswith(suffix):
            return _tar_members(archive, opener)
    if name.endswith(".gz"):
        return _gz_members(archive)
    raise UserError(
        f"{archive}: its name is not that of a .zip, .tar, .tar.gz, .tar.xz, .tar.bz2 or .gz."
    )


def _zip_members(archive: Path, max_bytes: int) -> Generator[_Member, None, None]:
    with zipfile.ZipFile(archive) as opened:
        if sum(info.file_size for info in opened.infolist()) > max_bytes:
            raise _too_large(archive, max_bytes)
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_plain(archive, info.filename)
            if info.flag_bits & 1:
                raise UserError(
                    f"{archive}: {info.filename!r} is encrypted. Refused; nothing was unpacked."
                )
            if not info.filename:
                raise UserError(
                    f"{archive}: holds a file without a name. Refused; nothing was unpacked."
                )
            content = None if info.is_dir() else partial(opened.open, info)
            yield _Member(info.filename, info.file_size, content)


def _tar_members(archive: Path, opener: Any) -> Generator[_Member, None, None]:
    with opener(archive, "rb") as raw:
        source: Any = _Metered(raw)
        with tarfile.open(fileobj=source, mode="r|", tarinfo=_StrictTarInfo) as opened:
            for info in opened:
                if not (info.isreg() or info.isdir()):
                    raise _not_plain(archive, info.name)
                source.limit = source.position + info.size + _HEADER_ROOM
                content = partial(opened.extractfile, info) if info.isreg() else None
                yield _Member(info.name, info.size, content)
                opened.members = []  # type: ignore[attr-defined]  # tarfile would keep every header
        while source.read(_CHUNK):
            pass  # up to the checksum behind the last member


class _StrictTarInfo(tarfile.TarInfo):
    """A header that cannot be read is an error; tarfile takes it for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the mark at the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def _gz_members(archive: Path) -> Generator[_Member, None, None]:
    # The size that gzip declares is modulo 4 GiB, so only the real one counts.
    with gzip.open(archive, "rb") as opened:
        yield _Member(archive.name[: -len(".gz")], 0, lambda: opened)


class _Metered:
    """Reads up to a limit that grows with each member; tarfile takes headers of any size."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.position = 0
        self.limit = _HEADER_ROOM

    def read(self, size: int = -1) -> bytes:
        if self.position > self.limit:
            raise tarfile.ReadError("a header is too large")
        data = self._raw.read(size)
        self.position += len(data)
        return data


def _too_large(archive: Path, max_bytes: int) -> UserError:
    return UserError(
        f"{archive}: unpacks to more than {max_bytes:,} bytes. Refused; nothing was unpacked."
    )


def _not_plain(archive: Path, name: str) -> UserError:
    return UserError(f"{archive}: {name!r} is a link or a device. Refused; nothing was unpacked.")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
