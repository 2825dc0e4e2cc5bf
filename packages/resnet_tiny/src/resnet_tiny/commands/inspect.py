"""The verb `inspect`: the first training batch, as numbers and as an image file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resnet_tiny.commands.options import InspectOptions
from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import Images, TrainBatches, load_images
from resnet_tiny.data.transforms import MEAN, STD
from resnet_tiny.model.loss import BatchLoss
from shared.command.config import load_recipe
from shared.files import whole_file
from shared.torch.sampler import Loader, Shuffled

COLUMNS = 8
SHOWN = 8
"""Images of the batch that are listed."""


def run(options: InspectOptions) -> int:
    """Print what the first batch of training holds (verb `inspect`)."""
    config = replace(
        load_recipe(TrainConfig, "resnet_tiny", options.recipe),
        data=options.data,
        cache=options.cache,
        batch_size=options.batch_size,
        image_size=options.image_size,
        resize=options.resize,
        seed=options.seed,
        sizes=(),
        size_fractions=(),
    )
    say = (lambda line: None) if options.json else print
    images = load_images(config, say=say, quiet=options.json)
    facts, shown = first_batch(config, images)
    if options.out is not None:
        with whole_file(Path(options.out), "wb") as file:
            grid(shown).save(file, "PNG")
    if options.json:
        print(json.dumps(facts))
        return 0
    counts = facts["images"]
    print(
        f"{images.root}: {facts['classes']} classes; {counts['train']:,} training images, {counts['holdout']:,} held "
        f"out, {counts['val']:,} of val\n"
        f"first batch: pixels {facts['pixels']}; images {facts['batch']}, mean {facts['mean']:.3f}, standard deviation "
        f"{facts['std']:.3f}"
    )
    for row in facts["first"]:
        print(f"  {row['file']}  class {row['label']}: {row['name']}")
    if options.out is not None:
        print(f"{options.out}: the batch as the model sees it.")
    return 0


def first_batch(config: TrainConfig, images: Images) -> tuple[dict[str, Any], Tensor]:
    """Return what the first batch holds, and its images as the model gets them (B, 3, S, S)."""
    shard = Shuffled(len(images.train), config.batch_size, config.seed).shard(0, 0, 0, 1)
    (batch,) = Loader(TrainBatches(config, images), seed=config.seed)([shard])
    prepared, _ = BatchLoss(config, lambda: 0.0).prepare(batch)
    labels = batch["labels"].tolist()
    return {
        "classes": len(images.classes),
        "images": images.facts()["images"],
        "pixels": f"{batch['pixels'].dtype} {tuple(batch['pixels'].shape)}",
        "batch": f"{prepared.dtype} {tuple(prepared.shape)}",
        "mean": float(prepared.mean()),
        "std": float(prepared.std()),
        "labels": labels,
        "first": [
            {
                "file": images.train.file(int(index)),
                "label": label,
                "id": images.classes.ids[label],
                "name": images.classes.names[label],
            }
            for index, label in zip(shard.indices[:SHOWN], labels, strict=False)
        ],
    }, prepared


def grid(images: Tensor) -> Image.Image:
    """Return normalized images (B, 3, S, S) side by side, as they were before normalization."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    bytes_ = ((images * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)
    pixels = bytes_.permute(0, 2, 3, 1).numpy()
    count, side = len(pixels), pixels.shape[1]
    rows = -(-count // COLUMNS)
    page = np.full((rows * side, COLUMNS * side, 3), 255, dtype=np.uint8)
    for number, one in enumerate(pixels):
        top, left = number // COLUMNS * side, number % COLUMNS * side
        page[top : top + side, left : left + side] = one
    return Image.fromarray(page)
