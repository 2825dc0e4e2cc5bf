"""The page of a run: figures, curves, images, classes, confusions and calibration."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnet_tiny.commands import earlier_versions
from resnet_tiny.commands.earlier_versions import is_earlier
from resnet_tiny.config import TrainConfig
from resnet_tiny.measure import EVALUATION, EXAMPLES
from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.errors import UserError
from shared.pages.heat_map import STYLE as HEAT_STYLE
from shared.pages.heat_map import heat_map
from shared.pages.plots import printable
from shared.pages.report import Report, curve, make_page, percent, run_page
from shared.runs.run_directory import RunDirectory

ENDS = 10
"""Classes shown of each end of the table."""
COURSEWORK = (0.3509, 0.5992)
"""Top-1 and top-5 of the coursework."""
COURSEWORK_DATA = (200, 100_000)
"""Classes and training images of its data; beside figures of other data its figures mean nothing."""
_GRID = "display:grid;grid-template-columns:repeat(auto-fill,minmax(6.5rem,1fr));gap:1rem;margin:1rem 0 2rem"
"""Five images in a line, three on a phone."""
OLD_MISTAKES = "mistakes.png"
"""What runs of earlier versions have instead of `EXAMPLES`."""


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
    figures = read_evaluation(run.path)
    out = out or run.path / "report.html"
    records, metrics = run.metrics.records(), summary["metrics"]
    if is_earlier(metrics):
        has_holdout = config.selection == "holdout"
        records = [earlier_versions.record_of(r, has_holdout=has_holdout) for r in records]
        metrics = earlier_versions.metrics_of(metrics)
    page = run_page(
        "resnet-tiny",
        run,
        _facts(summary, metrics, config),
        subtitle=_subtitle(summary),
        headline=(percent(metrics["val_top1"]) or "", "top-1 accuracy on val"),
    )
    page.heading("Training")
    prefix = "val" if config.selection == "val" else "valid"
    chooser = {"holdout": "hold-out", "val": "val"}.get(config.selection, "")
    # A point an epoch, where whole epochs were trained and this version logged them.
    has_epochs = bool(curve(records, "epoch_train_acc")[0])
    train = "epoch_train" if has_epochs else "train"
    for title, unit, keys, scale in (
        ("Top-1 accuracy", "percent", (f"{train}_acc", f"{prefix}_acc"), 100),
        ("Loss", "nats", (f"{train}_loss", f"{prefix}_loss"), 1),
    ):
        curves = {
            name: curve(records, key, scale)
            for name, key in zip(("train", chooser), keys, strict=True)
            if curve(records, key)[0]
        }
        if curves:
            png = out.parent / "accuracy.png" if title.startswith("Top") else None
            page.lines(title, "epoch", unit, curves, caption=_caption(config, has_epochs), png=png)
    page.learning_rate(records)
    _add_images(page, run.path)
    _add_classes(page, figures)
    page.run_again("resnet-tiny train", run, config)
    return page.save(out)


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read evaluation.json of a run of this version or an earlier one.

    Raises
    ------
    UserError
        It is missing or damaged.
    """
    file = path / EVALUATION
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{file}: is missing or damaged. Make it with `resnet-tiny evaluate {path} --out {path}`."
        ) from None
    return earlier_versions.evaluation_of(figures) if is_earlier(figures) else figures


