"""Point the requirement on `dltasks-shared` at this checkout, or keep its version range.

From a checkout, `pip install ./packages/<task>` must be enough, and PyPI has no `dltasks-shared` of the same state. So
the range becomes the checkout's own folder. Packages to publish are built with `DLTASKS_RELEASE=1`, which keeps the
range; so does a package folder that was copied out of a checkout. This file is the same in every package
(tests/test_packaging.py compares them), because an sdist must carry its own copy.
"""

from __future__ import annotations

import os
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.requirements import Requirement

SHARED = "dltasks-shared"


class CheckoutHook(MetadataHookInterface):
    """Fill in the dependencies listed under `[tool.hatch.metadata.hooks.custom]`."""

    def update(self, metadata: dict) -> None:
        """Write `dependencies` and `optional-dependencies` into the package's metadata."""
        folder = self._checkout_folder()
        metadata["dependencies"] = [
            point_at(requirement, folder) for requirement in self.config.get("dependencies", [])
        ]
        metadata["optional-dependencies"] = {
            extra: [point_at(requirement, folder) for requirement in requirements]
            for extra, requirements in self.config.get("optional-dependencies", {}).items()
        }

    def _checkout_folder(self) -> Path | None:
        """Return the checkout's `shared` folder, or None where ranges are wanted."""
        if os.environ.get("DLTASKS_RELEASE") == "1":
            return None
        folder = Path(self.root).resolve().parent.parent / "shared"
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file() and f'name = "{SHARED}"' in pyproject.read_text(encoding="utf-8"):
            return folder
        return None


def point_at(text: str, folder: Path | None) -> str:
    """Return the requirement with `folder` in place of its version range, if it is the one on `dltasks-shared`."""
    requirement = Requirement(text)
    if requirement.name == SHARED and folder is not None:
        requirement.specifier = type(requirement.specifier)()
        requirement.url = folder.as_uri()
    return str(requirement)
