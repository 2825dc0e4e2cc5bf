"""Iteration over a block of text: lines, subsampling of frequent words, windows.

A block is an int32 array of token ids in which -1 ends a line. Windows never cross lines.
Random draws of a position: number 0 decides whether its word is kept, 1 its window; from 2 on they are the
objective's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cbow.kernels.arithmetic import compiled, draw, stream_at, unit

LINE_END = -1

# Columns of `control`, int64, one row per thread.
NEXT, END, STOP, STATUS = range(4)
# Values of control[STATUS].
RUNNING, DIVERGED = 0, 1
# Columns of `stats`, float64, one row per thread.
LOSS, SAMPLES, WORDS = range(3)

FIRST_FREE_DRAW = 2


def keep_probability(counts: npt.NDArray[np.int64], subsample: float) -> npt.NDArray[np.float64]:
    """Return the probability (V,) with which word2vec's code keeps a word; an empty array for `subsample` 0.

    With f the word's relative frequency and t = `subsample`: (sqrt(f / t) + 1) t / f. The paper
    (arXiv 1310.4546, equation 5) gives sqrt(t / f); word2vec and gensim use the former.
    """
    if subsample <= 0:
        return np.empty(0)
    ratio = np.maximum(np.asarray(counts, dtype=np.float64), 1e-300) / counts.sum() / subsample
    return np.minimum((np.sqrt(ratio) + 1.0) / ratio, 1.0)


def split_at_lines(ids: npt.NDArray[np.int32], parts: int) -> npt.NDArray[np.int64]:
    """Return bounds (parts + 1,) that cut a block into parts of about equal length, between lines."""
    bounds = np.linspace(0, len(ids), parts + 1).astype(np.int64)
    after_line = np.append(np.flatnonzero(ids == LINE_END) + 1, len(ids))
    for part in range(1, parts):
        bounds[part] = after_line[np.searchsorted(after_line, bounds[part])]
    return bounds


@compiled()
def line_bounds(ids: Any, position: Any, end: Any) -> Any:
    """Return start and end (exclusive, without the -1) of the line that `position` is in."""
    start = position
    while start > 0 and ids[start - 1] >= 0:
        start -= 1
    stop = position
    while stop < end and ids[stop] >= 0:
        stop += 1
    return start, stop


@compiled()
def keep_words(ids: Any, start: Any, stop: Any, keep: Any, key: Any, kept: Any) -> Any:
    """Write the positions of the line's words that survive subsampling to `kept`; return their number."""
    number = 0
    for position in range(start, stop):
        survives = True
        if len(keep) > 0:
            chance = unit(draw(stream_at(key, position), 0))
            survives = chance < keep[ids[position]]
        if survives:
            kept[number] = position
            number += 1
    return number


@compiled()
def gather_context(ids: Any, kept: Any, number: Any, index: Any, reach: Any, context: Any) -> Any:
    """Write the ids within `reach` kept words of kept[index] to `context`; return their number."""
    size = 0
    for other in range(max(0, index - reach), min(number, index + reach + 1)):
        if other != index:
            context[size] = ids[kept[other]]
            size += 1
    return size


@compiled()
def window_reach(window: Any, shrink: Any, key: Any, position: Any) -> Any:
    """Return the size of the window at `position`: `window`, or uniform in 1 .. window if it shrinks."""
    if not shrink:
        return np.int64(window)
    return np.int64(draw(stream_at(key, position), 1) % np.uint64(window)) + 1
