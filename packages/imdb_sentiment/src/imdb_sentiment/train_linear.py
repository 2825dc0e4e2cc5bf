"""Training of the linear models: n-grams counted once, a fit for validation, a fit on all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from imdb_sentiment.config import MAY_CHANGE_ON_RESUME, TrainConfig
from imdb_sentiment.data.dataset import load_data
from imdb_sentiment.data.reviews import Data
from imdb_sentiment.data.splits import folds_of
from imdb_sentiment.measure import figures_for_summary, measure
from imdb_sentiment.model import linear
from imdb_sentiment.model.ngrams import document_frequency
from imdb_sentiment.model.trained import save_classes
from imdb_sentiment.run_log import say_end, say_start
from shared.command.options import RunOptions
from shared.runs.run_directory import RunDirectory, versions


def train_linear(config: TrainConfig, options: RunOptions) -> Path:
    """Train a linear model into a run folder; see `train.train`."""
    began = time.monotonic()
    data = load_data(config)
    for part in (data.train, data.valid, data.test):
        part.targets(config.task)  # a rating that has no class is named before work begins
    with RunDirectory.start(
        "imdb_sentiment",
        config,
        out=options.out,
        resume=options.resume,
        quiet=options.quiet,
        may_change=MAY_CHANGE_ON_RESUME,
    ) as run:
        if run.has_ended():
            return run.path
        say_start(run, config, data, f"over n-grams of up to {config.ngrams} words")
        model, valid = fit_and_validate(config, data)
        run.say(
            f"{model.counter.features:,} n-grams; valid accuracy {100 * valid['accuracy']:.2f} % "
            f"loss {valid['loss']:.4f}, {time.monotonic() - began:.1f} s"
        )
        run.metrics.keep_until(-1)  # those of a run that was killed: it starts anew
        run.metrics.add(0, epoch=1, valid_accuracy=valid["accuracy"], valid_loss=valid["loss"])
        seconds = time.monotonic() - began

        def save(folder: Path) -> None:
            model.save(folder)
            save_classes(model.classes, folder)

        run.checkpoints.save(0, save, metric=valid["accuracy"], name="best")
        test = measure(model.probabilities(data.test.texts), data.test, config)
        metrics: dict[str, Any] = {
            **figures_for_summary("valid", valid),
            **figures_for_summary("test", test),
            "seconds_with_test": round(time.monotonic() - began, 3),
        }
        run.write_summary(
            {
                "task": "imdb_sentiment",
                "recipe": config.recipe,
                "seed": config.seed,
                "data": data.facts(),
                "device": "CPU",
                "weights": model.weight_count,
                "classes": len(model.classes),
                "trained_on": len(data.train) + (len(data.valid) if config.refit else 0),
                "seconds": round(seconds, 3),
                "metrics": metrics,
                "versions": versions(("numpy", "scipy", "scikit-learn")),
            }
        )
        say_end(run, metrics, seconds)
        return run.path


def fit_and_validate(
    config: TrainConfig, data: Data
) -> tuple[linear.LinearClassifier, dict[str, Any]]:
    """Return the model to keep, and the figures on valid of one that was fitted on train alone.

    Reviews are counted once. The n-grams that validation may know are those of the training reviews: columns that are
    frequent enough only because of valid are taken out before anything is fitted. Words are clustered by the training
    reviews alone.
    """
    classes = data.classes(config.task)
    counter = linear.make_counter(config)
    known, targets = len(data.train), data.train.targets(config.task)
    texts = [*data.train.texts, *(data.valid.texts if config.refit else ())]
    counts = counter.fit(texts, known)
    train_counts = counts[:known]
    valid_counts = counts[known:] if config.refit else counter.transform(data.valid.texts)
    kinds, folds = counter.kinds, folds_of(data.train)
    is_known = np.full(len(kinds), True)
    if config.refit:
        is_known = document_frequency(train_counts) >= counter.min_reviews
        train_counts, valid_counts = train_counts[:, is_known], valid_counts[:, is_known]
    weights = linear.fit(
        config, train_counts, targets, len(classes), kinds=kinds[is_known], folds=folds
    )
    probabilities = weights.probabilities(linear.term_frequency(config, valid_counts))
    valid = measure(probabilities, data.valid, config)
    if config.refit:
        targets = np.concatenate([targets, data.valid.targets(config.task)])
        folds = np.concatenate([folds, folds_of(data.valid)])
        weights = linear.fit(config, counts, targets, len(classes), kinds=kinds, folds=folds)
    return linear.LinearClassifier(config, classes, counter, weights), valid
