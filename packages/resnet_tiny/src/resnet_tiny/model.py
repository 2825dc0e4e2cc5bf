"""Models by torchvision's names, with small changes for small pictures; and models read from runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resnet_tiny.config import Stem, TrainConfig
from resnet_tiny.layout import Classes
from shared import config as configuration
from shared.checkpoints import Checkpoint
from shared.config import near
from shared.errors import UserError
from shared.files import write_json
from shared.run_directory import RunDirectory
from shared.torch.checkpoint import load_weights
from shared.torch.torchvision_guard import make_torchvision_importable

CLASSES = "classes.json"


@dataclass(frozen=True)
class TrainedModel:
    """A model read from a run.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode: float32 (B, 3, side, side) of `transforms.apply` to logits (B, classes).
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


def architectures() -> list[str]:
    """Return the names of torchvision's classification models."""
    models = _torchvision_models()
    return models.list_models(module=models)


def build_model(
    arch: str = "resnet18",
    classes: int = 200,
    *,
    stem: Stem = "7x7",
    side: int = 64,
    zero_init_residual: bool = False,
) -> nn.Module:
    """Return an untrained model; its first weights follow from torch's global generator.

    Parameters
    ----------
    arch : str
        Any classification model of torchvision; the default is the coursework's.
    classes : int
    stem : {"7x7", "3x3"}
        Of ResNets. 3x3 is one convolution of stride 1 and no pooling, so that layer1 sees the picture's own size.
    side : int
        Pixels of a side, at which the model must work.
    zero_init_residual : bool
        Of ResNets.

    Raises
    ------
    UserError
        The name is unknown, or the model does not take pictures of this size.
    """
    models = _torchvision_models()
    known = architectures()
    if arch not in known:
        raise UserError(
            f"--arch is {arch}, which torchvision does not have{near(arch, known)}. Expected a classification model "
            "such as resnet18, resnet50, mobilenet_v3_small, convnext_tiny."
        )
    kind = getattr(models, arch)
    more: dict[str, Any] = {}
    if arch.startswith("vit_"):
        more["image_size"] = side
    if arch in ("googlenet", "inception_v3"):
        more |= {"aux_logits": False, "init_weights": True}
    is_resnet = kind.__module__.endswith("models.resnet")
    if is_resnet:
        more["zero_init_residual"] = zero_init_residual
    try:
        model = kind(num_classes=classes, **more)
        if is_resnet and stem == "3x3":
            model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
            nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
            model.maxpool = nn.Identity()
        if not is_resnet:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                model.eval()(torch.zeros(1, 3, side, side))
            model.train()
    except (RuntimeError, ValueError, AssertionError) as error:
        detail = " ".join(str(error).split())[:100]
        raise UserError(
            f"--arch {arch} does not take pictures of {side}x{side} pixels ({detail}). Choose another --arch."
        ) from None
    return model


def model_of(config: TrainConfig, classes: int) -> nn.Module:
    """Return the model that a configuration names, untrained, in the memory format it asks for."""
    model = build_model(
        config.arch,
        classes,
        stem=config.stem,
        side=config.side,
        zero_init_residual=config.zero_init_residual,
    )
    return in_format(model, config)


def in_format(model: nn.Module, config: TrainConfig) -> nn.Module:
    """Return the model with its weights in the memory format of a configuration."""
    return model.to(memory_format=torch.channels_last) if config.channels_last else model


def memory_format(images: Tensor, config: TrainConfig) -> Tensor:
    """Return pictures in the memory format of a configuration."""
    is_last = config.channels_last
    return images.contiguous(
        memory_format=torch.channels_last if is_last else torch.contiguous_format
    )


def save_classes(path: Path, classes: Classes) -> None:
    """Write the classes into a checkpoint's folder."""
    write_json(path / CLASSES, {"wnids": list(classes.wnids), "names": list(classes.names)})


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
        The folder is no run, holds no such whole checkpoint, or its files do not fit together.
    """
    run = RunDirectory.read(path, task="resnet-tiny")
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    found = _find(run, checkpoint, is_chosen=config.selection != "last")
    try:
        values = json.loads((found.folder / CLASSES).read_text(encoding="utf-8"))
        classes = Classes(tuple(values["wnids"]), tuple(values["names"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{found.folder / CLASSES}: is missing or damaged. Restore it or train again."
        ) from None
    model = model_of(config, len(classes))
    load_weights(found.folder, model)
    return TrainedModel(model.to(device).eval(), classes, config, run.path, found.step)


def _find(run: RunDirectory, name: str, *, is_chosen: bool) -> Checkpoint:
    if name == "best" and is_chosen:
        return run.chosen()
    found = run.checkpoints.last() if name in ("best", "last") else run.checkpoints.named(name)
    if found is not None:
        return found
    there = {path.name for path in run.checkpoints.folder.glob("[!.]*")} - {"best"}
    if not there or name in ("best", "last"):
        return run.chosen()  # which says that there is none
    known = ", ".join(["best", "last", *sorted(there)])
    raise UserError(f"--checkpoint {name} is not in {run.path}. Expected one of: {known}.")


def _torchvision_models() -> Any:
    if not make_torchvision_importable():
        raise UserError("torchvision is not installed. Run: pip install torchvision")
    import torchvision.models

    return torchvision.models
