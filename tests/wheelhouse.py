"""Build wheels and sdists as they would be published, and install them from their folder alone.

    python tests/wheelhouse.py FOLDER

Every wheel is built from its sdist. A fresh environment then gets the task packages from that folder; only ordinary
dependencies come from the package index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TASKS = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))


def run(*command: str | Path, **env: str) -> str:
    """Run a command outside the checkout and return what it printed; leave if it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=FOLDER,
        env=clean | env,
        check=False,
        text=True,
        capture_output=True,
    )
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(str(word) for word in command)}\n{done.stdout}{done.stderr}")
    return done.stdout


FOLDER = Path(sys.argv[1]).resolve()
dist = FOLDER / "dist"
shutil.rmtree(dist, ignore_errors=True)
FOLDER.mkdir(parents=True, exist_ok=True)
for package in [ROOT / "shared", *(ROOT / "packages" / task for task in TASKS)]:
    build = (sys.executable, "-m", "build", "--installer", "uv")
    run(*build, "--outdir", dist, package, DLTASKS_RELEASE="1")

for wheel in dist.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        assert b"@ file:" not in archive.read(metadata), (
            f"{wheel.name} needs a folder of this machine"
        )
for sdist in dist.glob("*.tar.gz"):
    with tarfile.open(sdist) as archive:
        (metadata,) = (
            name
            for name in archive.getnames()
            if name.count("/") == 1 and name.endswith("/PKG-INFO")
        )
        file = archive.extractfile(metadata)
        assert file is not None
        assert b"@ file:" not in file.read(), f"{sdist.name} needs a folder of this machine"

home = FOLDER / "fresh"
venv.create(home, clear=True)
python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
names = [f"dltasks-{task.replace('_', '-')}" for task in TASKS]
# The option replaces the variable, so the folders of both are given.
folders = [dist, *os.environ.get("UV_FIND_LINKS", "").split()]
links = [word for folder in folders for word in ("--find-links", folder)]
run(sys.executable, "-m", "uv", "pip", "install", "--python", python, *links, *names)
run(sys.executable, "-m", "uv", "pip", "check", "--python", python)
for task in TASKS:
    print(run(python, "-m", task, "--version").strip())
print("installed from", ", ".join(sorted(path.name for path in dist.iterdir())))
