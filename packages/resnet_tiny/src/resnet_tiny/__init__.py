"""Image classification on Tiny ImageNet: ResNet-18 and any other torchvision model.

`load_run`, `build_model` and `load_images` are what a notebook needs; they are imported when first asked for, so that
the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["build_model", "load_images", "load_run"]

_HOMES = {
    "build_model": "resnet_tiny.model.resnet",
    "load_images": "resnet_tiny.data.dataset",
    "load_run": "resnet_tiny.model.trained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resnet_tiny' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
