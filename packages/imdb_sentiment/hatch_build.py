"""Point the requirement on `dltasks-shared` at this checkout, or keep its version range.

From a checkout, `pip install ./packages/<task>` must be enough, and PyPI has no `dltasks-shared` of the same state. So
the range becomes the checkout's own folder. Where pip builds from a clone that it removes afterwards
(`pip install "git+URL#subdirectory=packages/<task>"`), it becomes the same commit of the same repository; uv does so by
itself. Packages to publish are built with `DLTASKS_RELEASE=1`, which keeps the range; so does a package folder that was
copied out of a checkout. This file is the same in every package (tests/test_packaging.py compares them), because an
sdist must carry its own copy.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.requirements import Requirement

SHARED = "dltasks-shared"
CLONES = ("pip-req-build-", "pip-install-")
"""How the names of the folders begin in which pip keeps a clone while it builds."""


class CheckoutHook(MetadataHookInterface):
    """Fill in the dependencies listed under `[tool.hatch.metadata.hooks.custom]`."""

    def update(self, metadata: dict) -> None:
        """Write `dependencies` and `optional-dependencies` into the package's metadata."""
        url = self._url_of_shared()
        metadata["dependencies"] = [
            point_at(requirement, url) for requirement in self.config.get("dependencies", [])
        ]
        metadata["optional-dependencies"] = {
            extra: [point_at(requirement, url) for requirement in requirements]
            for extra, requirements in self.config.get("optional-dependencies", {}).items()
        }

    def _url_of_shared(self) -> str | None:
        """Return where the `shared` beside this package is installed from; None where ranges are wanted."""
        if os.environ.get("DLTASKS_RELEASE") == "1":
            return None
        folder = Path(self.root).resolve().parent.parent / "shared"
        pyproject = folder / "pyproject.toml"
        if not pyproject.is_file() or f'name = "{SHARED}"' not in pyproject.read_text("utf-8"):
            return None
        if any(part.startswith(CLONES) for part in folder.parts):
            return url_in_repository(folder) or folder.as_uri()
        return folder.as_uri()


def url_in_repository(folder: Path) -> str | None:
    """Return the address of a folder in the repository that its clone came from; None if it is no clone."""
    try:
        origin, commit, top = (
            subprocess.run(
                ["git", "-C", folder, *words], check=True, capture_output=True, encoding="utf-8"
            ).stdout.strip()
            for words in (
                ("remote", "get-url", "origin"),
                ("rev-parse", "HEAD"),
                ("rev-parse", "--show-prefix"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"git+{without_password(origin)}@{commit}#subdirectory={top.rstrip('/')}"


def without_password(origin: str) -> str:
    """Return the address of a repository as a URL that may be written into metadata."""
    if "://" not in origin:
        host, _, path = origin.partition(":")  # git@host:path, as ssh takes it
        origin = f"ssh://{host}/{path}" if path else Path(origin).resolve().as_uri()
    parts = urlsplit(origin)
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme == "ssh" and user:
        host = f"{user.partition(':')[0]}@{host}"
    # pip before 24.1 takes no URL with an empty host.
    return parts._replace(netloc=host or "localhost", path=quote(unquote(parts.path))).geturl()


def point_at(text: str, url: str | None) -> str:
    """Return the requirement with `url` in place of its version range, if it is the one on `dltasks-shared`."""
    requirement = Requirement(text)
    if requirement.name == SHARED and url is not None:
        requirement.specifier = type(requirement.specifier)()
        requirement.url = url
    return str(requirement)
