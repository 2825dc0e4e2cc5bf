"""Runs of recipes with some settings changed, each trained once: for `compare-models` and the studies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from imdb_sentiment.commands.options import SeveralRunsOptions
from imdb_sentiment.commands.report import write_page
from imdb_sentiment.config import LINEAR, TrainConfig
from imdb_sentiment.train import train
from shared.command.config import load_recipe
from shared.command.options import RunOptions
from shared.runs.run_directory import RunDirectory


def recipe(name: str, **changes: Any) -> TrainConfig:
    """Return the configuration of a recipe, with some settings changed.

    Raises
    ------
    UserError
        There is no such recipe, or a setting is out of range.
    """
    return replace(load_recipe(TrainConfig, "imdb_sentiment", name), **changes)


def with_length(config: TrainConfig, minutes: float | None, epochs: int | None) -> TrainConfig:
    """Return a network's configuration with another length of training; a linear model's as it is."""
    if config.model in LINEAR:
        return config
    if minutes is not None:
        return replace(config, minutes=minutes, steps=None)
    if epochs is None:
        return config
    return replace(config, epochs=epochs, steps=None, min_steps=0)


def configuration_of(
    name: str,
    options: SeveralRunsOptions,
    folder: Path,
    *,
    encoder: str | None = None,
    **changes: Any,
) -> TrainConfig:
    """Return the configuration to train: a recipe, on the data in a folder, with the options of the verb.

    `encoder` takes the place of a recipe's pretrained encoder where it has one.

    Raises
    ------
    UserError
        As `recipe`.
    """
    if encoder is not None and recipe(name).model == "encoder":
        changes["encoder"] = encoder
    config = recipe(name, data=str(folder), **changes)
    config = with_length(config, options.minutes, options.epochs)
    return replace(config, threads=options.threads or config.threads)


def finished_run(config: TrainConfig, out: Path) -> Path:
    """Return the run of a configuration in `out` with its page: as it is if finished, else resumed, else new."""
    folder = train(config, RunOptions(out=str(out), resume=True, quiet=True))
    assert folder is not None
    if not (folder / "report.html").exists():
        write_page(RunDirectory.read(folder, task="imdb-sentiment"))
    return folder
