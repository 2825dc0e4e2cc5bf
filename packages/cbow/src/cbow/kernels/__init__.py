"""Compiled training: `Engine`, one interface to all objectives and architectures.

Read `engine.py` first, then `softmax.py` (the exact engine), `logistic.py` (negative sampling, hierarchical softmax) or
`batched.py` (negative sampling of several words at once); all use `lines.py` and `arithmetic.py`; `merging.py` merges
the replicas of several processes. Needs Numba, so commands import it only when they train.
"""

from cbow.kernels.arithmetic import stream_key
from cbow.kernels.engine import ARCHITECTURES, OBJECTIVES, Engine
from cbow.kernels.lines import (
    DIVERGED,
    END,
    LINE_END,
    LOSS,
    NEXT,
    SAMPLES,
    STATUS,
    STOP,
    WORDS,
    keep_probability,
    split_at_lines,
)
from cbow.kernels.merging import merge_rows

__all__ = [
    "ARCHITECTURES",
    "DIVERGED",
    "END",
    "LINE_END",
    "LOSS",
    "NEXT",
    "OBJECTIVES",
    "SAMPLES",
    "STATUS",
    "STOP",
    "WORDS",
    "Engine",
    "keep_probability",
    "merge_rows",
    "split_at_lines",
    "stream_key",
]
