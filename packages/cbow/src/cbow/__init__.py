"""word2vec's continuous bag of words, from numpy up.

`CBOW`, `Vocabulary` and `WordVectors` are what a notebook needs; they are imported when first asked for, so that the
command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["CBOW", "Vocabulary", "WordVectors"]

_HOMES = {
    "CBOW": "cbow.assignment",
    "Vocabulary": "shared.text.vocabulary",
    "WordVectors": "cbow.model.vectors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cbow' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
