"""ESIM: natural language inference by attention between two sentences.

`Esim`, `classify`, `load_run` and `Vocabulary` are what a notebook needs; they are imported when first asked for, so
that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Esim", "Vocabulary", "classify", "load_run"]

_HOMES = {
    "Esim": "esim.model.esim",
    "Vocabulary": "shared.text.vocabulary",
    "classify": "esim.predict",
    "load_run": "esim.model.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'esim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
