"""The verb `study`: the two studies of the coursework's report, in minutes: devices, and overfitting.

The report compared training without a GPU, on one and on several, and gave up since runs took too long; and its network
ended at 99.98 % on the training images and 35 % on val. Here a few steps are timed on each device of this machine, and
the recipe is trained on a few classes, without augmentation as in the coursework, and with it.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from resnet_tiny.commands.bench import device_row
from resnet_tiny.commands.devices import setups
from resnet_tiny.commands.options import StudyOptions
from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import load_images
from resnet_tiny.train import train
from shared.command.config import load_recipe
from shared.command.options import RunOptions
from shared.files import write_json
from shared.pages.report import Report, curve, percent
from shared.runs.run_directory import RunDirectory

VARIANTS: Mapping[str, dict[str, Any]] = {
    "without augmentation": {},
    "with crops and flips": {"crop": "pad", "flip": "random"},
}


def run(options: StudyOptions) -> int:
    """Time the devices, train with and without augmentation, write table, plots and page (verb `study`)."""
    out = Path(options.out or f"runs/resnet_tiny/study-{datetime.datetime.now():%Y%m%d-%H%M%S}")
    recipe = load_recipe(TrainConfig, "resnet_tiny", options.recipe)
    recipe = replace(recipe, data=options.data, cache=options.cache)
    base = scaled_down(recipe, options)
    devices = time_devices(recipe, options) if options.steps else []
    runs = {}
    for name, changes in VARIANTS.items():
        print(f"== {name}", flush=True)
        folder = out / name.replace(" ", "-")
        train(
            replace(base, **changes),
            RunOptions(out=str(folder), resume=options.resume, quiet=options.quiet),
        )
        runs[name] = RunDirectory.read(folder, task="resnet-tiny")
    page = write_study(out, devices, runs)
    print(f"The page is {page}; its plot is {out / 'overfitting.png'}.")
    return 0


def scaled_down(config: TrainConfig, options: StudyOptions) -> TrainConfig:
    """Return a recipe for a few classes and epochs: same network and optimizer, the checkpoint chosen on a hold-out."""
    return replace(
        config,
        only_classes=options.only_classes,
        holdout_per_class=options.holdout_per_class,
        selection="holdout",
        epochs=options.epochs,
        decay_epochs=-(-options.epochs // 3),  # three learning rates, as in 90 epochs
        batch_size=options.batch_size,
        learning_rate=config.learning_rate * options.batch_size / config.batch_size,
        precision="auto",
        channels_last=True,
        checkpoint_epochs=(),
        seed=options.seed,
    )


def time_devices(config: TrainConfig, options: StudyOptions) -> list[dict[str, Any]]:
    """Time a few steps of the recipe, as it is, on each device of this machine."""
    images = load_images(config, say=lambda line: print(line, file=sys.stderr), quiet=options.quiet)
    config = replace(config, batch_size=min(config.batch_size, len(images.train)))
    before, rows = torch.get_num_threads(), []
    cores = os.cpu_count() or 1
    for setup in setups(tuple(sorted({1, cores}))):
        rows.append(device_row(config, images, setup, options.steps))
        row = rows[-1]
        print(
            f"{row['device']:<28} {row['precision']:<9} {row['images_per_second']:>9,.1f} images/s  "
            f"{100 * row['wait_fraction']:.1f} % waiting for data",
            flush=True,
        )
    torch.set_num_threads(before)
    return rows


def write_study(out: Path, devices: list[dict[str, Any]], runs: Mapping[str, RunDirectory]) -> Path:
    """Write `study.json`, `overfitting.png` and `report.html` from timings and finished runs; return the page."""
    summaries = {name: run.summary() for name, run in runs.items()}
    data = next(iter(summaries.values()))["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    page = Report(
        "resnet-tiny: devices and overfitting",
        f"{data['name']}{made_up}, {data['images']['train']:,} training images of {data['classes']} classes",
    )
    if devices:
        page.heading("Devices")
        page.table(
            ["device", "precision", "images/s", "ms/step", "waiting for data", "full run"],
            [
                [
                    row["device"], row["precision"], row["images_per_second"], 1000 * row["step_seconds"],
                    f"{100 * row['wait_fraction']:.1f} %", f"{row['run_hours']:.1f} h",
                ]
                for row in devices
            ],
            caption=f"Full run: the projected time of the recipe's {devices[0]['epochs']} epochs.",
        )  # fmt: skip
    page.heading("Overfitting")
    curves, rows = {}, []
    for name, run in runs.items():
        records, metrics = run.metrics.records(), summaries[name]["metrics"]
        trained = curve(records, "epoch_train_acc", 100)
        curves[f"train, {name}"] = trained
        curves[f"hold-out, {name}"] = curve(records, "valid_acc", 100)
        rows.append(
            [
                name, f"{trained[1][-1]:.2f} %", percent(metrics["valid_top1"]),
                percent(metrics["val_top1"]), f"{summaries[name]['seconds']:.0f}",
            ]
        )  # fmt: skip
    header = ["training", "train top-1, last epoch", "hold-out top-1, best", "val top-1", "seconds"]
    page.table(header, rows)
    page.lines(
        "Top-1 accuracy", "epoch", "percent", curves, png=out / "overfitting.png",
        caption="Train: mean over each epoch. The gap between train and hold-out shows how far it overfits.",
    )  # fmt: skip
    write_json(
        out / "study.json",
        {"devices": devices, "runs": {name: summary["metrics"] for name, summary in summaries.items()}},
    )  # fmt: skip
    print("  ".join(header))
    for row in rows:
        print("  ".join(f"{cell!s:<{len(name)}}" for cell, name in zip(row, header, strict=True)))
    return page.save(out / "report.html")
