"""The verb `report`: the page of a run, with figures, curves, confusion, calibration, checks, and other seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from esim.commands.attend import examples
from esim.commands.attend import write_page as write_attention
from esim.config import TrainConfig
from esim.data.dataset import Data, load_data
from esim.measure import calibration, checks, figures, score_pairs, scoring_batch
from esim.model.hypothesis_only import HypothesisOnly
from esim.model.trained import TrainedModel, current_names, load_run
from shared.calibration import caution
from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.errors import UserError
from shared.pages.heat_map import STYLE, heat_map
from shared.pages.links import link_others
from shared.pages.report import Report, curve, make_page, percent, run_page
from shared.runs.run_directory import RunDirectory

EXAMPLES = 6
"""Dev pairs whose attention is shown."""
SPLITS = {"valid": "dev", "test": "test"}


def run(options: ReportOptions) -> int:
    """Make the page of a finished run."""
    return make_page(options, "esim", write_page)


def write_page(run: RunDirectory, out: Path | None = None) -> Path:
    """Write a run's page, and its plot as PNG beside it.

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
    """
    summary = read_summary(run)
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    out = out or run.path / "report.html"
    records = [current_names(record) for record in run.metrics.records()]
    key = "test" if "test_accuracy" in summary["metrics"] else "valid"
    accuracy = percent(summary["metrics"][f"{key}_accuracy"]) or ""
    page = run_page(
        "esim",
        run,
        _facts(summary, config),
        subtitle=_subtitle(summary),
        headline=(accuracy, f"{SPLITS[key]} accuracy"),
    )
    for key, name in SPLITS.items():
        pairs = summary["metrics"].get(f"{key}_pairs")
        if pairs is not None and (text := caution(name, pairs, "pair")):
            page.text(text)
    _add_seeds(page, run.path, config)
    page.heading("Training")
    curves = {
        name: curve(records, key, 100)
        for name, key in (("train", "train_accuracy"), ("dev", "valid_accuracy"))
    }
    page.lines(
        "Accuracy",
        "epoch",
        "accuracy, %",
        {name: points for name, points in curves.items() if points[0]},
        caption="Train: mean since the previous log line, with dropout. Dev: without dropout.",
        png=out.parent / "accuracy.png",
    )
    _add_measures(page, run, config, out)
    page.run_again("esim train", run, config)
    page.save(out)
    link_others(out)
    return out


def read_summary(run: RunDirectory) -> dict[str, Any]:
    """Return a run's summary, its metrics under today's names."""
    summary = run.summary()
    return summary | {"metrics": current_names(summary["metrics"])}


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """Return the mean and the sample's standard deviation (0 of a single value)."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def other_seeds(path: Path, config: TrainConfig) -> dict[int, dict[str, Any]]:
    """Return the summaries, by seed, of this run and of those beside it that differ in nothing but the seed.

    The content of the data counts too: without `--data` it was the sample before SNLI was downloaded.
    """
    summaries = {}
    data = _data_of(read_summary(RunDirectory(path, quiet=True)))
    for folder in sorted(path.parent.iterdir()):
        try:
            if not all((folder / name).is_file() for name in ("summary.json", "config.yaml")):
                continue
            other = configuration.load(TrainConfig, folder / "config.yaml")
            summary = read_summary(RunDirectory(folder, quiet=True))
        except (UserError, OSError):  # another task's run, or another user's folder
            continue
        is_alike = replace(other, seed=config.seed) == config and _data_of(summary) == data
        if folder == path or (other.seed not in summaries and is_alike):
            summaries[other.seed] = summary
    return summaries


def _data_of(summary: dict[str, Any]) -> str | None:
    """Return the checksum of the data that a run was trained and measured on; None of a run before there was one."""
    return summary["data"].get("sha256")


def _add_seeds(page: Report, path: Path, config: TrainConfig) -> None:
    summaries = other_seeds(path.resolve(), config)
    if len(summaries) < 2:
        return
    own = summaries[config.seed]["metrics"]
    keys = [key for key in SPLITS if f"{key}_accuracy" in own]
    accuracies = {
        seed: [100 * summary["metrics"][f"{key}_accuracy"] for key in keys]
        for seed, summary in sorted(summaries.items())
    }
    means = [mean_and_deviation(list(column)) for column in zip(*accuracies.values(), strict=True)]
    page.heading("Seeds")
    page.table(
        ["", *(f"{SPLITS[key]} accuracy, %" for key in keys)],
        [
            *([f"seed {seed}", *(f"{v:.2f}" for v in row)] for seed, row in accuracies.items()),
            [
                "mean ± standard deviation",
                *(f"{mean:.2f} ± {spread:.2f}" for mean, spread in means),
            ],
        ],
    )


