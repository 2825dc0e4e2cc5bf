"""Models by torchvision's names, with small changes for small pictures; and models read from runs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from resnet_tiny.config import Stem, TrainConfig
from shared.command.config import near
from shared.errors import UserError
from shared.torch.torchvision_guard import make_torchvision_importable


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


def _torchvision_models() -> Any:
    if not make_torchvision_importable():
        raise UserError("torchvision is not installed. Run: pip install torchvision")
    import torchvision.models

    return torchvision.models
