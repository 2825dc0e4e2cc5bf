"""Crops, flips, sizes and normalization, for a whole batch at once and on its device.

Random numbers are drawn where the batch is fetched, as a few small tensors; they are applied to the pixels where the
model is. So the draws are a function of seed, epoch and step, and a GPU receives bytes, not floats.

Shapes: B images, S pixels of a side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from resnet_tiny.config import TrainConfig

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, of pixels from 0 to 1, as the coursework and torchvision's weights have them."""
RATIO = (3 / 4, 4 / 3)
"""Width by height of a random resized crop, as in Szegedy et al. 2015 (1409.4842), section 6."""

Draws = dict[str, Tensor]


def draw(config: TrainConfig, indices: NDArray[np.int64], epoch: int) -> Draws:
    """Draw crops and flips for a batch from torch's global generator.

    Parameters
    ----------
    config : TrainConfig
    indices : int array (B,)
        Which training images; `--flip alternate` depends on them.
    epoch : int

    Returns
    -------
    dict
        `shift` int64 (B, 2), rows and columns, or `box` float32 (B, 4): center and extent as fractions of the image,
        x, y, width, height; `flip` bool (B,). What the configuration does not ask for is left out.
    """
    count = len(indices)
    draws: Draws = {}
    if config.crop == "pad":
        reach = config.crop_padding
        draws["shift"] = torch.randint(-reach, reach + 1, (count, 2))
    elif config.crop == "resized":
        draws["box"] = _boxes(count, config.crop_area)
    if config.flip == "random":
        draws["flip"] = torch.rand(count) < 0.5
    elif config.flip == "alternate":
        # Half of the images are flipped in even epochs and the others in odd ones (Jordan 2024, 2404.00498): in two
        # epochs a model sees both directions of each, where random flips would often show it one direction twice.
        own = torch.from_numpy(_hash(indices, config.seed) & 1)
        draws["flip"] = (own + epoch) % 2 == 1
    return draws


def apply(pixels: Tensor, draws: Mapping[str, Tensor], size: int) -> Tensor:
    """Return a batch as the model reads it.

    Parameters
    ----------
    pixels : uint8 tensor (B, S, S, 3)
    draws : mapping
        What `draw` returned, on the same device; empty in evaluation.
    size : int
        Pixels of a side that the model gets.

    Returns
    -------
    float32 tensor (B, 3, size, size)
        Normalized.
    """
    if "box" in draws:
        return _resized_crop(normalize(pixels), draws["box"], draws.get("flip"), size)
    if "shift" in draws or "flip" in draws:
        pixels = _shifted(pixels, draws.get("shift"), draws.get("flip"))
    images = normalize(pixels)
    if size == images.shape[-1]:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def normalize(pixels: Tensor) -> Tensor:
    """Return uint8 (B, S, S, 3) as float32 (B, 3, S, S) with ImageNet's mean and deviation, channels last in memory."""
    images = pixels.permute(0, 3, 1, 2).float()  # a view of the same bytes, then one copy
    mean, std = _constants(str(pixels.device))
    return images.sub_(mean).div_(std)


