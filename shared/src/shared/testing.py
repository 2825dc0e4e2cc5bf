"""What the tests of all packages need; imported by tests only."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from shared.command.config import load, recipe_file
from shared.data.datasets import data_root

CLOCK = ("step_seconds", "data_fraction", "timing", "per_second", "evaluation_seconds", "seconds")
"""Figures in `metrics.jsonl` that no two runs share."""


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
    monkeypatch.setenv("DLTASKS_TRACEBACK", "1")  # a defect fails the test where it is

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


def assert_help_is_light(package: str, heavy: Iterable[str], seconds: float = 1.0) -> None:
    """Assert that `--help` of a package's command starts at once and imports nothing heavy.

    Parameters
    ----------
    package : str
        Import name.
    heavy : iterable of str
        Modules that only verbs may import.
    seconds : float
        The quickest of three starts takes less.
    """
    code = (
        f"import sys; from {package}.cli import main; main(['--help']);"
        f"heavy = {set(heavy)!r} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )
        taken.append(time.perf_counter() - began)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert min(taken) < seconds, taken


def assert_verb_explains(
    call: Callable[..., tuple[int, str, str]], command: str, verb: str
) -> None:
    """Assert that `<command> <verb> --help` prints how the verb is used."""
    code, printed, error = call(verb, "--help")
    assert (code, error) == (0, ""), error
    assert f"usage: {command} {verb}" in printed, printed


def assert_finds_learning_rate(
    call: Callable[..., tuple[int, str, str]], words: Sequence[Any], folder: Path
) -> None:
    """Assert that a `train` with `--find-learning-rate` writes the curve of a range test, and no run.

    Parameters
    ----------
    call : callable
        What `caller` returns.
    words : sequence
        A training on the command line, of a few updates at least.
    folder : Path
        The working folder of the calls.
    """
    find = ("--find-learning-rate", "--range-steps", 12, "--range-rates", "1e-5,1", "--out", "rate")
    code, printed, error = call(*words, *find)
    assert (code, error) == (0, "")
    assert "The curve is in rate/learning-rate.html" in printed.replace("\\", "/")
    names = [f"learning-rate.{ending}" for ending in ("html", "json", "png")]
    assert sorted(path.name for path in (folder / "rate").iterdir()) == names
    curve = json.loads((folder / "rate" / names[1]).read_text())
    assert 3 <= len(curve["rates"]) == len(curve["losses"]) <= 12
    assert curve["rates"][0] == 1e-5


def assert_recipe_states(
    call: Callable[..., tuple[int, str, str]], package: str, config: type, name: str, folder: Path
) -> None:
    """Assert that a recipe is read strictly, prints as it is read, and says its command and what to expect of it.

    Parameters
    ----------
    call : callable
        What `caller` returns.
    package : str
        Import name.
    config : type
        The configuration of the verb `train`.
    name : str
        The recipe.
    folder : Path
        To write in.
    """
    code, printed, error = call("train", "--recipe", name, "--print-config")
    assert (code, error) == (0, ""), error
    (folder / "printed.yaml").write_text(printed, encoding="utf-8")
    assert load(config, folder / "printed.yaml").recipe == name, printed
    header = recipe_file(package, name).read_text(encoding="utf-8").splitlines()[:2]
    command = package.replace("_", "-")
    assert f"{command} train --recipe {name}" in header[0], header
    assert "Expected" in header[1], header


def records_of(run: Path) -> list[dict[str, Any]]:
    """Return a run's `metrics.jsonl` without what the clock decides."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCK} for line in lines]
