"""The verb `study`: how the learning rate and the number of epochs change loss and recall, in two plots."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cbow.commands.options import StudyOptions
from cbow.config import TrainConfig
from cbow.train import train
from shared.command import config as configuration
from shared.command.config import flag
from shared.command.options import RunOptions
from shared.files import write_json
from shared.interrupt import Interrupted
from shared.pages.report import Report, curve, percent
from shared.runs.run_directory import RunDirectory

SETTINGS: Mapping[str, dict[str, Any]] = {
    "lr 0.1": {"learning_rate": 0.1},
    "lr 0.01": {"learning_rate": 0.01},
    "lr 0.001": {"learning_rate": 0.001},
    "lr 0.0001": {"learning_rate": 0.0001},
    "lr 0.1, halved every 2 epochs": {"learning_rate": 0.1, "schedule": "halve", "halve_every": 2},
    "lr 0.1, 30 epochs": {"learning_rate": 0.1, "epochs": 30},
}
EPOCHS = 10
TREEBANK = "7316ec27d131acf8d7251b8477e8365a154c98470c104adcc64ac173a53a3666"
"""Checksum of the coursework's corpus, to which its figures belong."""
COURSEWORK = {  # last mean loss, recall@40 in % on treebank.txt, where the report gives them
    "lr 0.1": (5.05, 19.82),
    "lr 0.01": (5.59, 8.28),
    "lr 0.001": (6.24, 2.37),
    "lr 0.1, halved every 2 epochs": (5.24, 11.5),
    "lr 0.1, 30 epochs": (4.82, 21.0),
}


def run(options: StudyOptions) -> int:
    """Train with every setting, then write the plots, the table and the page (verb `study`)."""
    out = Path(options.out or f"runs/cbow/study-{datetime.datetime.now():%Y%m%d-%H%M%S}")
    runs: dict[str, RunDirectory] = {}
    for name, changes in SETTINGS.items():
        config = replace(
            configuration.load_recipe(TrainConfig, "cbow", options.recipe),
            data=options.data,
            seed=options.seed,
            **changes,
        )
        if options.epochs is not None:
            config = replace(config, epochs=options.epochs)
        folder = out / name.replace(",", "").replace(" ", "-")
        if not options.quiet:
            print(f"== {name}")
        try:
            train(config, RunOptions(out=str(folder), resume=options.resume, quiet=options.quiet))
        except Interrupted as interrupt:
            raise Interrupted(
                interrupt.signal_number,
                f"stopped and saved in {folder}. Resume the study with: {_resume_command(options, out)}",
            ) from None
        runs[name] = RunDirectory.read(folder, task="cbow")
    page = write_study(out, runs)
    print(f"The page is {page}; its plots are {out / 'loss.png'} and {out / 'recall.png'}.")
    return 0


def _resume_command(options: StudyOptions, out: Path) -> str:
    """Return the command that continues a study; options at their defaults are left out."""
    words = ["cbow", "study"]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name in ("recipe", "data", "seed", "epochs") and value != field.default:
            words += [flag(field.name), str(value)]
    return shlex.join([*words, "--out", str(out), "--resume"])


def write_study(out: Path, runs: Mapping[str, RunDirectory]) -> Path:
    """Write `loss.png`, `recall.png`, `study.json` and `report.html` from finished runs; return the page."""
    summaries = {name: run.summary() for name, run in runs.items()}
    records = {name: run.metrics.records() for name, run in runs.items()}
    data = next(iter(summaries.values()))["data"]
    page = Report(
        "cbow: learning rate and training time", f"{data['name']}, {data['tokens']:,} tokens"
    )
    rows = [_row(name, summary, data) for name, summary in summaries.items()]
    page.table(_HEADER, rows, caption="Last epoch; reported: the coursework's figures")
    losses = {name: curve(some, "train_loss") for name, some in records.items()}
    label = "mean loss per sample (nats)"
    page.lines("Loss by epoch", "epoch", label, losses, png=out / "loss.png")
    if all("recall_at_40" in summary["metrics"] for summary in summaries.values()):
        recalls = {name: curve(some, "recall_at_40", 100) for name, some in records.items()}
        page.lines("Recall by epoch", "epoch", "recall@40 (%)", recalls, png=out / "recall.png")
    write_json(
        out / "study.json", {name: summary["metrics"] for name, summary in summaries.items()}
    )
    return page.save(out / "report.html")


_HEADER = ("setting", "loss", "reported", "recall@40", "reported", "seconds")


def _row(name: str, summary: dict[str, Any], data: dict[str, Any]) -> list[Any]:
    metrics = summary["metrics"]
    epochs = SETTINGS[name].get("epochs", EPOCHS)
    is_comparable = data["sha256"] == TREEBANK and summary["epochs"] == epochs
    loss, recall = COURSEWORK.get(name, (None, None)) if is_comparable else (None, None)
    return [
        name,
        f"{metrics['train_loss']:.4f}",
        None if loss is None else f"{loss:.2f}",
        percent(metrics.get("recall_at_40")),
        None if recall is None else f"{recall:.2f} %",
        f"{summary['seconds']:.1f}",
    ]
