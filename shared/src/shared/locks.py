"""One process at a time: a lock file that the operating system frees when its process ends, however it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


class Busy(Exception):
    """Another process holds the lock."""


class NoLocks(Exception):
    """The file system has no locks (some network disks; the message is the system's)."""


def acquire(path: Path) -> BaseFileLock:
    """Take a lock without waiting; `release()` of what is returned gives it up.

    Parameters
    ----------
    path : Path
        The lock file, made if missing. Its folder must exist.

    Raises
    ------
    Busy
        Another process, or another lock object of this one, holds it.
    NoLocks
        The file system cannot lock.
    OSError
        The file cannot be made.
    """
    from filelock import FileLock, Timeout

    path.touch()  # so that a folder without write permission is not taken for a disk without locks
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Busy from None
    except (OSError, NotImplementedError) as error:
        raise NoLocks(str(error)) from None
    return lock
