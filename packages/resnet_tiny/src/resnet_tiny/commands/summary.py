"""The verb `summary`: the layer table of a model."""

from __future__ import annotations

import json
from dataclasses import asdict

from resnet_tiny.commands.options import SummaryOptions
from resnet_tiny.model.layers import layer_table, table_text
from resnet_tiny.model.resnet import build_model


def run(options: SummaryOptions) -> int:
    """Print the table (verb `summary`)."""
    size = options.image_size
    model = build_model(options.arch, options.classes, stem=options.stem, image_size=size)
    layers = layer_table(model, size)
    parameters = sum(weight.numel() for weight in model.parameters())
    if options.json:
        rows = [asdict(layer) for layer in layers]
        print(json.dumps({"layers": len(layers), "parameters": parameters, "rows": rows}))
    else:
        print(table_text(options.arch, layers, parameters, size))
    return 0
