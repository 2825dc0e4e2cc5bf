"""word2vec's continuous bag of words, from numpy up.

`load` reads a trained model; `CBOW`, `Vocabulary` and `WordVectors` are for notebooks. All are imported when first
asked for, so that the command line starts at once.

    >>> import cbow
    >>> vectors = cbow.load("runs/cbow/best")
    >>> vectors.most_similar("film", topn=3)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["CBOW", "TrainConfig", "Vocabulary", "WordVectors", "load"]

_HOMES = {
    "CBOW": "cbow.model.cbow",
    "TrainConfig": "cbow.config",
    "Vocabulary": "shared.text.vocabulary",
    "WordVectors": "cbow.model.vectors",
    "load": "cbow.model.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cbow' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
