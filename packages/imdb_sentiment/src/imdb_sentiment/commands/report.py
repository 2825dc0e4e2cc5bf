"""The page of a run: figures, curves, what holds it back, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imdb_sentiment.config import LINEAR, TrainConfig
from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.pages.report import Report, make_page, save_plot
from shared.runs.run_directory import RunDirectory

STRONGEST = 20
COURSEWORK = (
    "This is the coursework's model to the letter, and these hold it back. The head reads the state at the last place: "
    "there the backward way has read one word, so half of what the head gets knows almost nothing of the review. "
    "Every review is filled up to {size} words in front, {padding:.0%} of what is computed, and the padding is read "
    "as if it were words. With {limit} training reviews most words are met once or never. Pooling over a review's own "
    "words, batches of like length and all reviews are what the recipe bilstm changes."
)


def run(options: ReportOptions) -> int:
    """Make the page of a finished run (verb `report`)."""
    return make_page(options, "imdb-sentiment", write_page)


def write_page(run: RunDirectory, out: Path | None = None) -> Path:
    """Write a run's page, and its plot as PNG beside it where it has one.

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
    summary = run.summary()
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    out = out or run.path / "report.html"
    page = Report(f"imdb-sentiment: {summary['recipe'] or 'own settings'}", _subtitle(summary))
    page.table(["what", "came out"], _facts(summary, config))
    if config.padding == "front":
        page.heading("What holds it back")
        limit = f"{config.limit:,}" if config.limit else "so few"
        page.text(
            COURSEWORK.format(
                size=config.max_tokens, padding=summary["metrics"]["padding"], limit=limit
            )
        )
    if config.model in LINEAR:
        _strongest(page, run.path, config)
    else:
        _curves(page, run.metrics.records(), out.parent)
    page.heading("Run it again")
    page.code(f"imdb-sentiment train --config {run.path.name}/config.yaml --out another-folder")
    page.code(configuration.dump(config))
    return page.save(out)


def accuracy_curves(records: list[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Return (epochs, accuracies in %) on train and valid from a metrics log."""
    found = {}
    for name in ("train", "valid"):
        epochs, values = curve(records, f"{name}_accuracy")
        if epochs:
            found[name] = (epochs, [100 * value for value in values])
    return found


def curve(records: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Return (epochs, values) of the records that have a figure."""
    kept = [record for record in records if record.get(key) is not None]
    return [record["epoch"] for record in kept], [record[key] for record in kept]


def percent(share: float | None) -> str | None:
    """Return 0.9123 as `91.23 %`."""
    return None if share is None else f"{100 * share:.2f} %"


def _curves(page: Report, records: list[dict[str, Any]], folder: Path) -> None:
    page.heading("Training")
    curves = accuracy_curves(records)
    caption = "Train: mean since the line of the log before, with dropout. Valid: without."
    page.lines("Accuracy", "epoch", "accuracy, %", curves, caption=caption)
    save_plot(folder / "accuracy.png", "Accuracy", "epoch", "accuracy, %", curves)
    losses = {
        name: values
        for name, key in (("train", "train_nll"), ("valid", "valid_loss"))
        if (values := curve(records, key))[0]
    }
    page.lines("Loss", "epoch", "nats a review", losses)
    rates = curve(records, "learning_rate")
    if len(set(rates[1])) > 1:
        page.lines("Learning rate", "epoch", "learning rate", {"learning rate": rates})


def _strongest(page: Report, path: Path, config: TrainConfig) -> None:
    from imdb_sentiment.model.linear import LinearClassifier
    from imdb_sentiment.model.trained import load_run

    model = load_run(path).classifier
    assert isinstance(model, LinearClassifier)
    low, high = model.strongest(STRONGEST)
    first, last = ("negative", "positive") if config.task == "polarity" else ("other", "10 stars")
    page.heading("What it goes by")
    page.table(
        [f"most {first}", "weight", f"most {last}", "weight "],
        [[*a, *b] for a, b in zip(low, high, strict=False)],
    )


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    counts = data["reviews"]
    return (
        f"{data['name']}{made_up}: {counts['train']:,} training reviews, {counts['valid']:,} for choosing "
        f"(split {data['split']}), {counts['test']:,} test reviews"
    )


def _facts(summary: dict[str, Any], config: TrainConfig) -> list[list[Any]]:
    metrics = summary["metrics"]
    rows = [
        ["test accuracy", percent(metrics["test_accuracy"])],
        ["valid accuracy", percent(metrics["valid_accuracy"])],
    ]
    for kind in ("negative", "positive", "polarity"):
        if f"test_{kind}_accuracy" in metrics:
            name = "as good or bad" if kind == "polarity" else f"of {kind} ones"
            rows.append([f"test accuracy {name}", percent(metrics[f"test_{kind}_accuracy"])])
    if "test_mean_absolute_error" in metrics:
        rows.append(["test error, stars", f"{metrics['test_mean_absolute_error']:.2f}"])
    rows += [
        ["test loss, nats a review", f"{metrics['test_loss']:.4f}"],
        ["model", f"{config.model}, {summary['weights']:,} weights"],
        ["training time", f"{summary['seconds']:.1f} s"],
    ]
    if summary.get("steps") is not None:
        rows.append(["updates", f"{summary['steps']:,} (best after {summary['best_step']:,})"])
    if summary.get("reviews_per_second"):
        rows.append(["reviews per second", f"{summary['reviews_per_second']:,}"])
    return [*rows, ["seed", f"{config.seed}"], ["device", summary["device"]]]
