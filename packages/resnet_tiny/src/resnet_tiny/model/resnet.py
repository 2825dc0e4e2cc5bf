"""ResNet-18 and any other classification model of torchvision, with a stem for small images.

The network itself is torchvision's: `torchvision.models.resnet.BasicBlock` is the residual block, y = F(x) + x (He
et al. 2016, eq. 1 and 2), of two 3x3 convolutions, each with batch normalization; four stages of two blocks double the
channels and halve the image (table 1 of the paper). What is our own here is the stem for small images.

Shapes: B images, S pixels of a side. With S = 64 and the 7x7 stem: (B, 3, 64, 64) -> conv1 (B, 64, 32, 32) -> maxpool
(B, 64, 16, 16) -> layer1 (B, 64, 16, 16) -> layer2 (B, 128, 8, 8) -> layer3 (B, 256, 4, 4) -> layer4 (B, 512, 2, 2) ->
average pool (B, 512) -> fc (B, classes).

References
----------
He et al. 2016, arXiv 1512.03385.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from resnet_tiny.config import Stem, TrainConfig
from shared.command.config import near
from shared.errors import UserError
from shared.torch.evaluation import evaluating
from shared.torch.torchvision_guard import make_torchvision_importable


def build_model(
    arch: str = "resnet18",
    classes: int = 200,
    *,
    stem: Stem = "7x7",
    image_size: int = 64,
    zero_init_residual: bool = False,
) -> nn.Module:
    """Return an untrained model; its initial weights are drawn from torch's global generator.

    Parameters
    ----------
    arch : str
        Any classification model of torchvision; the default is the coursework's.
    classes : int
    stem : {"7x7", "3x3"}
        For ResNets. 3x3 is one convolution of stride 1 and no pooling, so that layer1 works at the image's own size.
    image_size : int
        Pixels of a side, at which the model must work.
    zero_init_residual : bool
        For ResNets: the last batch norm of each block starts at zero, so that a block is the identity at first.

    Raises
    ------
    UserError
        The name is unknown, the model does not take images of this size, or has no such stem.
    """
    models = _torchvision_models()
    known = models.list_models(module=models)
    if arch not in known:
        raise UserError(
            f"--arch is {arch}, which torchvision does not have{near(arch, known)}. Expected a classification model "
            "such as resnet18, resnet50, mobilenet_v3_small, convnext_tiny."
        )
    constructor, more = getattr(models, arch), shape_options(arch, image_size)
    if arch in ("googlenet", "inception_v3"):
        more["init_weights"] = True
    is_resnet = constructor.__module__.endswith("models.resnet")
    if is_resnet:
        more["zero_init_residual"] = zero_init_residual
    if stem != "7x7" and (stem != "3x3" or not is_resnet):
        raise UserError(f"--stem is {stem}, expected 7x7, or 3x3 where --arch is a ResNet.")
    with _size_errors(arch, image_size):
        model = constructor(num_classes=classes, **more)
        if is_resnet and stem == "3x3":
            model.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
            nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
            model.maxpool = nn.Identity()
        if arch.startswith("mnasnet"):
            model.__class__ = _readable_mnasnet(type(model))  # type: ignore[arg-type]
        if not is_resnet:
            with evaluating(model):
                model(torch.zeros(1, 3, image_size, image_size))
    return model


def require_sizes(model: nn.Module, arch: str, sizes: Sequence[int]) -> None:
    """Refuse sizes of progressive resizing that a model does not take.

    Raises
    ------
    UserError
        Naming the first of them.
    """
    for size in sizes:
        with _size_errors(arch, size, " or --sizes ([]: none but --image-size)"), evaluating(model):
            model(torch.zeros(1, 3, size, size))


def shape_options(arch: str, image_size: int) -> dict[str, Any]:
    """Return what torchvision's constructor needs, beside the number of classes, for the weights of `build_model`."""
    if arch.startswith("vit_"):
        return {"image_size": image_size}
    return {"aux_logits": False} if arch in ("googlenet", "inception_v3") else {}


def model_of(config: TrainConfig, classes: int) -> nn.Module:
    """Return the untrained model of a configuration, in its memory format."""
    model = build_model(
        config.arch,
        classes,
        stem=config.stem,
        image_size=config.image_size,
        zero_init_residual=config.zero_init_residual,
    )
    if config.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def memory_format(images: Tensor, config: TrainConfig) -> Tensor:
    """Return images in the memory format of a configuration."""
    is_last = config.channels_last
    return images.contiguous(
        memory_format=torch.channels_last if is_last else torch.contiguous_format
    )


@contextmanager
def _size_errors(arch: str, size: int, more: str = "") -> Iterator[None]:
    """Turn what a model raises at images of a size that it does not take into a message."""
    try:
        yield
    except (RuntimeError, ValueError, AssertionError) as error:
        detail = " ".join(str(error).split())[:100]
        raise UserError(
            f"--arch {arch} does not take images of {size}x{size} pixels ({detail}). Choose another --arch{more}."
        ) from None


@cache
def _readable_mnasnet(plain: type) -> type:
    """Return MNASNet that loads from safetensors, which have no place for the version that it asks for."""

    class MNASNet(plain):  # type: ignore[misc]
        def _load_from_state_dict(
            self, state: Any, prefix: str, metadata: dict, *rest: Any
        ) -> None:
            super()._load_from_state_dict(state, prefix, {"version": 2} | metadata, *rest)

    return MNASNet


def _torchvision_models() -> Any:
    if not make_torchvision_importable():
        raise UserError("torchvision is not installed. Run: pip install torchvision")
    import torchvision.models

    return torchvision.models
