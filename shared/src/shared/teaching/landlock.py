"""Landlock by system call: from here on a process reads, writes and connects only where it may.

Needs Linux 5.13 with Landlock; network rules 6.7, signals to other processes 6.12. Uses the standard library alone,
since the worker reads it too.

References
----------
https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_READ = (1 << 0) | (1 << 2) | (1 << 3)  # execute, read a file, read a folder
_FILE_ONLY = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14) | (1 << 15)
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scope", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Return the kernel's version of Landlock, 0 where there is none."""
    answer = ctypes.CDLL(None).syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(0, int(answer))


def restrict(readable: Sequence[str], writable: Sequence[str]) -> None:
    """Allow reading below some paths, reading and writing below others, and nothing else: no files, no TCP, no signals.

    Raises
    ------
    OSError
        The kernel refused.
    """
    kernel = version()
    if not kernel:
        raise OSError("this kernel has no Landlock")
    files = (1 << (13 + (kernel >= 2) + (kernel >= 3) + (kernel >= 5))) - 1
    network = 0b11 if kernel >= 4 else 0
    scope = 0b11 if kernel >= 6 else 0
    rules = _Ruleset(files, network, scope)
    size = 8 if kernel < 4 else 16 if kernel < 6 else 24
    descriptor = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for paths, allowed in ((readable, _READ), (writable, files)):
        for path in paths:
            if not os.path.exists(path):
                continue
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
            wanted = allowed & files & (~0 if os.path.isdir(path) else _FILE_ONLY)
            rule = _Beneath(wanted, parent)
            _call(_ADD, descriptor, _PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
            os.close(parent)
    if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError("no_new_privs was refused")
    _call(_RESTRICT, descriptor, ctypes.c_uint32(0))
    os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    answer = libc.syscall(number, *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return int(answer)
