from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cbow.cli import main
from cbow.data import sample
from shared.testing import caller, require_data


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    sample.write(folder)
    return folder


@pytest.fixture
def cbow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a caller of the command: words -> (exit code, standard output, standard error)."""
    return caller(main, capsys, monkeypatch, tmp_path)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """Return a finished run on the sample."""
    out = tmp_path_factory.mktemp("runs") / "small"
    words = ["train", "--data", sample_folder, "--epochs", 4, "--out", out, "--quiet"]
    assert main([str(word) for word in words]) == 0
    return out


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the page of each run, which takes longer than a small training."""
    monkeypatch.setattr("cbow.commands.train.write_page", lambda run: None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the assignment's real corpus; tests that need it skip where it is not."""
    return require_data("cbow", "treebank.txt", "cbow")
