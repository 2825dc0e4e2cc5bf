"""Make torchvision importable where its compiled operators do not fit the installed torch.

PyPI's torchvision next to a CPU-only torch fails at import (`operator torchvision::nms does not exist`), and takes
`transformers` with it. Only the declaration of two operators is missing: with it the import works, and so does all
that does not call them (models, transforms). They belong to object detection, which no task here does.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

OPERATORS = ("nms", "qnms")

# A library's declarations last as long as the object.
_declared: list[Any] = []


def make_torchvision_importable() -> bool:
    """Declare the operators that torchvision's import asks for, if its own library cannot be loaded.

    Call it before `import torchvision` and before `import transformers`. Calling it again does nothing.

    Returns
    -------
    bool
        Whether torchvision is installed.
    """
    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    if not _declared and not _has_own_operators(Path(spec.submodule_search_locations[0])):
        library = torch.library.Library("torchvision", "DEF")
        for name in OPERATORS:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)
    return True


def _has_own_operators(package: Path) -> bool:
    """Load torchvision's compiled library, as its import will do, and tell whether that went well."""
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    for path in package.glob("_C*"):
        try:
            torch.ops.load_library(path)
        except OSError:  # made for another torch, or CUDA is missing
            continue
        return hasattr(torch.ops.torchvision, "nms")
    return False
