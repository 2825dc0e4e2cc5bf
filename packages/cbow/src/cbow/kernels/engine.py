"""`Engine`: weights in the kernels' layout, and `run`, which trains them on a block of text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from cbow.kernels.arithmetic import aligned_zeros
from cbow.kernels.batched import WIDTH, train_batches
from cbow.kernels.lines import (
    DIVERGED,
    END,
    LINE_END,
    NEXT,
    STATUS,
    STOP,
    keep_probability,
    split_at_lines,
)
from cbow.kernels.logistic import LANES, alias_table, train_logistic
from cbow.kernels.softmax import PENDING, TILE, from_tiles, to_tiles, train_softmax
from cbow.model.huffman import HuffmanCodes, build_huffman
from cbow.model.reference import GRADIENTS
from cbow.model.subwords import Subwords

OBJECTIVES = ("softmax", "negative", "hierarchical")
ARCHITECTURES = ("cbow", "skipgram")

Ids = npt.NDArray[np.int32]
Control = npt.NDArray[np.int64]
Stats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]


class Engine:
    """Trains word vectors in place, sample by sample.

    Letters: V vocabulary size, D embedding size, T input tables (2 x window with `positions`,
    else 1), R rows of a table (V, and one for each n-gram of `subwords`).

    Parameters
    ----------
    counts : int array (V,)
        Occurrences of each word: for negative samples, Huffman codes and subsampling.
    U, V : float arrays (T R, D) and (D, V)
        First weights, copied to float32. Row r of table t is U[t R + r]. For hierarchical softmax
        a column of `V` is an inner node and the last one stays as it is.
    objective : {"softmax", "negative", "hierarchical"}
    architecture : {"cbow", "skipgram"}
        skipgram: one sample per (center word, word of its window), in order.
    window : int
        Words on each side, >= 1.
    negatives : int
        Negative words per sample, >= 1; only for the objective "negative".
    negative_power : float
        Negatives are drawn by count to this power.
    gradient : {"true", "word2vec", "coursework"}
        CBOW's gradient of a context row, see `reference.GRADIENTS`; "coursework" only for the
        objective "softmax".
    positions : bool
        CBOW: an input table for each position in the window, the leftmost first. Mikolov et al.
        2018 (arXiv 1712.09405, section 2.2) learn a weight vector for each position instead, by
        which one table is multiplied; separate tables have no parameters in common.
    subwords : Subwords, optional
        A word's input is the sum of these rows; the mean is still over words. Like `positions` not
        for the objective "softmax".
    subsample : float
        word2vec's threshold, such as 1e-3; 0 keeps every word.
    shrink_windows : bool
        Draw each window's size uniformly from 1 .. window, as word2vec does.
    batch_size : int
        Most words of a line that make one step together, see `batched.py`. More than 1 only for CBOW with the objective
        "negative", without `positions` and `subwords`.
    threads : int
        >= 1. Threads share the weights without locks, so more than one is not deterministic.

    Raises
    ------
    ValueError
        An option or a shape is none of the above.
    """

    def __init__(
        self,
        counts: npt.ArrayLike,
        U: npt.ArrayLike,
        V: npt.ArrayLike,
        *,
        objective: str = "softmax",
        architecture: str = "cbow",
        window: int = 4,
        negatives: int = 5,
        negative_power: float = 0.75,
        gradient: str = "true",
        positions: bool = False,
        subwords: Subwords | None = None,
        subsample: float = 0.0,
        shrink_windows: bool = False,
        batch_size: int = 1,
        threads: int = 1,
    ) -> None:
        _check("objective", objective, OBJECTIVES)
        _check("architecture", architecture, ARCHITECTURES)
        _check("gradient", gradient, GRADIENTS)
        if min(window, threads, batch_size) < 1 or (objective == "negative" and negatives < 1):
            raise ValueError("window, threads, batch_size and negatives are at least 1")
        is_plain = objective == "negative" and architecture == "cbow"
        if batch_size > 1 and (not is_plain or positions or subwords is not None):
            raise ValueError(
                "only CBOW with negative sampling, without positions and subwords, has batches"
            )
        if objective == "softmax" and (positions or subwords is not None):
            raise ValueError("the exact engine has neither positions nor subwords")
        if gradient == "coursework" and objective != "softmax":
            raise ValueError("the coursework's gradient is that of the exact engine")
        if positions and architecture == "skipgram":
            raise ValueError("the one input of a skip-gram sample has no position")
        self.counts = np.asarray(counts, dtype=np.int64)
        if subwords is not None and len(subwords.offsets) != len(self.counts) + 1:
            raise ValueError(
                f"subwords of {len(subwords.offsets) - 1} words, not {len(self.counts)}"
            )
        self.objective = objective
        self.skip_gram = architecture == "skipgram"
        self.window = window
        self.tables = 2 * window if positions else 1
        self.rows = len(self.counts) if subwords is None else subwords.size
        self._subwords = (
            (np.empty(0, np.int32), np.empty(0, np.int64))
            if subwords is None
            else (subwords.rows, subwords.offsets)
        )
        self.divide = gradient != "word2vec"
        self.once = gradient == "coursework"
        self.shrink_windows = shrink_windows
        self.threads = threads
        self.batch_size = batch_size
        self.negatives = negatives if objective == "negative" else 0
        self.keep = keep_probability(self.counts, subsample)
        self.threshold, self.alias = np.empty(0, np.uint32), np.empty(0, np.int32)
        if objective == "negative":
            self.threshold, self.alias = alias_table(self.counts, negative_power)
        self.huffman = HuffmanCodes(
            np.empty(0, np.int8), np.empty(0, np.int32), np.zeros(1, np.int64)
        )
        if objective == "hierarchical":
            self.huffman = build_huffman(self.counts)
        self.set_weights(U, V)

    def set_weights(self, U: npt.ArrayLike, V: npt.ArrayLike) -> None:
        """Copy U (T R, D) and V (D, V) into the kernels' layout."""
        U, V = np.asarray(U), np.asarray(V)
        size, dimension = len(self.counts), U.shape[1]
        if V.shape != (dimension, size) or len(U) != self.tables * self.rows:
            raise ValueError(
                f"U {U.shape}, V {V.shape} and {size} counts do not fit together: "
                f"U is ({self.tables} x {self.rows}, D), V is (D, {size})"
            )
        self._dimension = dimension
        if self.objective == "softmax":
            self._outputs = to_tiles(V)
            padded = self._outputs.shape[1]
            tiles = len(self._outputs)
            self._work = [aligned_zeros(tiles, PENDING, TILE) for _ in range(self.threads)]
        else:
            padded = -(-dimension // LANES) * LANES
            self._outputs = aligned_zeros(size, padded)
            self._outputs[:, :dimension] = V.T
        self._inputs = aligned_zeros(len(U), padded)
        self._inputs[:, :dimension] = U

    @property
    def kernel(self) -> Any:
        """The compiled function that trains."""
        if self.batch_size > 1:
            return train_batches
        return train_softmax if self.objective == "softmax" else train_logistic

    def weights(self) -> tuple[Weights, Weights]:
        """Return copies of U (T R, D) and V (D, V), float32."""
        U = self._inputs[:, : self._dimension].copy()
        if self.objective == "softmax":
            return U, from_tiles(self._outputs, self._dimension, len(U))
        return U, np.ascontiguousarray(self._outputs[:, : self._dimension].T)

    def live_weights(self) -> list[Weights]:
        """Return the weights themselves, in the kernels' layout, as arrays of rows.

        Changes to them take effect in the next `run`. One holds U, a row for a row; the other V, a row
        for each word or node, and for the exact engine a row for each line of a tile.
        """
        return [self._inputs, self._outputs.reshape(-1, self._outputs.shape[-1])]

    def new_control(self, ids: Ids) -> Control:
        """Control (threads, 4) for a block: next position, end, stop request, status per thread.

        While `run` works, another thread may read column NEXT and set column STOP to 1.
        """
        bounds = split_at_lines(ids, self.threads)
        control = np.zeros((self.threads, 4), dtype=np.int64)
        control[:, NEXT] = bounds[:-1]
        control[:, END] = bounds[1:]
        return control

    def new_stats(self) -> Stats:
        """Zeros (threads, 3): loss, samples, words (positions trained on) per thread."""
        return np.zeros((self.threads, 3))

    def run(
        self,
        ids: Ids,
        control: Control,
        stats: Stats,
        learning_rate: float,
        *,
        rate_slope: float = 0.0,
        key: int | np.uint64 = 0,
    ) -> str:
        """Train from where `control` stands to the end of the block.

        `control`, `stats`, the weights, and the arguments are the whole state: stopping and
        continuing with them (set control[:, STOP] = 0 first) gives the same bits as not stopping.

        Parameters
        ----------
        ids : int32 (N,)
            Token ids 0 .. V - 1, and -1 after each line; lines of one token are skipped.
        control : int64 (threads, 4)
            From `new_control`.
        stats : float64 (threads, 3)
            From `new_stats`; added to.
        learning_rate, rate_slope : float
            The learning rate at position p of `ids` is learning_rate + rate_slope p.
        key : uint64
            Key of this block's random draws, see `stream_key`.

        Returns
        -------
        str
            "done", "stopped" (on request) or "diverged" (a loss was not finite).

        Raises
        ------
        ValueError
            An id is not in the vocabulary, or `ids` is not int32.
        """
        if ids.dtype != np.int32:
            raise ValueError(f"ids are {ids.dtype}, expected int32")
        if len(ids) and not (ids.min() >= LINE_END and ids.max() < len(self.counts)):
            raise ValueError(f"an id is outside -1 .. {len(self.counts) - 1}")
        rest = (
            self.divide,
            self.shrink_windows,
            self.keep,
            np.uint64(key),
            float(learning_rate),
            float(rate_slope),
        )
        settings = (self.window, self.skip_gram, *rest)

        def work(thread: int) -> None:
            if self.objective == "softmax":
                train_softmax(
                    ids,
                    control[thread],
                    stats[thread],
                    self._inputs,
                    self._outputs,
                    self._work[thread],
                    len(self.counts),
                    self.once,
                    *settings,
                )
            elif self.batch_size > 1:
                train_batches(
                    ids,
                    control[thread],
                    stats[thread],
                    self._inputs.reshape(-1, WIDTH),
                    self._outputs.reshape(-1, WIDTH),
                    self._outputs.shape[1] // WIDTH,
                    self.negatives,
                    self.batch_size,
                    self.threshold,
                    self.alias,
                    self.window,
                    *rest,
                )
            else:
                train_logistic(
                    ids,
                    control[thread],
                    stats[thread],
                    self._inputs.reshape(-1, LANES),
                    self._outputs.reshape(-1, LANES),
                    self._outputs.shape[1] // LANES,
                    self.negatives,
                    self.threshold,
                    self.alias,
                    self.huffman.codes,
                    self.huffman.points,
                    self.huffman.offsets,
                    self.rows if self.tables > 1 else 0,
                    *self._subwords,
                    *settings,
                )
            if control[thread, STATUS] == DIVERGED:
                control[:, STOP] = 1  # the other threads can stop

        if self.threads == 1:
            work(0)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(work, range(self.threads)))
        if (control[:, STATUS] == DIVERGED).any():
            return "diverged"
        return "done" if (control[:, NEXT] >= control[:, END]).all() else "stopped"


def _check(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, expected one of {allowed}")