def _add_images(page: Report, path: Path) -> None:
    """Add some images that were classified wrongly, the most confident first, and some that were not."""
    try:
        examples = json.loads((path / EXAMPLES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        old = path / OLD_MISTAKES
        if old.is_file():
            page.heading("Worst mistakes")
            page.image(old.read_bytes(), "wrong predictions", "The most confident mistakes on val.")
        return
    for title, key, caption in (
        ("Most confident mistakes", "wrong", "The image's class, and what the model predicted."),
        ("Correct predictions", "right", "Taken evenly from all correct predictions on val."),
    ):
        if examples[key]:
            page.heading(title)
            page.text(caption)
            page.html(_grid(examples[key], is_wrong=key == "wrong"))


def _grid(rows: list[dict[str, Any]], *, is_wrong: bool) -> str:
    cells = []
    for row in rows:
        label, predicted, file = (
            html.escape(printable(row[name])) for name in ("label", "predicted", "file")
        )
        confidence = f"{100 * row['probability']:.0f}&nbsp;%"
        text = f"{label}<br>predicted <b>{predicted}</b>" if is_wrong else f"<b>{predicted}</b>"
        cells.append(
            '<figure style="margin:0">'
            f'<img alt="{label}" title="{file}" src="data:image/png;base64,{row["png"]}" '
            'style="width:100%;image-rendering:pixelated;border-radius:4px">'
            f'<figcaption style="margin:.25rem 0 0;line-height:1.3">{text} {confidence}</figcaption></figure>'
        )
    return f'<div style="{_GRID}">{"".join(cells)}</div>'


def _add_classes(page: Report, figures: dict[str, Any]) -> None:
    rows = sorted(
        (row for row in figures["per_class"] if row["images"]), key=lambda row: -row["top1"]
    )
    shown = rows if len(rows) <= 2 * ENDS else rows[:ENDS] + rows[-ENDS:]
    page.heading("Classes")
    has_top5 = figures["val_top5"] is not None
    page.table(
        ["class", "top-1 %", *["top-5 %"] * has_top5, "images", "predicted"],
        [
            [
                row["name"],
                *(100 * row[top] for top in ("top1", "top5")[: 1 + has_top5]),
                row["images"],
                row["predicted"],
            ]
            for row in shown
        ],
        caption=""
        if len(shown) == len(rows)
        else f"The best {ENDS} and the worst {ENDS} of {len(rows)}.",
    )
    matrix = figures.get("confusion_matrix")
    if matrix is not None:
        names = [row["name"] for row in figures["per_class"]]
        totals = [max(sum(row), 1) for row in matrix]
        shades = [[n / total for n in row] for row, total in zip(matrix, totals, strict=True)]
        texts = [[str(n) if n else "" for n in row] for row in matrix]
        page.html(HEAT_STYLE)
        page.html(
            heat_map(
                "Class (rows) and prediction (columns)",
                names,
                names,
                shades,
                texts,
                is_upright=True,
            )
        )
    if figures["confusions"]:
        pairs = [
            [pair["class"], pair["predicted"], pair["images"]] for pair in figures["confusions"]
        ]
        page.table(["class", "predicted", "images"], pairs, caption="Most frequent mistakes")
    page.heading("Calibration")
    bins = figures["reliability"]
    confidence = [row["confidence"] for row in bins]
    page.lines(
        "Reliability diagram",
        "confidence",
        "accuracy",
        {
            "model": (confidence, [row["accuracy"] for row in bins]),
            "perfectly calibrated": ([0.0, 1.0], [0.0, 1.0]),
        },
        caption=f"Expected calibration error {percent(figures['calibration_error'])}.",
    )


def _caption(config: TrainConfig, has_epochs: bool) -> str:
    since = "of each epoch" if has_epochs else "since the previous line of the log"
    train = f"Train: mean {since}, on augmented images."
    other = {
        "holdout": " Hold-out: training images that are not trained on; they choose the best checkpoint.",
        "val": " Val: also chooses the best checkpoint.",
    }
    return train + other.get(config.selection, "")


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    return f"{data['name']}{made_up}, {data['images']['train']:,} training images, {data['classes']} classes"


def _facts(
    summary: dict[str, Any], metrics: dict[str, Any], config: TrainConfig
) -> list[tuple[str, Any]]:
    rate, crop = summary["images_per_second"], config.evaluation_crop
    shown = f"{metrics['val_images']:,} images" + (f", center crop {crop:g}" * (crop < 1))
    facts: list[tuple[str, Any]] = [
        (
            "val top-1 / top-5" if metrics["val_top5"] is not None else "val top-1",
            f"{_pair(metrics, 'val_top1', 'val_top5')} of {shown}",
        ),
        ("with horizontal flips", _pair(metrics, "val_top1_flip", "val_top5_flip")),
        ("checkpoint chosen on", metrics["chosen_on"]),
        ("last checkpoint", _pair(metrics, "last_val_top1", "last_val_top5")),
        ("calibration error", percent(metrics["calibration_error"])),
    ]
    images = summary["data"]["images"]
    if (summary["data"]["classes"], images["train"] + images["holdout"]) == COURSEWORK_DATA:
        top1, top5 = COURSEWORK
        facts.append(("coursework, 90 epochs on a GPU", f"{100 * top1:.2f} / {100 * top5:.2f} %"))
    best, sizes = summary["best_step"], config.sizes or (config.image_size,)
    facts += [
        ("model", f"{config.arch}, {config.stem} stem, {summary['weights']:,} parameters"),
        ("trained at", f"{', '.join(f'{n}x{n}' for n in sizes)} pixels"),
        ("initial weights", metrics["starts_from"]),
        ("steps", f"{summary['steps']:,} (best: {best:,})" if best else f"{summary['steps']:,}"),
        ("training time", f"{summary['seconds']:.1f} s"),
        ("images per second", f"{rate:,}" if rate else None),
        ("seed", f"{config.seed}"),
        ("device", summary["device"]),
    ]
    return facts


def _pair(metrics: Mapping[str, Any], top1: str, top5: str) -> str:
    shown = [f"{100 * metrics[name]:.2f}" for name in (top1, top5) if metrics[name] is not None]
    return f"{' / '.join(shown)} %"
