"""How the threads of OpenMP wait for one another, set before a library starts them.

GNU's OpenMP, which torch on Linux and scikit-learn bring along, lets threads spin at every barrier. On a machine that
is not idle, one of them is off its core now and then, and the others burn theirs until it is back: training steps took
up to ten times as long beside one busy process. Threads that sleep after a short spin cost nothing when idle.
"""

from __future__ import annotations

import os
import sys

SPINS = 1_000
"""Turns of the waiting loop before a thread sleeps. Milliseconds a step of a one-layer LSTM, 2 threads on 2 cores:

    spins                          0    1,000   3,000   10,000   30,000   100,000   default
    idle, two rounds in turn    87, 91  75, 78  77, 86  78, 77   74, 86   76, 84    75, 72
    beside a process of nice 15  108     126     134     162      198

With 0, threads are woken by the system each time, which idle steps pay for. The more spins, the more a thread that is
off its core costs the others: at a load of 13, a step of a two-layer LSTM took 180 ms with 0 spins, 930 with 3,000,
1,760 with 10,000, and 4,340 by default.
"""


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
