"""How the threads of OpenMP wait for one another, set before a library starts them.

GNU's OpenMP, which torch on Linux and scikit-learn bring along, lets threads spin at every barrier. On a machine that
is not idle, one of them is off its core now and then, and the others burn theirs until it is back: training steps took
up to ten times as long beside one busy process. Threads that sleep after a short spin cost nothing when idle.
"""

from __future__ import annotations

import os
import sys

SPINS = 10_000
"""Turns of the waiting loop before a thread sleeps: some tenths of a millisecond, longer than most waits of a training
step on an idle machine. With 0, threads are woken by the system each time, and idle steps take up to 1.4 times as long;
with 100,000, a machine with more work than cores loses a thread's whole spin at each barrier (two-layer LSTM, 2 threads
on 2 cores with a load of 13: 0 spins 180 ms a step, 3,000 930, 10,000 1,760, 100,000 10,600, the default 4,340)."""


def let_waiting_threads_sleep() -> None:
    """Set `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT` for this process and its children, unless the user has set either.

    GNU's OpenMP reads them once, when it is loaded; so this comes before `import torch`. Other systems have another
    OpenMP, whose own default stays.
    """
    if not sys.platform.startswith("linux"):
        return
    if "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ:
        return
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["GOMP_SPINCOUNT"] = str(SPINS)
