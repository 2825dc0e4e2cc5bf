"""What the C library does with memory that was freed."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Make this process keep the memory that it frees, for its next use, instead of giving it back to the system.

    A step on a CPU allocates the same hundreds of megabytes as the one before. glibc gives large blocks back as soon as
    they are freed, and the system then clears every page of the next ones. The process holds its largest amount from
    here on. Nothing happens, and False is returned, where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    never = library.mallopt(_TRIM_THRESHOLD, -1)
    return bool(never and library.mallopt(_MMAP_MAX, 0))
