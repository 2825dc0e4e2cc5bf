"""The verb `ablate`: a recipe trained without each of its parts in turn, at small scale, and what each contributes.

Figures are from the hold-out of train, never from val: a study chooses, and val is for reporting.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from resnet_tiny.commands.options import AblateOptions
from resnet_tiny.config import TrainConfig
from resnet_tiny.train import train
from shared.command.config import load_recipe
from shared.command.options import RunOptions

HOLDOUT = 50
"""Images of each class that are held out: few classes need more of them for a figure that is not noise."""

WITHOUT: dict[str, dict[str, Any]] = {
    "crop": {"crop": "none", "evaluation_crop": 1.0},
    "center crop in evaluation": {"evaluation_crop": 1.0},
    "flip": {"flip": "none"},
    "mixing": {"mixup": 0.0, "cutmix": 0.0},
    "label smoothing": {"label_smoothing": 0.0},
    "moving average": {"ema_decay": None},
    "schedule": {"schedule": "constant"},
    "Muon": {"optimizer": "sgd"},
    "nesterov": {"nesterov": False},
    "norms without weight decay": {"decay_norms": True},
    "zero-initialized blocks": {"zero_init_residual": False},
    "whitened stem": {"whiten_stem": False},
    "progressive sizes": {"sizes": (), "size_fractions": ()},
    "channels last": {"channels_last": False},
    "bf16": {"precision": "float32"},
}
"""The settings that leave a part out, by the part's name."""


def run(options: AblateOptions) -> int:
    """Train all variants and print what each part contributes (verb `ablate`)."""
    base = scaled_down(load_recipe(TrainConfig, "resnet_tiny", options.recipe), options)
    rows = []
    for name, config in variants(base).items():
        rows.append(train_variant(name, config, options))
        rows[-1]["change"] = rows[-1]["valid_top1"] - rows[0]["valid_top1"]
        if not options.json:
            print(_line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps({"recipe": options.recipe, "settings": asdict(base), "rows": rows}))
    return 0


def scaled_down(config: TrainConfig, options: AblateOptions) -> TrainConfig:
    """Return a recipe at the scale of the study."""
    return replace(
        config,
        data=options.data,
        cache=options.cache,
        only_classes=options.only_classes,
        holdout_per_class=HOLDOUT,
        selection="holdout",
        stem=options.stem,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=config.learning_rate * options.batch_size / config.batch_size,
        # An average over as large a part of the run as in the whole recipe, or it would lag behind.
        ema_decay=None if config.ema_decay is None else min(config.ema_decay, 0.99),
        compile=False,
        workers=0,
        checkpoint_epochs=(),
        log_every=20,
    )


def variants(base: TrainConfig) -> dict[str, TrainConfig]:
    """Return the recipe and its variants by name.

    A part that the recipe does not have is passed over, but Muon, the whitened and the 3x3 stem are then tried in a
    ResNet.
    """
    configs = {"all parts": base}
    for part, changes in WITHOUT.items():
        config = replace(base, **changes)
        if config != base:
            configs[f"without {part}"] = config
    if base.arch.startswith("resnet"):
        if base.optimizer == "sgd":
            configs["with Muon"] = replace(base, optimizer="muon")
        if not base.whiten_stem:
            configs["with the whitened stem"] = replace(base, whiten_stem=True)
        if base.stem == "7x7":
            configs["with the 3x3 stem"] = replace(base, stem="3x3")
    return configs


def train_variant(name: str, config: TrainConfig, options: AblateOptions) -> dict[str, Any]:
    """Train one variant with each seed, unless that was done before; return its mean figures."""
    top1, seconds = [], []
    for seed in options.seeds:
        out = Path(options.out) / f"{name.replace(' ', '-')}-{seed}"
        folder = train(
            replace(config, seed=seed), RunOptions(out=str(out), resume=True, quiet=True)
        )
        assert folder is not None  # one process
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        top1.append(summary["metrics"]["valid_top1"])
        seconds.append(summary["seconds"])
    return {
        "name": name,
        "valid_top1": statistics.mean(top1),
        "standard_deviation": statistics.stdev(top1) if len(top1) > 1 else None,
        "seconds": statistics.mean(seconds),
        "seeds": len(top1),
    }


def _line(row: dict[str, Any]) -> str:
    deviation = row["standard_deviation"]
    spread = f" +- {100 * deviation:.2f}" if deviation is not None else ""
    return (
        f"{row['name']:<34} hold-out top-1 {100 * row['valid_top1']:6.2f} %{spread}  ({100 * row['change']:+.2f})  "
        f"{row['seconds']:.0f} s"
    )
