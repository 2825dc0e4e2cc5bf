"""Atomic writing: files and folders are complete or not there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from shared.errors import UserError

# What `tempfile` makes of the prefixes below.
_LEFTOVER = re.compile(r"\.(?P<name>.+?)(?P<old>\.old)?\.[a-z0-9_]{8}")


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that replaces `path` only when the block ends without an error.

    Parameters
    ----------
    path : Path
        Its folder is made if missing. A link stays one, and the file that it names is replaced. A pipe or a device
        (`/dev/stdout`) is never replaced but written to.
    mode : {"w", "wb"}
        Text is UTF-8 with `\\n` line ends on every system.
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open(mode, **text) as stream:  # type: ignore[call-overload]
            yield stream
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp made it private
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `path` only when the block ends without an error.

    Its files get the permissions that new files of this process have, whatever their writers chose (safetensors gives
    its files to their owner alone). A link stays one, and the folder that it names is replaced.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield aside
        mask = _umask()
        for folder, _, names in os.walk(aside):
            os.chmod(folder, 0o777 & ~mask)
            for name in names:
                os.chmod(os.path.join(folder, name), 0o666 & ~mask)
        if not any(_replace_folder(aside, path) for _ in range(10)):
            raise OSError(errno.EBUSY, "other processes write it all the time", str(path))
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def require_empty(path: Path) -> None:
    """Check that a folder to write is new or empty.

    Raises
    ------
    UserError
        Something is there.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path}: is not empty. Choose another --out.")


def remove_leftovers(folder: Path) -> None:
    """Remove what `whole_file` and `whole_folder` left in a folder when they were killed.

    A folder that had been moved away, and whose successor did not come, is put back.
    """
    for entry in sorted(folder.glob(".*")):
        match = _LEFTOVER.fullmatch(entry.name)
        if match is None:
            continue
        moved, target = entry / match["name"], folder / match["name"]
        if match["old"] and moved.exists() and not target.exists():
            moved.rename(target)
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all; NaN is refused, since no JSON reader takes it."""
    with whole_file(path) as file:
        file.write(json_text(value, indent=2) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON; only file names that are not UTF-8 are written with escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, allow_nan=False)
    return text


def shell_quoted(path: str | Path) -> str:
    """Return a path as the shell of this system takes it."""
    text = f"./{path}" if str(path).startswith("-") else str(path)  # not an option
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace_folder(aside: Path, path: Path) -> bool:
    """Rename a folder to `path`, replacing what is there.

    Returns False if another process has made `path` anew meanwhile.
    """
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        # There may be none, or another process was quicker.
        with contextlib.suppress(FileNotFoundError):
            path.rename(old / path.name)
        try:
            aside.rename(path)
        except OSError:
            if path.exists():
                return False
            with contextlib.suppress(OSError):
                (old / path.name).rename(path)
            raise
        return True
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    # There is no call that only reads it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
