"""The layer table: each layer that a picture passes, with its output's shape and its parameters.

Rows are in the order of the forward pass. A layer that is passed twice has two rows and its parameters stand in the
first; a block stands after its layers, without parameters of its own. Containers that only hold others have no row.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resnet_tiny.commands.options import SummaryOptions
from resnet_tiny.model.resnet import build_model

BYTES = 4
"""Of a float32."""


@dataclass(frozen=True)
class Row:
    """One passing of one layer.

    Parameters
    ----------
    name : str
        Kind and number of the row, such as Conv2d-1.
    path : str
        Where it is in the model.
    shape : tuple of int
        Of its output, without the batch.
    parameters : int
    """

    name: str
    path: str
    shape: tuple[int, ...]
    parameters: int


def run(options: SummaryOptions) -> int:
    """Print the table (verb `summary`)."""
    model = build_model(options.arch, options.classes, stem=options.stem, side=options.side)
    rows = layer_rows(model, options.side)
    total = sum(weight.numel() for weight in model.parameters())
    if options.json:
        facts = {"layers": len(rows), "parameters": total, "rows": [asdict(row) for row in rows]}
        print(json.dumps(facts))
        return 0
    print(table(options.arch, rows, total, options.side))
    return 0


def layer_rows(model: nn.Module, side: int) -> list[Row]:
    """Send one picture through a model and note what each layer gave.

    Parameters
    ----------
    model : nn.Module
    side : int
        Pixels of a side.
    """
    rows: list[Row] = []
    counted: set[int] = set()
    handles = []
    for path, module in model.named_modules():
        if module is model or isinstance(module, nn.Sequential | nn.ModuleList):
            continue

        def note(module: nn.Module, _: Any, output: Any, path: str = path) -> None:
            if not isinstance(output, Tensor):
                return
            own = [
                weight for weight in module.parameters(recurse=False) if id(weight) not in counted
            ]
            counted.update(id(weight) for weight in own)
            name = f"{type(module).__name__}-{len(rows) + 1}"
            parameters = sum(weight.numel() for weight in own)
            rows.append(Row(name, path, tuple(output.shape[1:]), parameters))

        handles.append(module.register_forward_hook(note))
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, side, side))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return rows


def table(arch: str, rows: list[Row], total: int, side: int) -> str:
    """Return the table as text, with sizes below it."""
    cells = [("layer", "in the model", "output shape", "parameters")]
    cells += [
        (row.name, row.path, "x".join(map(str, row.shape)), f"{row.parameters:,}") for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for name, path, shape, parameters in cells:
        words = (name.ljust(widths[0]), path.ljust(widths[1]), shape.rjust(widths[2]))
        lines.append("  ".join([*words, parameters.rjust(widths[3])]))
    lines.insert(1, "-" * len(lines[0]))
    outputs = sum(math.prod(row.shape) for row in rows)
    lines += [
        lines[1],
        f"{arch} at 3x{side}x{side}: {len(rows)} layers, {total:,} parameters",
        f"parameters {_megabytes(total)}, input {_megabytes(3 * side * side)}, "
        f"outputs of all layers {_megabytes(outputs)} a picture (float32)",
    ]
    return "\n".join(lines)


def _megabytes(numbers: int) -> str:
    return f"{numbers * BYTES / 2**20:.2f} MB"
