"""Sentiment of film reviews: linear models, LSTMs, a CNN and pretrained encoders behind one interface.

    from imdb_sentiment import load
    model = load("runs/imdb_sentiment/nbsvm")
    model.predict("A moving film.")

Names are imported when first used, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Classifier",
    "HandwrittenLSTM",
    "Prediction",
    "Reviews",
    "TrainConfig",
    "TrainedModel",
    "explain",
    "load",
    "load_run",
]

_MODULES = {
    "Classifier": "imdb_sentiment.model.base",
    "HandwrittenLSTM": "imdb_sentiment.model.lstm",
    "Prediction": "imdb_sentiment.model.trained",
    "Reviews": "imdb_sentiment.data.reviews",
    "TrainConfig": "imdb_sentiment.config",
    "TrainedModel": "imdb_sentiment.model.trained",
    "explain": "imdb_sentiment.predict",
    "load": "imdb_sentiment.model.trained",
}


def __getattr__(name: str) -> Any:
    if name == "load_run":  # the former name of `load`
        name = "load"
    if name not in _MODULES:
        raise AttributeError(f"module 'imdb_sentiment' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
