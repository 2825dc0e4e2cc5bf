"""Data-parallel training: several processes train replicas of a model and merge them periodically.

Each process trains its replica on its part of every block. After `merge_every` words the replicas are merged
(`kernels/merging.py`), and all continue from the result. So at a merge one set of weights and the positions are the
whole state, as with one process; a run stops at merges only, and resumes to the same bits. The random draws of a
position do not depend on the process that trains on it.

Letters: R replicas, N entries of a block.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.kernels import (
    DIVERGED,
    END,
    LINE_END,
    LOSS,
    NEXT,
    SAMPLES,
    STATUS,
    STOP,
    WORDS,
    Engine,
    merge_rows,
    split_at_lines,
)

PAUSE = 1e-4
"""Seconds between two checks whether the other processes have arrived."""


class Replica:
    """An engine that is trained together with those of other processes; used like an `Engine`.

    All processes construct theirs at the same time.

    Parameters
    ----------
    engine : Engine
        With the same weights in every process.
    comm : mpi4py communicator
    merge_every : int
        Words that each replica trains on between two merges.
    """

    def __init__(self, engine: Engine, comm: Any, merge_every: int) -> None:
        self.engine = engine
        self.comm = comm
        self.size: int = comm.Get_size()
        self.rank: int = comm.Get_rank()
        self.merge_every = merge_every
        # The rows that this process merges, as they were when all replicas were equal.
        self._own_rows = [
            rows[slice(*_row_bounds(len(rows), self.size)[self.rank : self.rank + 2])].copy()
            for rows in engine.live_weights()
        ]
        # Compiled in every process before any clock starts; a version that does not differ changes nothing.
        merge_rows(self._own_rows[0][None], self._own_rows[0])
        wait(comm.Ibarrier())

    def weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return copies of U and V."""
        return self.engine.weights()

    def new_control(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return control (R, 4) for a block: one row for each replica's part, as `Engine.new_control` for threads."""
        bounds = split_at_lines(ids, self.size)
        control = np.zeros((self.size, 4), dtype=np.int64)
        control[:, NEXT], control[:, END] = bounds[:-1], bounds[1:]
        return control

    def new_stats(self) -> NDArray[np.float64]:
        """Return zeros (R, 3): loss, samples, words of each replica."""
        return np.zeros((self.size, 3))

    def run(
        self,
        ids: NDArray[np.int32],
        control: NDArray[np.int64],
        stats: NDArray[np.float64],
        learning_rate: float,
        *,
        rate_slope: float = 0.0,
        key: int | np.uint64 = 0,
    ) -> str:
        """Train to the end of the block, called by all processes at once; see `Engine.run`.

        A stop takes effect at the next merge. Only the first process can request it.
        """
        first, end = split_at_lines(ids, self.size)[self.rank : self.rank + 2]
        rate, slope = part_rate(learning_rate, rate_slope, len(ids), int(first), int(end))
        lines = np.flatnonzero(ids == LINE_END) + 1
        while (control[:, NEXT] < control[:, END]).any():
            start = int(control[self.rank, NEXT])
            until = min(stretch_end(lines, start, self.merge_every), int(end))
            sums, is_fine = self.engine.new_stats(), True
            if start < until:
                own = self.engine.new_control(ids[start:until])
                own[:, [NEXT, END]] += start
                outcome = self.engine.run(ids, own, sums, rate, rate_slope=slope, key=key)
                is_fine = outcome == "done"
            report = np.array([until, not is_fine, control[:, STOP].any(), *sums.sum(axis=0)])
            reports = np.empty((self.size, len(report)))
            wait(self.comm.Iallgather(report, reports))
            control[:, NEXT] = reports[:, 0]
            stats[:, [LOSS, SAMPLES, WORDS]] += reports[:, 3:]
            if reports[:, 1].any():
                control[:, STATUS] = DIVERGED * reports[:, 1]
                return "diverged"
            self._merge()
            if reports[0, 2] and (control[:, NEXT] < control[:, END]).any():
                return "stopped"
        return "done"

    def _merge(self) -> None:
        """Merge all replicas.

        Each process gets its part of the rows from all (reduce-scatter), merges it, and sends it to all (all-gather):
        every row travels twice, and every process ends with the same bits.
        """
        for rows, own in zip(self.engine.live_weights(), self._own_rows, strict=True):
            bounds = _row_bounds(len(rows), self.size) * rows.shape[1]
            pieces = (np.diff(bounds), bounds[:-1])
            versions = np.empty((self.size, *own.shape), dtype=np.float32)
            sizes, offsets = np.full(self.size, own.size), np.arange(self.size) * own.size
            self.comm.Alltoallv([rows, pieces], [versions, (sizes, offsets)])
            merge_rows(versions, own)
            # An Allgatherv by name; with MPICH 5.0 that took 50 times as long for 10 MB.
            self.comm.Alltoallv([own, (sizes, 0 * offsets)], [rows, pieces])


def default_merge_every(words: int, replicas: int) -> int:
    """Return the words of each replica between two merges: a quarter of its part of the corpus, at least 30,000.

    The cost of a merge does not depend on the text, so replicas of a small corpus are merged often enough to stay
    close, those of a large one seldom enough for merging to cost little.

    Parameters
    ----------
    words : int
        Words of the corpus.
    replicas : int
    """
    return max(30_000, words // (4 * replicas))


def part_rate(
    learning_rate: float, rate_slope: float, length: int, first: int, end: int
) -> tuple[float, float]:
    """Return the learning rate at position 0 and its slope for a part that is trained while the whole block is.

    All parts begin at the block's first rate and end at its last one.

    Parameters
    ----------
    learning_rate, rate_slope : float
        The block's: learning_rate + rate_slope p at position p.
    length : int
        N.
    first, end : int
        Bounds of the part.
    """
    slope = rate_slope * (length / max(end - first, 1))
    return learning_rate - slope * first, slope


def stretch_end(lines: NDArray[np.int64], start: int, words: int) -> int:
    """Return where a line ends after so many words from `start` on; the block's end if there are fewer.

    Parameters
    ----------
    lines : int array
        Positions behind the ends of line.
    start : int
        Start of a line.
    words : int
        >= 1.
    """
    before = int(np.searchsorted(lines, start, side="right"))  # lines that end at or before it
    so_far = lines - np.arange(1, len(lines) + 1)  # words up to each end of line
    line = int(np.searchsorted(so_far, start - before + words))
    return int(lines[min(line, len(lines) - 1)])


def wait(request: Any) -> None:
    """Wait for other processes without busy-waiting as MPI does: one of them may need the core."""
    while not request.Test():
        time.sleep(PAUSE)


def _row_bounds(rows: int, size: int) -> NDArray[np.int64]:
    """Return bounds (R + 1,) of the rows that each process merges."""
    return np.linspace(0, rows, size + 1).astype(np.int64)