def _add_measures(page: Report, run: RunDirectory, config: TrainConfig, out: Path) -> None:
    page.heading("On dev")
    try:
        data = load_data(config)
    except UserError as error:
        page.text(f"The data is no longer available: {error}")
        return
    trained = load_run(run.path)
    known = _data_of(read_summary(run))
    if trained.vocabulary != data.vocabulary or known not in (None, data.listing["sha256"]):
        page.text("The data has changed since the run, so nothing more is measured on it.")
        return
    _add_checks(page, trained, data)
    attention = out.with_name("attention.html")
    write_attention(trained, examples(trained, EXAMPLES), attention)
    page.links("Attention of dev pairs, right and wrong", [("attention.html", attention.name)])


def _add_checks(page: Report, trained: TrainedModel, data: Data) -> None:
    dev = data.splits["dev"]
    scores = score_pairs(trained.model, dev, batch_size=scoring_batch(trained.config))
    values = figures(scores, dev)
    page.html(STYLE)
    page.html(_confusion_map(values["confusion"], trained.config.label_names))
    by_hypothesis = HypothesisOnly(data.splits["train"]).accuracy(dev)
    page.table(
        ["check", "fraction of pairs"],
        [
            ["accuracy", percent(values["accuracy"])],
            ["accuracy of naive Bayes on the hypothesis alone", percent(by_hypothesis)],
            *([name, percent(value)] for name, value in checks(trained, dev, scores).items()),
            ["expected calibration error", percent(values["calibration_error"])],
        ],
    )
    bins = calibration(scores, dev.labels)
    confidence = [100 * one.confidence for one in bins]
    curves = {
        "model": (confidence, [100 * one.accuracy for one in bins]),
        "perfectly calibrated": (confidence, confidence),
    }
    caption = "Reliability diagram. Below the second line the model is overconfident."
    page.lines("Calibration", "confidence, %", "accuracy, %", curves, caption=caption)


def _confusion_map(table: list[list[int]], names: Sequence[str]) -> str:
    """Return the confusion table, shaded by the fraction of each label's pairs."""
    fractions = [[count / max(1, sum(row)) for count in row] for row in table]
    texts = [
        [f"{count:,} ({100 * fraction:.0f} %)" for count, fraction in zip(*pair, strict=True)]
        for pair in zip(table, fractions, strict=True)
    ]
    columns = [f"predicted {name}" for name in names]
    return heat_map("Confusion: labels by prediction", names, columns, fractions, texts)


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    pairs = data["splits"]["train"]["pairs"]
    return f"{data['name']}{made_up}, {pairs:,} training pairs, {data['vocabulary']:,} words"


def _facts(summary: dict[str, Any], config: TrainConfig) -> list[tuple[str, Any]]:
    metrics, rate = summary["metrics"], summary["pairs_per_second"]
    departures = [
        text
        for is_there, text in (
            (config.batch_axis, "LSTMs read across the batch (defect)"),
            (not config.relu, "no ReLU"),
            (not config.mask, "no mask"),
            (config.matches, "match features"),
            (config.relations, "lexical relations"),
            (config.stem_backoff, "unknown words read by their stem"),
            (config.classifier == "coursework", "the coursework's classifier"),
        )
        if is_there
    ]
    accuracies = [
        (
            f"{name} accuracy",
            f"{percent(metrics[f'{key}_accuracy'])} of {metrics[f'{key}_pairs']:,}",
        )
        for key, name in SPLITS.items()
        if f"{key}_accuracy" in metrics
    ]
    return [
        *accuracies,
        *([("dev", "pairs held out of train")] if config.hold_out else []),
        ("model", f"hidden size {config.hidden_size}, {summary['weights']:,} weights"),
        *([("departs from the paper", ", ".join(departures))] if departures else []),
        ("updates", f"{summary['steps']:,} (best after {summary['best_step']:,})"),
        ("training time", f"{summary['seconds']:.1f} s"),
        ("pairs per second", f"{rate:,}" if rate else None),
        ("seed", f"{config.seed}"),
        ("device", summary["device"]),
    ]
