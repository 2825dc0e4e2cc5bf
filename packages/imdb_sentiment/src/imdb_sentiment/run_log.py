"""What a training run says at its start and its end."""

from __future__ import annotations

from typing import Any

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.reviews import CLASSES, Data
from shared.calibration import caution
from shared.data.samples import sample_notice
from shared.runs.run_directory import RunDirectory


def say_start(run: RunDirectory, config: TrainConfig, data: Data, details: str) -> None:
    """Say what is trained on which data."""
    if data.is_sample:
        run.say(sample_notice("imdb-sentiment", config.data))
    facts = data.facts()
    if data.train.classes != CLASSES:
        names = (repr(name) if "," in name else name for name in data.train.classes)
        run.say(f"classes: {', '.join(names)}")
        folded = [name.casefold() for name in data.train.classes]
        alike = [n for n, f in zip(data.train.classes, folded, strict=True) if folded.count(f) > 1]
        if alike:
            run.say(f"Classes that differ in capitals alone are told apart: {', '.join(alike)}.")
    if not data.has_test:
        run.say(
            f"The data has no test set: {config.test_fraction:.0%} of each class were split off as one. "
            "--test-data names another."
        )
    counts = " / ".join(f"{count:,}" for count in facts["reviews"].values())
    run.say(
        f"{facts['name']}: {counts} reviews in train / valid (split {facts['split']}) / test; "
        f"{config.model} {details}"
    )


def say_end(run: RunDirectory, metrics: dict[str, Any], seconds: float) -> None:
    """Say the figures of a run that has ended."""
    run.say(
        f"test accuracy {100 * metrics['test_accuracy']:.2f} %, valid accuracy "
        f"{100 * metrics['valid_accuracy']:.2f} % ({metrics['test_reviews']:,} and "
        f"{metrics['valid_reviews']:,} reviews); trained in {seconds:.1f} s"
    )
    if text := caution("test", metrics["test_reviews"], "review"):
        run.say(text)
