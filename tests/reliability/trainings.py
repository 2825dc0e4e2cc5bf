"""The small training of each package that the tests kill, starve, damage and double."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import pytest

_TORCH = ("--device", "cpu", "--threads", "1", "--precision", "float32")


@dataclass(frozen=True)
class Training:
    """One small training on a package's sample.

    Parameters
    ----------
    name : str
        Of the training; the package's, but for a second one of a package.
    task : str
        Import name of the package.
    settings : tuple of str
        Words of `train` beside --data and --out.
    other : tuple of str
        Further words that give a model of another shape on the same data.
    goes_on : bool
        A killed run goes on from a checkpoint; otherwise it begins anew, and keeps nothing but its model.
    tolerance : float
        Of a figure, relative: 0 where kills cut no sum in two.
    """

    name: str
    task: str
    settings: tuple[str, ...]
    other: tuple[str, ...]
    goes_on: bool = True
    tolerance: float = 0.0


TRAININGS = (
    Training(
        "cbow",
        "cbow",
        (
            "--objective", "negative", "--initial", "word2vec", "--learning-rate", "0.05", "--schedule", "linear",
            "--positions", "--subword-max", "4", "--vectors", "joined", "--window", "2", "--twin", "--epochs", "6",
            "--dimension", "64", "--negatives", "20", "--subsample", "1e-2", "--checkpoint-seconds", "0.02",
        ),
        ("--dimension", "24"),
        tolerance=1e-9,  # the loss of an epoch is added up in pieces, which a kill cuts elsewhere
    ),
    Training(
        "esim",
        "esim",
        (
            *_TORCH, "--embedding-size", "24", "--hidden-size", "24", "--matches", "--vectors", "train",
            "--learning-rate", "0.01", "--steps", "40", "--evaluate-every", "15", "--checkpoint-every", "5",
            "--log-every", "2",
        ),
        ("--hidden-size", "16"),
    ),
    Training(
        "imdb_sentiment",
        "imdb_sentiment",
        (
            *_TORCH, "--model", "lstm", "--embedding-size", "16", "--hidden-size", "16", "--batch-size", "16",
            "--word-dropout", "0.2", "--input-dropout", "0.2", "--crop", "20", "--ema-decay", "0.9", "--learning-rate",
            "0.01", "--limit", "300", "--steps", "80", "--evaluate-every", "25", "--checkpoint-every", "9",
            "--log-every", "3",
        ),
        ("--hidden-size", "8"),
    ),
    Training(
        "imdb_sentiment, linear",
        "imdb_sentiment",
        ("--recipe", "nbsvm"),
        ("--model", "tfidf", "--ngrams", "1"),
        goes_on=False,
    ),
    Training(
        "resnet_tiny",
        "resnet_tiny",
        (
            *_TORCH, "--arch", "shufflenet_v2_x0_5", "--batch-size", "16", "--holdout-per-class", "2", "--crop", "pad",
            "--flip", "alternate", "--mixup", "0.2", "--pack-threads", "1", "--steps", "24", "--checkpoint-every", "2",
            "--log-every", "1",
        ),
        ("--arch", "shufflenet_v2_x1_0"),
    ),
    Training(
        "word_lm",
        "word_lm",
        (
            *_TORCH, "--embedding-size", "24", "--hidden-size", "24", "--batch-size", "16", "--learning-rate", "0.01",
            "--softmax", "adaptive", "--cutoffs", "[30,60]", "--steps", "60", "--evaluate-every", "25",
            "--checkpoint-every", "7", "--log-every", "2",
        ),
        ("--hidden-size", "16"),
    ),
)  # fmt: skip
"""One of each package, and a linear model, which has no steps."""

each_training = pytest.mark.parametrize("attempts", TRAININGS, indirect=True, ids=lambda t: t.name)
each_that_goes_on = pytest.mark.parametrize(
    "attempts", [t for t in TRAININGS if t.goes_on], indirect=True, ids=lambda t: t.name
)
TASKS = tuple(dict.fromkeys(training.task for training in TRAININGS))


def write_sample(task: str, folder: Path) -> None:
    """Write a package's sample, that of the pictures a small one."""
    few = {"train": 8, "val": 3} if task == "resnet_tiny" else {}
    importlib.import_module(f"{task}.data.sample").write(folder, **few)
