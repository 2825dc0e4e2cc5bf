"""Install packages of this checkout again where the environment holds another version of them.

    python tests/reinstall.py FOLDER...

tox installs a package's requirements only when their list changes, so without this an edit in `shared/` would not be
seen by the next run. A fresh environment has the right files already, and pip is not asked.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path


def is_installed(folder: Path, site: Path) -> bool:
    """Return whether an environment has the files of the checkout, and metadata newer than the pyproject."""
    (source,) = (path for path in (folder / "src").iterdir() if (path / "__init__.py").exists())
    name = f"dltasks_{source.name}"
    metadata = next(site.glob(f"{name}-*.dist-info/RECORD"), None)
    project = folder / "pyproject.toml"
    if metadata is None or metadata.stat().st_mtime < project.stat().st_mtime:
        return False
    return contents(source) == contents(site / source.name)


def contents(package: Path) -> dict[Path, bytes]:
    """Return all files below a package but what is made as it runs."""
    return {
        path.relative_to(package): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def main(folders: list[Path]) -> int:
    """Reinstall the packages in these folders that have changed; the exit code."""
    site = Path(sysconfig.get_path("purelib"))
    changed = [str(folder) for folder in folders if not is_installed(folder, site)]
    if not changed:
        return 0
    print("installing again:", *changed, flush=True)
    pip = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*pip, "--force-reinstall", "--no-deps", *changed]).returncode


if __name__ == "__main__":
    sys.exit(main([Path(word).resolve() for word in sys.argv[1:]]))
