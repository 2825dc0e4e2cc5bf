"""The verb `ablate`: a recipe trained without each of its parts in turn, at small scale, and what each is worth.

Figures are of the hold-out of train, never of val: a study chooses, and val is for reporting.
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
"""Pictures of each class that are held out: few classes need more of them for a figure that is not noise."""

WITHOUT: dict[str, dict[str, Any]] = {
    "crop": {"crop": "none", "evaluation_crop": 1.0},
    "middle when measuring": {"evaluation_crop": 1.0},
    "flip": {"flip": "none"},
    "mixing": {"mixup": 0.0, "cutmix": 0.0},
    "label smoothing": {"label_smoothing": 0.0},
    "moving average": {"ema_decay": None},
    "schedule": {"schedule": "constant"},
    "Muon": {"optimizer": "sgd"},
    "nesterov": {"nesterov": False},
    "norms spared by decay": {"decay_norms": True},
    "zero start of blocks": {"zero_init_residual": False},
    "progressive sizes": {"sizes": (), "size_shares": ()},
    "channels last": {"channels_last": False},
    "bf16": {"precision": "float32"},
}
"""What leaving a part out means, by the part's name."""


def run(options: AblateOptions) -> int:
    """Train all kinds of runs and print what each part is worth (verb `ablate`)."""
    base = small(load_recipe(TrainConfig, "resnet_tiny", options.recipe), options)
    rows = []
    for name, config in kinds(base).items():
        rows.append(measured(name, config, options))
        rows[-1]["change"] = rows[-1]["holdout_top1"] - rows[0]["holdout_top1"]
        if not options.json:
            print(_line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps({"recipe": options.recipe, "settings": asdict(base), "rows": rows}))
    return 0


def small(config: TrainConfig, options: AblateOptions) -> TrainConfig:
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
        # A mean over as large a share of the run as in the whole recipe, or it would lag behind.
        ema_decay=None if config.ema_decay is None else min(config.ema_decay, 0.99),
        compile=False,
        workers=0,
        checkpoint_epochs=(),
        log_every=20,
    )


def kinds(base: TrainConfig) -> dict[str, TrainConfig]:
    """Return the recipe and its variants by name.

    A part that the recipe does not have is passed over, but Muon and the 3x3 stem are then tried in a ResNet.
    """
    found = {"all parts": base}
    for part, changes in WITHOUT.items():
        config = replace(base, **changes)
        if config != base:
            found[f"without {part}"] = config
    if base.arch.startswith("resnet"):
        if base.optimizer == "sgd":
            found["with Muon"] = replace(base, optimizer="muon")
        if base.stem == "7x7":
            found["with the 3x3 stem"] = replace(base, stem="3x3")
    return found


def measured(name: str, config: TrainConfig, options: AblateOptions) -> dict[str, Any]:
    """Train one kind of run with each seed, unless that was done before; return its mean figures."""
    top1, seconds = [], []
    for seed in options.seeds:
        out = Path(options.out) / f"{name.replace(' ', '-')}-{seed}"
        folder = train(
            replace(config, seed=seed), RunOptions(out=str(out), resume=True, quiet=True)
        )
        assert folder is not None  # one process
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        top1.append(summary["metrics"]["chosen_acc"])
        seconds.append(summary["seconds"])
    return {
        "name": name,
        "holdout_top1": statistics.mean(top1),
        "spread": statistics.stdev(top1) if len(top1) > 1 else None,
        "seconds": statistics.mean(seconds),
        "seeds": len(top1),
    }


def _line(row: dict[str, Any]) -> str:
    spread = f" +- {row['spread']:.2f}" if row["spread"] is not None else ""
    return (
        f"{row['name']:<30} hold-out top-1 {row['holdout_top1']:6.2f}{spread}  ({row['change']:+.2f})  "
        f"{row['seconds']:.0f} s"
    )
