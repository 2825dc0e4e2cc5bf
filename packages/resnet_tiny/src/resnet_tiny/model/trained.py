"""Reading a trained model from its run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from resnet_tiny.config import TrainConfig
from resnet_tiny.data.listing import Classes
from resnet_tiny.model.resnet import model_of
from shared.command import config as configuration
from shared.errors import UserError
from shared.files import write_json
from shared.runs.checkpoints import Checkpoint
from shared.runs.run_directory import RunDirectory
from shared.torch.checkpoint import load_weights

CLASSES = "classes.json"


@dataclass(frozen=True)
class TrainedModel:
    """A model read from a run.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode: float32 (B, 3, size, size) as `transforms.apply` makes it, to logits (B, classes).
    classes : Classes
    config : TrainConfig
        What it was trained with.
    path : Path
        The run's folder.
    step : int
        Updates behind the weights.
    """

    model: nn.Module
    classes: Classes
    config: TrainConfig
    path: Path
    step: int


def save_classes(path: Path, classes: Classes) -> None:
    """Write the classes into a checkpoint's folder."""
    write_json(path / CLASSES, {"wnids": list(classes.ids), "names": list(classes.names)})


def read_saved_classes(path: Path) -> Classes:
    """Read what `save_classes` wrote.

    Raises
    ------
    UserError
        The file is missing or damaged.
    """
    file = path / CLASSES
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return Classes(tuple(values["wnids"]), tuple(values["names"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{file}: is missing or damaged. Restore it or train again.") from None


def load_run(
    path: str | Path, *, checkpoint: str = "best", device: torch.device | str = "cpu"
) -> TrainedModel:
    """Read a run's model.

    Parameters
    ----------
    path : path
    checkpoint : str
        `best` (the last one where none was chosen), `last`, or the name of a folder in `checkpoints/`.
    device : torch.device or str

    Raises
    ------
    UserError
        The folder is not a run, has no such checkpoint, or its files do not fit together.
    """
    run = RunDirectory.read(path, task="resnet-tiny")
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    chosen = find_checkpoint(run, checkpoint, has_best=config.selection != "last")
    classes = read_saved_classes(chosen.folder)
    model = model_of(config, len(classes))
    load_weights(chosen.folder, model)
    return TrainedModel(model.to(device).eval(), classes, config, run.path, chosen.step)


def find_checkpoint(run: RunDirectory, name: str, *, has_best: bool = True) -> Checkpoint:
    """Return a run's checkpoint by name.

    Parameters
    ----------
    run : RunDirectory
    name : str
        `best`, `last`, or the name of a folder in `checkpoints/`.
    has_best : bool
        Whether the run chose a best checkpoint; otherwise `best` is the last.

    Raises
    ------
    UserError
        There is no such checkpoint.
    """
    if name == "best" and has_best:
        return run.chosen()
    checkpoint = run.checkpoints.last() if name in ("best", "last") else run.checkpoints.named(name)
    if checkpoint is not None:
        return checkpoint
    there = {path.name for path in run.checkpoints.folder.glob("[!.]*")} - {"best"}
    if not there or name in ("best", "last"):
        return run.chosen()  # which says that there is none
    known = ", ".join(["best", "last", *sorted(there)])
    raise UserError(f"--checkpoint {name} is not in {run.path}. Expected one of: {known}.")
