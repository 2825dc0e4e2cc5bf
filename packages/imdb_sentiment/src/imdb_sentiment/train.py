"""Training: the reviews, the model, the optimizer and the figures; the networks' loop is `shared.torch.loop`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from imdb_sentiment.commands.report import write_page
from imdb_sentiment.config import LINEAR, MAY_CHANGE_ON_RESUME, TrainConfig
from imdb_sentiment.data.dataset import Data, class_count, load
from imdb_sentiment.measure import figures_for_summary, measure
from shared.command.options import RunOptions
from shared.data.samples import NOTICE
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory, versions


def train(config: TrainConfig, options: RunOptions) -> Path | None:
    """Train a model into a run folder.

    Returns
    -------
    Path or None
        The folder; None in all processes but the first.

    Raises
    ------
    UserError
        The data, the folder or a setting is of no use; an encoder cannot be had; the loss is no longer finite.
    Interrupted
        After Ctrl-C or SIGTERM, when all is saved.
    """
    began = time.monotonic()
    if config.model in LINEAR:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # as torchrun says it
            raise UserError(
                f"--model {config.model} trains in one process. Start it without torchrun."
            )
        return _train_linear(config, options, began)
    if config.model == "encoder":
        from imdb_sentiment.model.hub import require_encoder

        require_encoder(str(config.encoder))  # before the seconds that torch and the data take
    from imdb_sentiment.train_network import train_network

    return train_network(config, options, began)


def load_data(config: TrainConfig) -> Data:
    """Read the data that a configuration names."""
    return load(config.data, valid_share=config.valid_share, limit=config.limit, seed=config.seed)


def say_start(run: RunDirectory, config: TrainConfig, data: Data, more: str) -> None:
    """Say what is trained on what."""
    if data.is_sample:
        run.say(NOTICE.format(command="imdb-sentiment"))
    facts = data.facts()
    counts = " / ".join(f"{count:,}" for count in facts["reviews"].values())
    run.say(
        f"{facts['name']}: {counts} reviews in train / valid (split {facts['split']}) / test; "
        f"{config.model}{more}"
    )


def say_end(run: RunDirectory, metrics: dict[str, Any], seconds: float) -> None:
    """Say the figures that a run came to."""
    run.say(
        f"test accuracy {metrics['test_accuracy']:.4f} valid accuracy {metrics['valid_accuracy']:.4f} "
        f"({metrics['test_reviews']:,} and {metrics['valid_reviews']:,} reviews); trained {seconds:.1f} s"
    )


def _train_linear(config: TrainConfig, options: RunOptions, began: float) -> Path:
    from imdb_sentiment.model import linear

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
        if run.has_ended(write_page):
            return run.path
        say_start(run, config, data, f", runs of up to {config.ngrams} words")
        counter = linear.make_counter(config)
        known = len(data.train)
        counts = counter.fit([*data.train.texts, *data.valid.texts])
        run.say(f"{counter.features:,} runs of words counted, {time.monotonic() - began:.1f} s")
        model = linear.fit(config, counter, counts[:known], data.train.targets(config.task))
        valid = measure(model.of_counts(counts[known:]), data.valid, config)
        metrics = figures_for_summary("valid", valid)
        run.metrics.keep_until(-1)  # of a run that was killed: it begins anew
        run.metrics.add(0, epoch=1, valid_accuracy=valid["accuracy"], valid_loss=valid["loss"])
        run.say(
            f"valid accuracy {valid['accuracy']:.4f} loss {valid['loss']:.4f}, {time.monotonic() - began:.1f} s"
        )
        if config.refit:
            import numpy as np

            targets = [part.targets(config.task) for part in (data.train, data.valid)]
            model = linear.fit(config, counter, counts, np.concatenate(targets))
        seconds = time.monotonic() - began
        run.checkpoints.save(0, model.save, metric=valid["accuracy"], name="best")
        metrics |= figures_for_summary(
            "test", measure(model.probabilities(data.test.texts), data.test, config)
        )
        metrics["seconds_with_test"] = round(time.monotonic() - began, 3)
        trained_on = known + (len(data.valid) if config.refit else 0)
        run.write_summary(
            {
                "task": "imdb_sentiment",
                "recipe": config.recipe,
                "seed": config.seed,
                "data": data.facts(),
                "device": "CPU",
                "weights": model.weight_count,
                "classes": class_count(config.task),
                "trained_on": trained_on,
                "seconds": round(seconds, 3),
                "metrics": metrics,
                "versions": versions(("numpy", "scipy", "scikit-learn")),
            }
        )
        say_end(run, metrics, seconds)
        write_page(run)
        return run.path
