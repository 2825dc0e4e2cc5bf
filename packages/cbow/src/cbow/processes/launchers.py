"""How an MPI launcher says that it has started several processes.

Apart from `team.py`, so that the command line can look without importing anything heavy.
"""

from __future__ import annotations

import os

LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
"""Variables in which Open MPI, MPICH and its relatives, and Slurm give a process the number that were started."""


def processes_started() -> int:
    """Return how many processes were started together; 1 without a launcher."""
    told = [int(os.environ[name]) for name in LAUNCHERS if os.environ.get(name, "").isdecimal()]
    return max(told, default=1)
