"""Is this film review good or bad: linear models, LSTMs, a CNN and pretrained encoders behind one interface.

`Classifier`, `HandwrittenLSTM`, `Reviews` and `load_run` are what a notebook needs; they are imported when first asked
for, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Classifier", "HandwrittenLSTM", "Reviews", "load_run"]

_HOMES = {
    "Classifier": "imdb_sentiment.model.base",
    "HandwrittenLSTM": "imdb_sentiment.model.lstm",
    "Reviews": "imdb_sentiment.data.dataset",
    "load_run": "imdb_sentiment.model.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'imdb_sentiment' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
