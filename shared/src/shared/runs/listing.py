"""The runs in a folder: which there are, which is the newest, and what RUN means on a command line."""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

RUN_FILES = ("config.yaml", "environment.json")
"""What every run's folder holds from its start."""


def runs_in(folder: Path, task: str | None = None) -> list[Path]:
    """Return the run folders directly in a folder, oldest first; what cannot be read is left out.

    Parameters
    ----------
    folder : Path
    task : str, optional
        Leave out the runs of other tasks, as far as they say whose they are.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    runs = [entry for entry in entries if _is_run(entry)]
    if task is not None:
        runs = [run for run in runs if task_of(run) in (None, task.replace("-", "_"))]
    return sorted(runs, key=_started)


def newest_run(path: Path, task: str) -> Path:
    """Return a run folder as it is, and of a folder of runs the newest one of a task that has a checkpoint.

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
        if runs := runs_in(folder, task):
            trained = [run for run in runs if any((run / "checkpoints").glob("[!.]*"))]
            return (trained or runs)[-1]
    return path


def task_of(run: Path) -> str | None:
    """Return the task of a run with underscores, or None where nothing tells it."""
    facts = environment_of(run)
    task = facts.get("task")
    if task is None and isinstance(facts.get("command"), list) and facts["command"]:
        task = facts["command"][0]  # of runs before `task` was noted
    name = str(task).removesuffix(".exe").replace("-", "_")
    return None if task is None or name.startswith("__main__") or not name.isidentifier() else name


def environment_of(run: Path) -> dict[str, Any]:
    """Return what `environment.json` of a run says, or nothing where it cannot be read."""
    try:
        facts = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def is_in_run(path: Path, folder: Path) -> bool:
    """Whether a file below a folder belongs to a run, whose log and vocabulary are no data to train on."""
    between = takewhile(lambda parent: parent != folder, path.parents)
    return any(all((parent / name).is_file() for name in RUN_FILES) for parent in between)


def _is_run(path: Path) -> bool:
    try:
        return (path / "config.yaml").is_file()
    except OSError:
        return False


def _started(run: Path) -> tuple[str, str]:
    return str(environment_of(run).get("started", "")), run.name
