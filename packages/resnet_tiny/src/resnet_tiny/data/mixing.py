"""Mixup and CutMix: pictures of a batch are mixed with each other, and so are their targets.

References
----------
Zhang et al. 2018, arXiv 1710.09412 (mixup); Yun et al. 2019, arXiv 1905.04899 (CutMix).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from resnet_tiny.config import TrainConfig
from resnet_tiny.data.transforms import Draws


def draw_mix(config: TrainConfig, count: int) -> Draws:
    """Draw how a batch is mixed from torch's global generator.

    Returns
    -------
    dict
        Empty where the batch is not mixed; else `partner` int64 (B,), the picture that each one is mixed with,
        `kept` float64 (), the weight of its own, and for CutMix `cut` float64 (4,): top, left, bottom, right of the
        partner's part as shares of the picture.
    """
    if not (config.mixup or config.cutmix) or torch.rand(()) >= config.mix_share:
        return {}
    is_cut = config.mixup == 0 or (config.cutmix > 0 and bool(torch.rand(()) < 0.5))
    alpha = config.cutmix if is_cut else config.mixup
    # torch.distributions draws from the global generator too.
    kept = torch.distributions.Beta(alpha, alpha).sample().double()
    draws = {"partner": torch.randperm(count), "kept": kept}
    if is_cut:
        half = math.sqrt(1 - float(kept)) / 2
        y, x = torch.rand(2).tolist()
        draws["cut"] = torch.tensor([y - half, x - half, y + half, x + half]).double().clamp(0, 1)
    return draws


def mix(images: Tensor, draws: Mapping[str, Tensor]) -> tuple[Tensor, float]:
    """Mix a batch.

    Parameters
    ----------
    images : float tensor (B, 3, S, S)
    draws : mapping
        Of `draw_mix`, not empty.

    Returns
    -------
    float tensor (B, 3, S, S)
    float
        Weight of each picture's own label; for CutMix, the share of pixels that are its own.
    """
    partner, kept = draws["partner"], float(draws["kept"])
    if "cut" not in draws:
        return torch.lerp(images[partner], images, kept), kept
    side = images.shape[-1]
    top, left, bottom, right = (round(side * share) for share in draws["cut"].tolist())
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / side**2
