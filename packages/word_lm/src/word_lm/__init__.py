"""Word-level language models: recurrent, Transformer and convolutional.

`LanguageModel`, `load_run` and `Vocabulary` are what a notebook needs; they are imported when first asked for, so that
the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["LanguageModel", "Vocabulary", "load_run"]

_HOMES = {
    "LanguageModel": "word_lm.model.base",
    "Vocabulary": "shared.text.vocabulary",
    "load_run": "word_lm.model.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'word_lm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
