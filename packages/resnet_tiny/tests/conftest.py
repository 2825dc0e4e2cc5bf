from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_tiny.cli import main
from resnet_tiny.data import sample
from shared.testing import caller, require_data


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep packed images out of the user's cache, and use one thread: other people's tests run beside these."""
    import os

    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("cache")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sample of 10 classes with 8 training images and 3 of val each."""
    folder = tmp_path_factory.mktemp("sample") / "made-up"
    sample.write(folder, train=8, val=3)
    return folder


@pytest.fixture
def broken(sample_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the sample to break."""
    import shutil

    shutil.copytree(sample_folder, tmp_path / "broken")
    return tmp_path / "broken"


@pytest.fixture
def resnet_tiny(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a caller of the command: words -> (exit code, standard output, standard error)."""
    return caller(main, capsys, monkeypatch, tmp_path)


# The smallest of torchvision's models: one step of 16 images takes a fiftieth of ResNet-18's time.
SMALL = (
    "--device", "cpu", "--threads", 1, "--arch", "shufflenet_v2_x0_5", "--batch-size", 16, "--log-every", 1,
    "--holdout-per-class", 2,
)  # fmt: skip


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """Return a finished run on the sample: two epochs of three steps."""
    out = tmp_path_factory.mktemp("runs") / "small"
    words = ["train", "--data", sample_folder, "--out", out, "--quiet", "--epochs", 2, *SMALL]
    words += ["--checkpoint-epochs", "[1,2]", "--evaluation-crop", 0.875]
    assert main([str(word) for word in words]) == 0
    return out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real images; tests that need it skip where it is not."""
    return require_data("tiny-imagenet-200", "wnids.txt", "resnet-tiny")


COLORS = {
    "amber": (250, 190, 0),
    "blue": (0, 0, 220),
    "cyan": (0, 220, 220),
    "dark": (20, 20, 20),
    "else": (200, 0, 90),
}


def paint(path: Path, color: tuple[int, int, int], seed: int, size: int = 96) -> None:
    noise = np.random.default_rng(seed).integers(-20, 20, (size, size, 3))
    pixels = (np.array(color) + noise).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return five classes of 96x96 PNGs, without a split, some of them in a subfolder."""
    root = tmp_path_factory.mktemp("own") / "photos"
    for name, color in COLORS.items():
        for number in range(20):
            folder = root / name / ("more" if number % 4 == 0 else ".")
            paint(folder / f"{number}.png", color, number)
    return root


@pytest.fixture(scope="session")
def own_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("own-run") / "run"
    words = (
        "train", "--data", photos, "--resize", "--image-size", 32, "--arch", "squeezenet1_1", "--optimizer", "adamw",
        "--learning-rate", 0.001, "--epochs", 6, "--batch-size", 16, "--holdout-per-class", 3, "--device", "cpu",
        "--threads", 1, "--out", out, "--quiet",
    )  # fmt: skip
    assert main([str(word) for word in words]) == 0
    return out
