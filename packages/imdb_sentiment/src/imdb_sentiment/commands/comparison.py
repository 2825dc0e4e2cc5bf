"""Recipes as configurations, and runs of them that are made once: what `compare` and `learning-curve` train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from imdb_sentiment.config import LINEAR, StudyOptions, TrainConfig
from imdb_sentiment.train import train
from shared.command.config import load_recipe
from shared.command.options import RunOptions


def recipe(name: str, **changes: Any) -> TrainConfig:
    """Return the configuration of a recipe, with some settings changed.

    Raises
    ------
    UserError
        There is no such recipe, or a setting is out of range.
    """
    return replace(load_recipe(TrainConfig, "imdb_sentiment", name), **changes)


def networks_end_after(
    config: TrainConfig, minutes: float | None, epochs: int | None
) -> TrainConfig:
    """Return a network's configuration with another length; a linear model's as it is."""
    if config.model in LINEAR:
        return config
    if minutes is not None:
        return replace(config, minutes=minutes, steps=None)
    if epochs is None:
        return config
    return replace(config, epochs=epochs, steps=None, least_steps=0)


def studied(name: str, options: StudyOptions, folder: Path, **changes: Any) -> TrainConfig:
    """Return the configuration that a study trains: a recipe's, on the data in a folder, with the study's options.

    Raises
    ------
    UserError
        As `recipe`.
    """
    if name == "encoder" and options.encoder is not None:
        changes["encoder"] = options.encoder
    config = recipe(name, data=str(folder), **changes)
    config = networks_end_after(config, options.minutes, options.epochs)
    return replace(config, threads=options.threads or config.threads)


def finished_run(config: TrainConfig, out: Path) -> Path:
    """Return a finished run of a configuration: the one in `out`, gone on with if it was stopped, or a new one."""
    folder = train(config, RunOptions(out=str(out), resume=True, quiet=True))
    assert folder is not None
    return folder
