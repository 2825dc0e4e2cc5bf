"""A filter of system calls: from here on a process opens no sockets, or holds no memory that no limit counts.

Works for every user, and in containers. Uses the standard library alone, since the worker reads it too. Pairs of
sockets (`socket.socketpair`) are allowed, and so are descriptors that are open already.

References
----------
https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

SOCKETS = ("socket", "io_uring_setup")
HIDDEN_MEMORY = ("memfd_create", "memfd_secret", "shmget", "semget", "msgget", "mount", "fsopen")
"""Files in memory, segments and queues of System V, file systems of one's own: no limit of a process counts them, and
where memory ends the kernel ends others. What is System V's would also stay behind."""
_MACHINES = {
    "x86_64": (
        0xC000003E,
        {"socket": 41, "shmget": 29, "semget": 64, "msgget": 68, "mount": 165, "memfd_create": 319},
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": 198,
            "shmget": 194,
            "semget": 190,
            "msgget": 186,
            "mount": 40,
            "memfd_create": 279,
        },
    ),
}
"""Number of the architecture, and of its calls."""
_EVERYWHERE = {"io_uring_setup": 425, "fsopen": 430, "memfd_secret": 447}
_X32 = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # where they are in what the filter sees
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
_SET_SECCOMP, _FILTER, _NO_NEW_PRIVILEGES = 22, 2, 38


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def forbid(names: Sequence[str]) -> None:
    """Refuse some system calls; other architectures' calls are refused altogether.

    Parameters
    ----------
    names : sequence of str
        `SOCKETS`, `HIDDEN_MEMORY` or both.

    Raises
    ------
    OSError
        The kernel refused, or the machine is not known here.
    """
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise OSError(f"no filter of system calls for {machine}")
    architecture, own = _MACHINES[machine]
    numbers = own | _EVERYWHERE
    left = range(len(names), 0, -1)  # lines from a call's to the last
    lines = (
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, len(names) + 3, architecture),  # else to the last line
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, len(names) + 1, 0, _X32),
        *((_EQUAL, far, 0, numbers[name]) for far, name in zip(left, names, strict=True)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = _Program(len(lines), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError("no_new_privs was refused")
    if libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter of system calls was refused")
