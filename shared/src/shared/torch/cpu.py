"""What makes training on a CPU faster: memory that is kept, and row counts that repeat."""

from __future__ import annotations

import ctypes
import sys

import torch.nn.functional as F
from torch import Tensor

ROWS = 32
"""`pad_rows` makes row counts multiples of this."""
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Options of glibc's `mallopt`, from malloc.h."""


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


def pad_rows(rows: Tensor) -> Tensor:
    """Return rows (N, ...) padded with zeros to a multiple of `ROWS`; gradients reach the N rows only.

    oneDNN makes a program for every shape of a product that it has not met, in about a millisecond: for a small product
    as long as the product itself. Where the number of rows differs from batch to batch, that would never end.
    """
    return F.pad(rows, (0, 0) * (rows.ndim - 1) + (0, -len(rows) % ROWS))
