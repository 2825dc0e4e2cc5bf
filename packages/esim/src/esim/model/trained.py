"""Reading a trained model from its run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from esim.config import TrainConfig
from esim.model.esim import VOCABULARY, Esim
from shared.command import config as configuration
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory
from shared.text.vocabulary import Vocabulary
from shared.torch.checkpoint import load_weights


@dataclass(frozen=True)
class TrainedModel:
    """A model read from a run.

    Parameters
    ----------
    model : Esim
        In evaluation mode.
    vocabulary : Vocabulary
    config : TrainConfig
        The settings it was trained with.
    path : Path
        The run's folder.
    """

    model: Esim
    vocabulary: Vocabulary
    config: TrainConfig
    path: Path

    @property
    def trained_on(self) -> str | None:
        """Checksum of the data that it was trained on; None if the run has not ended."""
        if not (self.path / "summary.json").exists():
            return None
        return str(RunDirectory.read(self.path, task="esim").summary()["data"]["sha256"])


def load_run(
    path: str | Path, *, device: torch.device | str = "cpu", checkpoint: str | None = None
) -> TrainedModel:
    """Read a model from a run.

    Parameters
    ----------
    path : str or Path
        Run folder.
    device : torch device
    checkpoint : str or None
        Name of a checkpoint, for example `epoch-0003`; None: the best, or the last where none was evaluated yet.

    Raises
    ------
    UserError
        The folder is no run, holds no such checkpoint, or its files do not fit together.
    """
    run = RunDirectory.read(path, task="esim")
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    chosen = run.chosen() if checkpoint is None else run.checkpoints.named(checkpoint)
    if chosen is None:
        raise UserError(f"{run.path}: has no checkpoint {checkpoint}.")
    folder = chosen.folder
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    model = Esim(config, len(vocabulary))
    load_weights(folder, model)
    return TrainedModel(model.to(device).eval(), vocabulary, config, run.path)


def current_names(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's figures under today's names: older runs call `valid_*` `dev_*`."""
    return {
        f"valid_{name.removeprefix('dev_')}" if name.startswith("dev_") else name: value
        for name, value in figures.items()
    }
