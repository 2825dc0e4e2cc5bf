"""The inside of an attempt: what is done to a command, by its own process.

It imports little, since every attempt imports it anew.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any

NETWORK = 70
"""Exit code of an attempt that asked for the network."""
CHANGES = {
    "open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "shutil.rmtree",
}  # fmt: skip
"""Audit events of what changes a folder; each comes just before the change."""


@dataclass(frozen=True)
class Harm:
    """What is done to an attempt.

    Parameters
    ----------
    signal : int or None
        Sent `after` so many seconds.
    folder, change : str, int
        It dies just before the change of that number in that folder or to that file, counted from 1.
    file_size : int or None
        Bytes that a file may have: every write beyond fails, as on a full disk.
    obeys : bool
        Permission bits bind it, even where it is root.
    is_without_page : bool
        The page of a run, which takes as long as the run, is left out.
    """

    signal: int | None = None
    after: float = 0.0
    folder: str = ""
    change: int = 0
    file_size: int | None = None
    obeys: bool = False
    is_without_page: bool = True


def run_harmed(said: Any, module: str, words: list[str], harm: Harm) -> None:
    """Run `main(words)` of a module with standard error going to `said`, and leave with its exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(said.fileno(), 2)
    said.close()
    # What a process has written outlives it; this is for power cuts, and would take most of the time.
    os.fsync = lambda file: None
    main = importlib.import_module(module).main
    if harm.is_without_page:
        _leave_out_page(module.partition(".")[0])
    sys.addaudithook(_Watch(harm))
    if harm.obeys:
        _obey_permissions()
    if harm.file_size is not None:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (harm.file_size, hard))
    sys.exit(main(words))


class _Watch:
    """Ends the process at a try for the network, and before a certain change of a folder."""

    def __init__(self, harm: Harm) -> None:
        self.folder, self.left = os.path.abspath(harm.folder), harm.change

    def __call__(self, event: str, inputs: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo"):
            os._exit(NETWORK)
        if self.left and event in CHANGES and self._is_change(event, inputs):
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)

    def _is_change(self, event: str, inputs: tuple[Any, ...]) -> bool:
        if event == "open":
            mode, flags = inputs[1] or "", inputs[2] or 0
            if not (set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR)):
                return False
        if len(inputs) == 2 and isinstance(inputs[1], int) and inputs[1] >= 0:
            return os.path.isdir(
                self.folder
            )  # by shutil.rmtree, with a name relative to an open folder
        paths = [os.fsdecode(p) for p in inputs[:2] if isinstance(p, str | bytes | os.PathLike)]
        return any(os.path.abspath(path).startswith(self.folder) for path in paths)


def _leave_out_page(package: str) -> None:
    try:
        report = importlib.import_module(f"{package}.commands.report")
    except ModuleNotFoundError:  # a module without verbs
        return
    assert callable(report.write_page), "its pages are made in another way"
    for module in (report, importlib.import_module(f"{package}.commands.train")):
        module.write_page = lambda *inputs, **named: None


def _obey_permissions() -> None:
    """Take from root the right to write where permission bits forbid it."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    data = (ctypes.c_uint32 * 6)()
    problem = libc.capget(header, data)
    data[0] &= ~(1 << 1)  # CAP_DAC_OVERRIDE, of those in effect
    if problem or libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "root's rights cannot be reduced")
