"""The command that installs an optional part (an extra) of one of our packages, as it works on this machine."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from shared.errors import UserError


def require(modules: tuple[str, ...], package: str, extra: str, purpose: str) -> None:
    """Check that modules of an extra are installed.

    Parameters
    ----------
    modules : tuple of str
        Import names.
    package : str
        Distribution that has the extra, for example `dltasks-esim`.
    extra : str
    purpose : str
        What needs them, for the message: "ONNX files need".

    Raises
    ------
    UserError
        One is missing; the message has the command that installs it.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{purpose} {', '.join(missing)}, not installed. Run: {install_command(package, extra)}"
        )


def install_command(package: str, extra: str) -> str:
    """Return a pip command that installs an extra, whatever the package was installed from.

    Our packages are installed from a checkout or from git, so their name alone is known to no package index: the
    checkout's folder or the git address is named. Where there is neither, the extra's requirements are named.
    """
    try:
        found = distribution(package)
    except PackageNotFoundError:
        return f'pip install "{package}[{extra}]"'
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    is_editable = origin.get("dir_info", {}).get("editable", False)
    source = _source(package, extra, origin)
    words = [source] if source and not is_editable else _requirements(found, extra)
    if not words and source:  # its metadata are older than the extra
        return f"pip install -e {_quoted(source)}"
    words = words or [f"{package}[{extra}]"]
    return " ".join(["pip install", *(_quoted(word) for word in words)])


def _source(package: str, extra: str, origin: dict) -> str | None:
    """Return what pip is given to install from the same place again, or None where that is gone."""
    url = origin.get("url", "")
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        revision = vcs.get("requested_revision")
        folder = origin.get("subdirectory")
        return (
            f"{package}[{extra}] @ {vcs['vcs']}+{url}"
            + (f"@{revision}" if revision else "")
            + (f"#subdirectory={folder}" if folder else "")
        )
    parts = urlsplit(url)
    folder = url2pathname(unquote(parts.path)) if parts.scheme == "file" else ""
    return f"{folder}[{extra}]" if folder and Path(folder, "pyproject.toml").exists() else None


def _requirements(found: Distribution, extra: str) -> list[str]:
    """Return the requirements of an extra, without the condition that names it."""
    lines = [line.partition(";") for line in found.requires or ()]
    wanted = (f'extra == "{extra}"', f"extra == '{extra}'")
    return [name.strip() for name, _, condition in lines if condition.strip() in wanted]


def _quoted(word: str) -> str:
    """Quote a word for any shell: double quotes where nothing in it is special within them."""
    return shlex.quote(word) if any(mark in word for mark in '$`"\\!') else f'"{word}"'
