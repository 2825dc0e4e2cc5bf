"""What `train --minutes N` counts: the time of the whole command, from before its imports to its report page.

Other verbs may train several models; each of these has its minutes from when its training is called.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

PAGE_SECONDS = 2.0
"""What is left for the report page after training; importing matplotlib is most of it."""

_began: float | None = None


@contextmanager
def command() -> Iterator[None]:
    """Note in the context when the command began."""
    global _began
    _began = time.monotonic()
    try:
        yield
    finally:
        _began = None


def began() -> float:
    """Return `time.monotonic()` of when the command began; outside of a command, as in Python, it is now."""
    return time.monotonic() if _began is None else _began


def seconds_after() -> float:
    """Return what a command needs after training."""
    return 0.0 if _began is None else PAGE_SECONDS
