"""Word-level language models: recurrent, Transformer and convolutional.

    >>> from word_lm import load
    >>> model = load("runs/word_lm/laptop")
    >>> print(model.generate("the captain", words=20))

Names are imported on first use, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["LanguageModel", "LoadedModel", "TrainedModel", "Vocabulary", "load", "load_run"]

_HOMES = {
    "LanguageModel": "word_lm.model.base",
    "LoadedModel": "word_lm.loaded",
    "TrainedModel": "word_lm.model.trained",
    "Vocabulary": "shared.text.vocabulary",
    "load": "word_lm.loaded",
    "load_run": "word_lm.model.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'word_lm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
