"""Processes that keep cores busy at low priority, for the verb `bench`: a laptop with other programs open."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

BUSY = """
import os
parent = os.getppid()
if hasattr(os, "nice"):
    os.nice(15)
while os.getppid() == parent:
    sum(range(100_000))
"""
"""A process that keeps one core busy at low priority, until its parent ends."""


@contextlib.contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Run this many busy processes of low priority meanwhile."""
    flags = getattr(subprocess, "IDLE_PRIORITY_CLASS", 0)  # Windows
    processes = [
        subprocess.Popen([sys.executable, "-c", BUSY], creationflags=flags) for _ in range(number)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
