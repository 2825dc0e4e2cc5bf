"""The runs in a folder: which there are, which is the newest, and what RUN means on a command line."""

from __future__ import annotations

import json
from pathlib import Path


def runs_in(folder: Path) -> list[Path]:
    """Return the run folders directly in a folder, oldest first; what cannot be read is left out."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return sorted((entry for entry in entries if _is_run(entry)), key=_started)


def newest_run(path: Path, task: str) -> Path:
    """Return a run folder as it is, and of a folder of runs the newest one.

    `runs` and `runs/<task>` are both folders of runs. What is neither is returned as it is, for the reader's message.

    Parameters
    ----------
    path : Path
    task : str
        The command.
    """
    if _is_run(path):
        return path
    for folder in (path, path / task.replace("-", "_")):
        if runs := runs_in(folder):
            return runs[-1]
    return path


def _is_run(path: Path) -> bool:
    try:
        return (path / "config.yaml").is_file()
    except OSError:
        return False


def _started(run: Path) -> tuple[str, str]:
    try:
        facts = json.loads((run / "environment.json").read_text(encoding="utf-8"))
        return str(facts["started"]), run.name
    except (OSError, ValueError, KeyError, TypeError):
        return "", run.name
