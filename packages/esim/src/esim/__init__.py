"""ESIM: natural language inference by attention between two sentences.

    from esim import load

    model = load("runs/esim/laptop")
    model.predict(("A dog runs.", "An animal moves.")).label
    model.attention("A dog runs.", "An animal moves.").over_hypothesis
    model.evaluate()["accuracy"]

The names below are imported when first used, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Esim",
    "Prediction",
    "TrainConfig",
    "TrainedModel",
    "Vocabulary",
    "classify",
    "evaluate",
    "load",
    "load_run",
]

_HOMES = {
    "Esim": "esim.model.esim",
    "Prediction": "esim.predict",
    "TrainConfig": "esim.config",
    "TrainedModel": "esim.model.trained",
    "Vocabulary": "shared.text.vocabulary",
    "classify": "esim.predict",
    "evaluate": "esim.measure",
    "load": "esim.predict",
    "load_run": "esim.model.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'esim' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
