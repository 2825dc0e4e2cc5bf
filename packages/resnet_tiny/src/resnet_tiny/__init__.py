"""Image classification on Tiny ImageNet, or on your own images: ResNet-18 and any other torchvision model.

    from resnet_tiny import load
    model = load("runs/resnet_tiny/laptop")
    model.predict("cat.jpg")

Names are imported when first asked for, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "ImageClassifier",
    "Prediction",
    "TrainConfig",
    "build_model",
    "load",
    "load_images",
    "load_run",
]

_HOMES = {
    "ImageClassifier": "resnet_tiny.predict",
    "Prediction": "resnet_tiny.predict",
    "TrainConfig": "resnet_tiny.config",
    "build_model": "resnet_tiny.model.resnet",
    "load": "resnet_tiny.predict",
    "load_images": "resnet_tiny.data.dataset",
    "load_run": "resnet_tiny.model.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resnet_tiny' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
