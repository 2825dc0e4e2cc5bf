from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imdb_sentiment.cli import main
from imdb_sentiment.data import sample
from shared.testing import caller, require_data


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small models gain nothing from threads, and other people's tests run beside these."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "sample"
    sample.write(folder)
    return folder


@pytest.fixture
def imdb(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a caller of the command: words -> (exit code, standard output, standard error)."""
    return caller(main, capsys, monkeypatch, tmp_path)


@pytest.fixture(scope="session")
def linear_run(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """Return a finished NB-SVM run on the sample."""
    return finished(tmp_path_factory, sample_folder, "--recipe", "nbsvm")


@pytest.fixture(scope="session")
def lstm_run(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """Return a finished LSTM run on the sample."""
    return finished(tmp_path_factory, sample_folder, "--model", "lstm", *SMALL)


SMALL = (
    "--device", "cpu", "--threads", 1, "--epochs", 6, "--embedding-size", 32, "--hidden-size", 32,
    "--batch-size", 16, "--learning-rate", 0.01, "--dropout", 0.2, "--log-every", 20,
)  # fmt: skip


def finished(factory: pytest.TempPathFactory, data: Path, *settings: object) -> Path:
    out = factory.mktemp("runs") / "run"
    words = ["train", "--data", data, "--out", out, "--quiet", *settings]
    assert main([str(word) for word in words]) == 0
    return out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real reviews; tests that need it skip where it is not."""
    return require_data("aclImdb", "train/pos", "imdb-sentiment")


def write_reviews(folder: Path, split: str, positive: list[str], negative: list[str]) -> None:
    """Write reviews with ids 0, 1, ... and ratings 9 and 2."""
    for kind, texts, rating in (("pos", positive, 9), ("neg", negative, 2)):
        here = folder / split / kind
        here.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(texts):
            (here / f"{number}_{rating}.txt").write_text(text, encoding="utf-8")
