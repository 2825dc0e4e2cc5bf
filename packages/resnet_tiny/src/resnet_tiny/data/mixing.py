"""Mixup and CutMix: the images of a batch are mixed with each other, and so are their targets.

Shapes: B images, S pixels of a side.

References
----------
Zhang et al. 2018, arXiv 1710.09412 (mixup); Yun et al. 2019, arXiv 1905.04899 (CutMix).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from resnet_tiny.config import TrainConfig

Mix = dict[str, Any]


def draw_mix(config: TrainConfig, count: int) -> Mix:
    """Draw how a batch is mixed from torch's global generator.

    Returns
    -------
    dict
        Empty where the batch is not mixed; else `partner` int64 tensor (B,), the image that each one is mixed with, and
        two plain values, which stay on the CPU so that a GPU is not waited for: `kept` float, lambda, the weight of an
        image itself; for CutMix `cut`, tuple of float: top, left, bottom, right of the partner's box as fractions of
        the image.
    """
    if not (config.mixup or config.cutmix) or torch.rand(()) >= config.mix_probability:
        return {}
    is_cut = config.mixup == 0 or (config.cutmix > 0 and bool(torch.rand(()) < 0.5))
    alpha = config.cutmix if is_cut else config.mixup
    # torch.distributions draws from the global generator too.
    kept = float(torch.distributions.Beta(alpha, alpha).sample())
    mix: Mix = {"partner": torch.randperm(count), "kept": kept}
    if is_cut:
        half = math.sqrt(1 - kept) / 2  # CutMix, eq. 2: sides of sqrt(1 - lambda)
        y, x = torch.rand(2).tolist()
        box = (y - half, x - half, y + half, x + half)
        mix["cut"] = tuple(min(max(edge, 0.0), 1.0) for edge in box)
    return mix


def apply_mix(images: Tensor, mix: Mapping[str, Any]) -> tuple[Tensor, float]:
    """Mix a batch.

    Parameters
    ----------
    images : float tensor (B, 3, S, S)
    mix : mapping
        What `draw_mix` returned, not empty.

    Returns
    -------
    float tensor (B, 3, S, S)
    float
        Weight of an image's own label; for CutMix the fraction of pixels that are its own.
    """
    partner, kept = mix["partner"], mix["kept"]
    if "cut" not in mix:
        return torch.lerp(
            images[partner], images, kept
        ), kept  # mixup: lambda x_i + (1 - lambda) x_j
    side = images.shape[-1]
    top, left, bottom, right = (round(side * edge) for edge in mix["cut"])
    mixed = images.clone()  # CutMix, eq. 1
    mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / side**2
