"""The page of a run: figures, curves, classes, confusions, calibration and the worst mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from resnet_tiny.config import TrainConfig
from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.errors import UserError
from shared.pages.report import Report, make_page, save_plot
from shared.runs.run_directory import RunDirectory

ENDS = 10
"""Classes shown of each end of the table."""
TARGET = (35.09, 59.92)
"""Top-1 and top-5 of the coursework, percent."""
TARGET_SIZE = (200, 100_000)
"""Classes and training images of its data; beside figures of other data it means nothing."""


def run(options: ReportOptions) -> int:
    """Make the page of a finished run (verb `report`)."""
    return make_page(options, "resnet-tiny", write_page)


def write_page(run: RunDirectory, out: Path | None = None) -> Path:
    """Write a run's page, and its accuracy plot as PNG beside it.

    Parameters
    ----------
    run : RunDirectory
        A run that has ended.
    out : Path, optional
        Default: `report.html` in the run's folder.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    UserError
        The run did not end, or a file of it is missing.
    """
    summary = run.summary()
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    facts = _evaluation(run.path)
    out = out or run.path / "report.html"
    records = run.metrics.records()

    page = Report(f"resnet-tiny: {summary['recipe'] or 'own settings'}", _subtitle(summary))
    page.table(["what", "came out"], _facts(summary, config))
    page.heading("Training")
    chosen = {"holdout": "hold-out", "val": "val"}.get(config.selection, "")
    for title, unit, keys in (
        ("Top-1 accuracy", "percent", ("train_acc", "val_acc")),
        ("Loss", "nats", ("train_loss", "val_loss")),
    ):
        curves = {
            name: curve(records, key)
            for name, key in zip(("train", chosen), keys, strict=True)
            if curve(records, key)[0]
        }
        if curves:
            page.lines(title, "epoch", unit, curves, caption=_caption(config))
        if title.startswith("Top") and curves:
            save_plot(out.parent / "accuracy.png", title, "epoch", unit, curves)
    rates = curve(records, "learning_rate")
    if len(set(rates[1])) > 1:
        page.lines("Learning rate", "epoch", "learning rate", {"learning rate": rates})
    _add_classes(page, facts)
    page.heading("Worst mistakes")
    mistakes = run.path / "mistakes.png"
    if mistakes.is_file():
        page.image(
            mistakes.read_bytes(), "wrong answers", "The most confident wrong answers on val."
        )
    page.heading("Run it again")
    page.code(f"resnet-tiny train --config {run.path.name}/config.yaml --out another-folder")
    page.code(configuration.dump(config))
    return page.save(out)


def curve(records: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Return (epochs, values) of the records that have a figure."""
    kept = [record for record in records if record.get(key) is not None]
    return [record["epoch"] for record in kept], [record[key] for record in kept]


def _add_classes(page: Report, facts: dict[str, Any]) -> None:
    rows = sorted(
        (row for row in facts["per_class"] if row["images"]), key=lambda row: -row["top1"]
    )
    shown = rows if len(rows) <= 2 * ENDS else rows[:ENDS] + rows[-ENDS:]
    page.heading("Classes")
    page.table(
        ["class", "top-1 %", "top-5 %", "images", "answered"],
        [[row["name"], row["top1"], row["top5"], row["images"], row["answered"]] for row in shown],
        caption=""
        if len(shown) == len(rows)
        else f"The best {ENDS} and the worst {ENDS} of {len(rows)}.",
    )
    if facts["confusions"]:
        pairs = [[pair["is"], pair["answer"], pair["images"]] for pair in facts["confusions"]]
        page.table(["is", "answer", "images"], pairs, caption="Most frequent mistakes")
    page.heading("Calibration")
    bins = facts["reliability"]
    sure = [row["probability"] for row in bins]
    page.lines(
        "How often it is right when it is so sure",
        "probability of the answer",
        "share that is right",
        {"model": (sure, [row["accuracy"] for row in bins]), "perfect": ([0.0, 1.0], [0.0, 1.0])},
        caption=f"Expected calibration error {facts['ece']:.2f} %.",
    )


def _evaluation(path: Path) -> dict[str, Any]:
    file = path / "evaluation.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{file}: is missing or damaged. Make it with `resnet-tiny evaluate {path} --out {path}`."
        ) from None


def _caption(config: TrainConfig) -> str:
    train = "Train: mean since the line of the log before, on pictures as they were changed for training."
    other = {
        "holdout": " Hold-out: training pictures that are not trained on.",
        "val": " Val: also what the best checkpoint was chosen by.",
    }
    return train + other.get(config.selection, "")


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    return f"{data['name']}{made_up}, {data['images']['train']:,} training images, {data['classes']} classes"


def _facts(summary: dict[str, Any], config: TrainConfig) -> list[list[Any]]:
    metrics, rate = summary["metrics"], summary["images_per_second"]
    top1, top5 = TARGET
    crop = config.evaluation_crop
    shown = f"{metrics['images']:,} images" + (f", the middle {crop:g} of a side" * (crop < 1))
    rows: list[list[Any]] = [
        [
            "val top-1 / top-5",
            f"{metrics['top1']:.2f} / {metrics['top5']:.2f} % of {shown}",
        ],
        ["chosen on", metrics["chosen_on"]],
        ["the last weights", f"{metrics['last_top1']:.2f} / {metrics['last_top5']:.2f} %"],
        ["with mirror images", f"{metrics['top1_flip']:.2f} / {metrics['top5_flip']:.2f} %"],
        ["calibration error", f"{metrics['ece']:.2f} %"],
    ]
    images = summary["data"]["images"]
    if (summary["data"]["classes"], images["train"] + images["holdout"]) == TARGET_SIZE:
        rows.append(["coursework, 90 epochs on a GPU", f"{top1} / {top5} %"])
    rows += [
        ["model", f"{config.arch}, {config.stem} stem, {summary['weights']:,} weights"],
        ["started from", metrics["starts_from"]],
        ["updates", f"{summary['steps']:,} (best after {_number(summary['best_step'])})"],
        ["training time", f"{summary['seconds']:.1f} s"],
        ["images per second", f"{rate:,}" if rate else None],
        ["seed", f"{config.seed}"],
        ["device", summary["device"]],
    ]
    return rows


def _number(step: int | None) -> str:
    return f"{step:,}" if step is not None else "none chosen"
