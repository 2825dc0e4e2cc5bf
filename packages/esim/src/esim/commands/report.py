"""The page of a run: figures, curves, confusion, calibration, checks, and other seeds of the same settings."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from esim.config import TrainConfig
from esim.data.dataset import Data, load_data
from esim.data.labels import LABELS
from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.errors import UserError
from shared.pages.report import Report, make_page, save_plot
from shared.runs.run_directory import RunDirectory


def run(options: ReportOptions) -> int:
    """Make the page of a finished run (verb `report`)."""
    return make_page(options, "esim", write_page)


def write_page(run: RunDirectory, data: Data | None = None, out: Path | None = None) -> Path:
    """Write a run's page, and its plot as PNG beside it.

    Parameters
    ----------
    run : RunDirectory
        A run that has ended.
    data : Data, optional
        The data it was trained on; default: read again. Where that is no longer possible the page says so.
    out : Path, optional
        Default: `report.html` in the run's folder.

    Returns
    -------
    Path
        The page.
    """
    summary = run.summary()
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    out = out or run.path / "report.html"
    records = run.metrics.records()

    page = Report(f"esim: {summary['recipe'] or 'own settings'}", _subtitle(summary))
    page.table(["what", "came out"], _facts(summary, config))
    _add_seeds(page, run.path, config)
    page.heading("Training")
    curves = {
        name: curve(records, key)
        for name, key in (("train", "train_accuracy"), ("dev", "dev_accuracy"))
    }
    curves = {name: points for name, points in curves.items() if points[0]}
    axes = ("epoch", "accuracy, %")
    caption = "Train: mean since the line of the log before, with dropout. Dev: without."
    page.lines("Accuracy", *axes, curves, caption=caption)
    save_plot(out.parent / "accuracy.png", "Accuracy", *axes, curves)
    _add_measures(page, run, config, data)
    page.heading("Run it again")
    page.code(f"esim train --config {run.path.name}/config.yaml --out another-folder")
    page.code(configuration.dump(config))
    return page.save(out)


def curve(records: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Return (epochs, values in percent) of the records that have a figure."""
    kept = [record for record in records if record.get(key) is not None]
    return [record["epoch"] for record in kept], [100 * record[key] for record in kept]


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """Return the mean and the sample's standard deviation (0 of a single value)."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def other_seeds(path: Path, config: TrainConfig) -> dict[int, dict[str, Any]]:
    """Return the summaries of the runs beside this one that differ in the seed only, by seed, its own among them."""
    found = {}
    for folder in sorted(path.parent.iterdir()):
        if not (folder / "summary.json").is_file() or not (folder / "config.yaml").is_file():
            continue
        try:
            other = configuration.load(TrainConfig, folder / "config.yaml")
            summary = RunDirectory(folder, quiet=True).summary()
        except UserError:  # another task's run
            continue
        is_own = folder == path
        if is_own or (other.seed not in found and replace(other, seed=config.seed) == config):
            found[other.seed] = summary
    return found


def _add_seeds(page: Report, path: Path, config: TrainConfig) -> None:
    found = other_seeds(path.resolve(), config)
    if len(found) < 2:
        return
    names = [n for n in ("dev_accuracy", "test_accuracy") if n in found[config.seed]["metrics"]]
    rows = [
        [f"seed {seed}", *(100 * found[seed]["metrics"][name] for name in names)]
        for seed in sorted(found)
    ]
    columns = [[row[place] for row in rows] for place in range(1, len(names) + 1)]
    means = [mean_and_deviation([float(v) for v in column]) for column in columns]
    rows.append(["mean ± deviation", *(f"{mean:.2f} ± {spread:.2f}" for mean, spread in means)])
    header = ["", *(f"{name.replace('_', ' ')}, %" for name in names)]
    page.heading("Seeds")
    page.table(
        header, [[r[0], *(f"{v:.2f}" if isinstance(v, float) else v for v in r[1:])] for r in rows]
    )


def _add_measures(page: Report, run: RunDirectory, config: TrainConfig, data: Data | None) -> None:
    from esim.commands.hypothesis_only import HypothesisOnly
    from esim.measure import checks, figures
    from esim.model.trained import load_run
    from esim.scores import calibration, score_pairs, scoring_batch

    page.heading("On dev")
    if data is None:
        try:
            data = load_data(config)
        except UserError as error:
            page.text(f"The data is not there any more: {error}")
            return
    trained, dev = load_run(run.path), data.splits["dev"]
    if trained.vocabulary != data.vocabulary:
        page.text("The data has changed since the run, so nothing more is measured on it.")
        return
    scores = score_pairs(trained.model, dev, batch_size=scoring_batch(config))
    found = figures(scores, dev)
    rows = [
        [
            name,
            *counts,
            None if found["recall"][name] is None else f"{100 * found['recall'][name]:.1f} %",
        ]
        for name, counts in zip(LABELS, found["confusion"], strict=True)
    ]
    page.table(["label", *(f"said {name}" for name in LABELS), "right"], rows, caption="Confusion")
    alone = HypothesisOnly(data.splits["train"]).accuracy(dev)
    rows = [["accuracy", f"{100 * found['accuracy']:.2f} %"]]
    rows.append(["accuracy of naive Bayes on the hypothesis alone", f"{100 * alone:.2f} %"])
    rows += [[name, f"{100 * v:.2f} %"] for name, v in checks(trained, dev, scores).items()]
    rows.append(["expected calibration error", f"{100 * found['calibration_error']:.2f} %"])
    page.table(["check", "share"], rows)
    bins = calibration(scores, dev.labels)
    confidence = [100 * one.confidence for one in bins]
    curves = {
        "model": (confidence, [100 * one.accuracy for one in bins]),
        "as sure as right": (confidence, confidence),
    }
    caption = "Below the second line the model is surer than it should be."
    page.lines("Calibration", "confidence, %", "accuracy, %", curves, caption=caption)


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    pairs = data["splits"]["train"]["pairs"]
    return f"{data['name']}{made_up}, {pairs:,} training pairs, {data['vocabulary']:,} words"


def _facts(summary: dict[str, Any], config: TrainConfig) -> list[list[Any]]:
    metrics, rate = summary["metrics"], summary["pairs_per_second"]
    defects = [
        text
        for is_there, text in (
            (config.batch_axis, "LSTMs read across the batch (defect)"),
            (not config.relu, "no ReLU"),
            (not config.mask, "no mask"),
        )
        if is_there
    ]
    rows = [
        [
            f"{name} accuracy",
            f"{100 * metrics[f'{name}_accuracy']:.2f} % of {metrics[f'{name}_pairs']:,}",
        ]
        for name in ("dev", "test")
        if f"{name}_accuracy" in metrics
    ]
    if config.hold_out:
        rows.append(["dev here", "pairs held out of train"])
    return [
        *rows,
        ["model", f"hidden size {config.hidden_size}, {summary['weights']:,} weights"],
        *([["left out or wrong on purpose", ", ".join(defects)]] if defects else []),
        ["updates", f"{summary['steps']:,} (best after {summary['best_step']:,})"],
        ["training time", f"{summary['seconds']:.1f} s"],
        ["pairs per second", f"{rate:,}" if rate else None],
        ["seed", f"{config.seed}"],
        ["device", summary["device"]],
    ]
