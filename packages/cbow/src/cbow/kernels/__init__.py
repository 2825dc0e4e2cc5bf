"""Compiled training: `Engine`, one interface to all objectives and architectures.

Read `engine.py` first, then `softmax.py` (the exact engine) or `logistic.py` (negative sampling,
hierarchical softmax); `lines.py` and `arithmetic.py` hold what both use. Needs Numba, so commands
import it only when they train.
"""

from .arithmetic import stream_key
from .engine import ARCHITECTURES, OBJECTIVES, Engine
from .lines import END, LOSS, NEXT, SAMPLES, STATUS, STOP, WORDS, keep_probability

__all__ = [
    "ARCHITECTURES",
    "END",
    "LOSS",
    "NEXT",
    "OBJECTIVES",
    "SAMPLES",
    "STATUS",
    "STOP",
    "WORDS",
    "Engine",
    "keep_probability",
    "stream_key",
]
