"""The layer table of a model, from torchinfo: every layer that an image passes, its output shape and its parameters.

Rows are in the order of the forward pass. A layer that is passed twice has two rows, with its parameters in the first;
a block stands after its layers, without parameters of its own. Containers that only hold others have no row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torchinfo
from torch import nn

_FLOAT32 = 4
"""Bytes."""


@dataclass(frozen=True)
class Layer:
    """One row.

    Parameters
    ----------
    name : str
        Type and number of the row, such as Conv2d-1.
    path : str
        Name in the model, such as layer1.0.conv1.
    shape : tuple of int
        Shape of the output, without the batch.
    parameters : int
    """

    name: str
    path: str
    shape: tuple[int, ...]
    parameters: int


def layer_table(model: nn.Module, image_size: int) -> list[Layer]:
    """Pass one image through a model and list its layers.

    Parameters
    ----------
    model : nn.Module
        Left as it was.
    image_size : int
        Height and width in pixels.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    # torchinfo draws its input from torch's generator, which belongs to the caller.
    with torch.random.fork_rng(devices=[]):
        summary = torchinfo.summary(
            model, (1, 3, image_size, image_size), depth=99, mode="eval", verbose=0
        )
    layers: list[Layer] = []
    for info in _blocks_last(summary.summary_list):
        if info.module is model or isinstance(info.module, nn.Sequential | nn.ModuleList):
            continue
        own = sum(weight.numel() for weight in info.module.parameters(recurse=False))
        layers.append(
            Layer(
                f"{info.class_name}-{len(layers) + 1}",
                paths[id(info.module)],
                tuple(info.output_size[1:]),
                0 if info.is_recursive else own,
            )
        )
    return layers


def table_text(arch: str, layers: list[Layer], parameters: int, image_size: int) -> str:
    """Return the table as text, with the sizes in memory below it."""
    cells = [("layer", "in the model", "output shape", "parameters")]
    cells += [
        (layer.name, layer.path, "x".join(map(str, layer.shape)), f"{layer.parameters:,}")
        for layer in layers
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for name, path, shape, count in cells:
        words = (name.ljust(widths[0]), path.ljust(widths[1]), shape.rjust(widths[2]))
        lines.append("  ".join([*words, count.rjust(widths[3])]))
    lines.insert(1, "-" * len(lines[0]))
    outputs = sum(math.prod(layer.shape) for layer in layers)
    lines += [
        lines[1],
        f"{arch} at 3x{image_size}x{image_size}: {len(layers)} layers, {parameters:,} parameters",
        f"parameters {_megabytes(parameters)}, input {_megabytes(3 * image_size**2)}, "
        f"outputs of all layers {_megabytes(outputs)} per image (float32)",
    ]
    return "\n".join(lines)


def _blocks_last(infos: list[Any]) -> Iterator[Any]:
    """Yield torchinfo's rows, which have a block before its layers, with the block after them."""
    open_blocks: list[Any] = []
    for info in infos:
        while open_blocks and open_blocks[-1].depth >= info.depth:
            yield open_blocks.pop()
        open_blocks.append(info)
    yield from reversed(open_blocks)


def _megabytes(numbers: int) -> str:
    return f"{numbers * _FLOAT32 / 2**20:.2f} MB"
