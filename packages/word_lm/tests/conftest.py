from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shared.testing import caller, require_data
from word_lm.cli import main
from word_lm.data import sample


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small models gain nothing from threads, and other people's tests run beside these."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    sample.write(folder)
    return folder


@pytest.fixture
def word_lm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a caller of the command: words -> (exit code, standard output, standard error)."""
    return caller(main, capsys, monkeypatch, tmp_path)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """Return a finished run on the sample."""
    out = tmp_path_factory.mktemp("runs") / "small"
    words = ["train", "--data", sample_folder, "--out", out, "--quiet", *SMALL]
    assert main([str(word) for word in words]) == 0
    return out


SMALL = (
    "--device", "cpu", "--threads", 1, "--epochs", 3, "--embedding-size", 64, "--hidden-size", 64,
    "--batch-size", 16, "--learning-rate", 0.01, "--log-every", 20,
)  # fmt: skip


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real text; tests that need it skip where it is not."""
    return require_data("wikitext-2", "train.txt", "word-lm")
