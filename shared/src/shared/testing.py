"""What the tests of all packages need; imported by tests only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.datasets import data_root


def caller(
    main: Callable[[Sequence[str]], int], capsys: Any, monkeypatch: Any, folder: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a caller of a command: words -> (exit code, standard output, standard error).

    Parameters
    ----------
    main : callable
        The command.
    capsys, monkeypatch : pytest fixtures
    folder : Path
        Working folder.
    """
    monkeypatch.chdir(folder)

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call


def require_data(dataset: str, file: str, command: str) -> Path:
    """Return the folder of a real data set, or skip the test, saying how to get it.

    Parameters
    ----------
    dataset : str
        Its folder in the data root.
    file : str
        Must be in it.
    command : str
        Whose verb `fetch` downloads it.
    """
    import pytest

    folder = data_root() / dataset
    if not (folder / file).exists():
        pytest.skip(
            f"needs the real data: `{command} fetch`, or DLTASKS_DATA=<folder above {dataset}/>"
        )
    return folder