def center_crop(images: Tensor, fraction: float) -> Tensor:
    """Return the center of images, scaled back to their own size.

    Random resized crops show objects larger in training than they are; a center crop of 7/8 of a side, as is usual,
    shows them as large in evaluation.

    Parameters
    ----------
    images : float tensor (B, 3, S, S)
    fraction : float
        Side of the crop as a fraction of S, above 0 and at most 1, which changes nothing.

    References
    ----------
    Touvron et al. 2019 (1906.06423), section 3.
    """
    side = images.shape[-1]
    edge = min(round(side * (1 - fraction) / 2), (side - 1) // 2)
    if edge == 0:
        return images
    inner = images[:, :, edge : side - edge, edge : side - edge]
    return F.interpolate(inner, size=(side, side), mode="bilinear", align_corners=False)


def size_at(sizes: Sequence[int], fractions: Sequence[float], progress: float, default: int) -> int:
    """Return the image size at a point of the run (progressive resizing).

    Parameters
    ----------
    sizes, fractions : sequences
        Sizes, and the fraction of the steps at each; no fractions: equal ones.
    progress : float
        Fraction of the steps that are done, 0 to below 1.
    default : int
        Used where `sizes` is empty.
    """
    if not sizes:
        return default
    end = 0.0
    for size, fraction in zip(sizes, fractions or [1 / len(sizes)] * len(sizes), strict=True):
        end += fraction
        if progress < end - 1e-9:
            return size
    return sizes[-1]


@lru_cache
def _constants(device: str) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (3, 1, 1) of pixels from 0 to 255; made once, since a copy to a GPU waits for it."""
    made = (torch.tensor(values, device=device).view(3, 1, 1) * 255 for values in (MEAN, STD))
    mean, std = made
    return mean, std


def _shifted(pixels: Tensor, shift: Tensor | None, flip: Tensor | None) -> Tensor:
    """Shift and flip each image, all in one gather; the border is padded by reflection."""
    count, side = pixels.shape[0], pixels.shape[1]
    line = torch.arange(side, device=pixels.device)
    rows, columns = line.expand(count, side), line.expand(count, side)
    if shift is not None:
        rows, columns = rows + shift[:, :1], columns + shift[:, 1:]
    if flip is not None:
        columns = torch.where(flip[:, None], side - 1 - columns, columns)
    rows, columns = _reflect(rows, side), _reflect(columns, side)
    first = torch.arange(count, device=pixels.device)[:, None, None] * side * side
    positions = first + rows[:, :, None] * side + columns[:, None, :]  # (B, S, S)
    return pixels.reshape(-1, 3).index_select(0, positions.reshape(-1)).view_as(pixels)


def _reflect(positions: Tensor, side: int) -> Tensor:
    """Reflect positions beyond the border; the border pixel itself is not repeated."""
    return (side - 1) - ((side - 1) - positions.abs()).abs()


def _resized_crop(images: Tensor, box: Tensor, flip: Tensor | None, size: int) -> Tensor:
    """Crop a box of each image and scale it to `size`, flipped where asked for."""
    x, y, width, height = box.unbind(1)
    across = width if flip is None else torch.where(flip, -width, width)
    center = (2 * torch.arange(size, device=images.device) + 1) / size - 1  # of each pixel, -1 to 1
    # Output position (u, v) reads input position (across u + 2x - 1, height v + 2y - 1). `F.affine_grid` makes the same
    # by a matrix product for each image, which takes as long as all the rest.
    grid = images.new_empty(len(images), size, size, 2)
    grid[..., 0] = torch.outer(across, center).add_((2 * x - 1)[:, None])[:, None, :]
    grid[..., 1] = torch.outer(height, center).add_((2 * y - 1)[:, None])[:, :, None]
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _boxes(count: int, least: float) -> Tensor:
    """Draw boxes (B, 4) inside the image, of an area from `least` to 1 and a ratio between 3/4 and 4/3.

    The ratio is drawn among those with which a box of the drawn area still fits, so that none is cut: the nearer the
    area is to 1, the nearer the box is to a square.
    """
    area = torch.empty(count).uniform_(least, 1)
    # width = sqrt(area ratio) <= 1 and height = sqrt(area / ratio) <= 1, so area <= ratio <= 1 / area
    reach = torch.minimum(-area.log(), torch.tensor(math.log(RATIO[1])))
    ratio = ((2 * torch.rand(count) - 1) * reach).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x = width / 2 + torch.rand(count) * (1 - width)
    y = height / 2 + torch.rand(count) * (1 - height)
    return torch.stack([x, y, width, height], dim=1)


def _hash(indices: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a number from 0 to 2**31 - 1 for each index, which looks random and is always the same."""
    mixed = (indices.astype(np.uint64) + np.uint64(seed + 1)) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(33)).astype(np.int64)
