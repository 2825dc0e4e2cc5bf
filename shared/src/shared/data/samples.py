"""The made-up data set of each task: written where the user wants it, or used where there is no real data.

A package brings one function, `write(folder)`, which makes the folder and its files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from shared.command.options import SampleOptions
from shared.data.datasets import find_data
from shared.files import require_empty, shell_quoted

MARK = ".dltasks-sample"
"""A hidden file in every sample, so that a run on one says so wherever the sample lies."""

Write = Callable[[Path], object]


def sample_notice(command: str, given: str | None) -> str:
    """Return what a run on the sample says at its start.

    Parameters
    ----------
    command : str
        For example `word-lm`.
    given : str or None
        Value of `--data`.
    """
    if given is not None:
        return "Data: the made-up sample."
    return (
        "No --data given and no downloaded data found: training on the small made-up sample. "
        f"`{command} fetch` downloads the real data."
    )


def data_or_sample(dataset: str, given: str | None, write: Write) -> tuple[Path, bool]:
    """Return the data to use, and whether it is a sample.

    Parameters
    ----------
    dataset : str
        Folder in the data root that is used where nothing is given.
    given : str or None
        Value of `--data`.
    write : callable
        Writes the sample.

    Raises
    ------
    UserError
        `given` does not exist.
    """
    path = find_data(dataset, given)
    if path is not None:
        folder = path if path.is_dir() else path.parent
        return path, (folder / MARK).is_file()
    # Made anew each time: it is small, and a copy kept somewhere could be stale.
    holder = tempfile.TemporaryDirectory(prefix=f"{dataset}-sample-")
    _SAMPLES.append(holder)
    folder = Path(holder.name) / "sample"
    _write(folder, write)
    return folder, True


def write_sample(options: SampleOptions, command: str, write: Write, advice: str) -> int:
    """Write the sample to where the user wants it (verb `sample`).

    Parameters
    ----------
    options : SampleOptions
    command : str
        For example `word-lm`; names the folder where none is given.
    write : callable
        Writes the sample.
    advice : str
        What to do with it; `{folder}` stands for the folder.

    Raises
    ------
    UserError
        The folder is not empty.
    """
    folder = Path(options.out or f"{command}-sample")
    require_empty(folder)
    _write(folder, write)
    print(f"The sample is in {folder}. {advice.format(folder=shell_quoted(folder))}")
    return 0


def _write(folder: Path, write: Write) -> None:
    write(folder)
    (folder / MARK).write_text("A small made-up data set.\n", encoding="utf-8")


_SAMPLES: list[tempfile.TemporaryDirectory] = []  # removed when the process ends
