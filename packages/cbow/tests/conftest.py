from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cbow import sample
from cbow.cli import main


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
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """Return a finished run on the sample."""
    out = tmp_path_factory.mktemp("runs") / "small"
    words = ["train", "--data", sample_folder, "--epochs", 4, "--out", out, "--quiet"]
    assert main([str(word) for word in words]) == 0
    return out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the assignment's real corpus; tests that need it skip where it is not."""
    root = os.environ.get("DLTASKS_DATA")
    if not root or not (Path(root) / "cbow" / "treebank.txt").is_file():
        pytest.skip("needs the real corpus: `cbow fetch`, then DLTASKS_DATA=<folder above cbow/>")
    return Path(root) / "cbow"
