"""The verb `bench`: training speed on each device of this machine, the projected time of a full run, and a comparison.

Each device makes a few timed steps after some for warm-up. Then this package and a re-creation of pytorch/examples'
imagenet/main.py (`peer.py`) take turns on the same CPU, data included, so that changes in its speed affect both.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import replace
from typing import Any

import torch

from resnet_tiny.commands.devices import WARM_UP, Setup, setups, time_setup
from resnet_tiny.commands.options import BenchOptions
from resnet_tiny.commands.peer import ImageFolder, Peer
from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import Images, load_images
from resnet_tiny.model.resnet import build_model
from shared.command.config import load_recipe
from shared.torch.device import has_bf16


def run(options: BenchOptions) -> int:
    """Time all devices, and pytorch/examples for comparison; print tables (verb `bench`)."""
    config = load_recipe(TrainConfig, "resnet_tiny", options.recipe)
    config = replace(
        config,
        data=options.data,
        cache=options.cache,
        batch_size=options.batch_size or config.batch_size,
    )
    images = load_images(config, say=lambda line: print(line, file=sys.stderr), quiet=options.json)
    if len(images.train) < config.batch_size:
        config = replace(config, batch_size=len(images.train))
    before = torch.get_num_threads()
    rows = []
    for setup in setups(options.threads):
        rows.append(device_row(config, images, setup, options.steps))
        if not options.json:
            print(
                _line(rows[-1])
                if len(rows) > 1
                else f"{_header(config, images)}\n{_line(rows[-1])}",
                flush=True,
            )
    torch.set_num_threads(max(options.threads))
    peer = against_peer(config, images, options) if options.rounds else None
    torch.set_num_threads(before)
    if options.json:
        print(
            json.dumps(
                {
                    "arch": config.arch,
                    "batch_size": config.batch_size,
                    "devices": rows,
                    "peer": peer,
                }
            )
        )
    elif peer is not None:
        print(
            f"\nimages/s on {peer['threads']} CPU threads, data included (median of {options.rounds} rounds):\n"
            f"  resnet-tiny ({peer['precision']})  {peer['ours']:>8,.1f}\n"
            f"  pytorch/examples (float32)  {peer['theirs']:>4,.1f}\n"
            f"  ratio {peer['ratio']:.2f}"
        )
    return 0


def device_row(config: TrainConfig, images: Images, setup: Setup, steps: int) -> dict[str, Any]:
    """Time one device.

    Returns
    -------
    dict
        Seconds of a step and of its parts, images per second, and the hours that the recipe's epochs would take at this
        rate (without evaluations, and without what progressive resizing saves).
    """
    timing = time_setup(config, images, setup, steps)
    epoch_steps = len(images.train) // config.batch_size
    return {
        "device": setup.name,
        "precision": setup.precision,
        "processes": setup.processes,
        "images_per_second": timing.images_per_second,
        "step_seconds": timing.step,
        "wait_seconds": timing.wait,
        "transform_seconds": timing.transform,
        "compute_seconds": timing.compute,
        "wait_fraction": timing.wait / timing.step,
        "epochs": config.epochs,
        "run_hours": timing.step * epoch_steps * config.epochs / 3600,
    }


def against_peer(config: TrainConfig, images: Images, options: BenchOptions) -> dict[str, Any]:
    """Time this package and pytorch/examples in turn on the CPU, with the largest number of threads, both with SGD.

    Returns
    -------
    dict
        Medians `ours` and `theirs` in images per second, and `ratio`, the median of the rounds' ratios.
    """
    config = replace(config, optimizer="sgd")  # as pytorch/examples has it
    threads = max(options.threads)
    is_half = has_bf16(torch.device("cpu"))
    setup = Setup("cpu", "bf16" if is_half else "float32", threads=threads)
    listing = images.train.pack.listing
    paths = [str(listing.path(row)) for row in images.train.rows]
    data = ImageFolder(paths, images.train.labels.tolist())
    torch.manual_seed(config.seed)
    model = build_model(
        config.arch, len(images.classes), stem=config.stem, image_size=config.image_size
    )
    peer = Peer(model, data, config.batch_size, options.peer_workers)
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(time_setup(config, images, setup, options.steps).images_per_second)
        theirs.append(peer.images_per_second(options.steps, WARM_UP))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "threads": threads,
        "precision": setup.precision,
        "ours": statistics.median(ours),
        "theirs": statistics.median(theirs),
        "ratio": statistics.median(ratios),
    }


def _header(config: TrainConfig, images: Images) -> str:
    size = f"{config.image_size}x{config.image_size}"
    title = f"{images.facts()['name']}, {config.arch} at {size}, batch {config.batch_size}"
    names = (
        "device",
        "precision",
        "images/s",
        "ms/step",
        "wait",
        "transform",
        "compute",
        "full run",
    )
    return f"{title}\n{names[0]:<28} {names[1]:<9} " + " ".join(f"{name:>9}" for name in names[2:])


def _line(row: dict[str, Any]) -> str:
    parts = [
        f"{1000 * row[f'{name}_seconds']:>9.1f}"
        for name in ("step", "wait", "transform", "compute")
    ]
    return (
        f"{row['device'][:28]:<28} {row['precision']:<9} {row['images_per_second']:>9,.1f} {' '.join(parts)} "
        f"{row['run_hours']:>7.2f} h"
    )
