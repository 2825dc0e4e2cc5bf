"""The page of a run: figures, curves, and what it relies on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imdb_sentiment.config import LINEAR, TrainConfig
from imdb_sentiment.data.reviews import CLASSES, task_classes
from shared.calibration import caution
from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.files import shell_quoted
from shared.pages.heat_map import STYLE, heat_map
from shared.pages.report import Report, curve, make_page, percent, run_page
from shared.runs.run_directory import RunDirectory

STRONGEST, DRAWN = 20, 8
"""N-grams of each end in the table, and in the plot."""
MOST_CLASSES = 30
"""More would not fit into a table."""
DEFECTS = {
    "padding": (
        "front",
        "Every review is padded in front to {max_tokens} tokens, {padding:.0%} of what is computed, and the LSTM reads "
        "the padding as if it were words.",
    ),
    "pooling": (
        "last_position",
        "The head reads the output at the last position, where the backward direction has read one word: half of what "
        "the head gets says almost nothing of the review.",
    ),
    "carry_state": (
        True,
        "In training, the LSTM starts each batch from the final state of the batch before, which read other reviews.",
    ),
    "softmax_first": (
        True,
        "Softmax is applied twice: before the cross entropy and inside it. The loss of a review cannot fall below "
        "0.3133, and a wrong answer that is certain hardly changes the weights.",
    ),
    "encoder_pooling": (
        "last",
        "The head reads the state at the last position of the batch, which is padding for all but its longest review.",
    ),
}
"""Settings that reproduce mistakes of the coursework: value, and what is wrong with it."""


def run(options: ReportOptions) -> int:
    """Make the page of a finished run (verb `report`)."""
    return make_page(options, "imdb-sentiment", write_page)


def write_page(run: RunDirectory, out: Path | None = None) -> Path:
    """Write a run's page, and its plot as PNG beside it if it has one.

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
    accuracy = percent(summary["metrics"]["test_accuracy"]) or ""
    page = run_page(
        "imdb-sentiment",
        run,
        _facts(summary, config),
        subtitle=_subtitle(summary),
        headline=(accuracy, "test accuracy"),
    )
    if text := caution("test", summary["metrics"]["test_reviews"], "review"):
        page.text(text)
    defects = defects_of(config)
    if defects:
        page.heading("Defects of the coursework in this run")
        for setting, text in defects.items():
            padding = summary["metrics"].get("padding", 0.0)
            text = text.format(max_tokens=config.max_tokens, padding=padding)
            value = getattr(config, setting)
            given = "" if value is True else f" {value}"
            page.text(f"{configuration.flag(setting)}{given}: {text}")
        page.text("What each of them costs is measured by:")
        page.code("imdb-sentiment ablate")
    if config.model in LINEAR:
        _strongest(page, run.path)
    else:
        _curves(page, run.metrics.records(), out.parent)
    _confusion(page, summary, config)
    page.heading("Look closer")
    page.text(
        "Reviews with their words colored by effect, and the most confident mistakes, each as a page:"
    )
    folder = shell_quoted(run.path.resolve())
    page.code(f"imdb-sentiment explain {folder}\nimdb-sentiment mistakes {folder}")
    page.run_again("imdb-sentiment train", run, config)
    return page.save(out)


def defects_of(config: TrainConfig) -> dict[str, str]:
    """Return the settings of a run that reproduce mistakes of the coursework, and what is wrong with each."""
    if config.model in LINEAR:
        return {}
    other = (
        {"padding", "pooling", "carry_state"} if config.model == "encoder" else {"encoder_pooling"}
    )
    names = [name for name in DEFECTS if name not in other]
    return {name: DEFECTS[name][1] for name in names if getattr(config, name) == DEFECTS[name][0]}


def accuracy_curves(records: list[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Return (epochs, accuracies in %) on train and valid from a metrics log."""
    curves = {name: curve(records, f"{name}_accuracy", scale=100) for name in ("train", "valid")}
    return {name: points for name, points in curves.items() if points[0]}


def _curves(page: Report, records: list[dict[str, Any]], folder: Path) -> None:
    page.heading("Training")
    caption = "Train: mean since the last line of the log, with dropout. Valid: without."
    page.lines(
        "Accuracy",
        "epoch",
        "accuracy, %",
        accuracy_curves(records),
        caption=caption,
        png=folder / "accuracy.png",
    )
    losses = {
        name: points
        for name, key in (("train", "train_nll"), ("valid", "valid_loss"))
        if (points := curve(records, key))[0]
    }
    page.lines("Loss", "epoch", "nats per review", losses)
    page.learning_rate(records)


def _confusion(page: Report, summary: dict[str, Any], config: TrainConfig) -> None:
    table = summary["metrics"].get("test_confusion")  # runs of earlier versions have none
    if table is None or len(table) > MOST_CLASSES:
        return
    classes = task_classes(config.task, summary["data"].get("classes", CLASSES))
    fractions = [[count / max(1, sum(row)) for count in row] for row in table]
    texts = [[f"{count:,}" for count in row] for row in table]
    page.heading("Confusion on test")
    page.html(STYLE)
    page.html(
        heat_map(
            "Rows: class of the review. Columns: predicted.", classes, classes, fractions, texts
        )
    )


def _strongest(page: Report, path: Path) -> None:
    from imdb_sentiment.model.linear import LinearClassifier
    from imdb_sentiment.model.trained import load

    model = load(path).classifier
    assert isinstance(model, LinearClassifier)
    page.heading("The n-grams with the strongest effects")
    classes = model.classes
    if len(classes) == 2:
        low, high = model.strongest(STRONGEST)
        lists = [low, high]
        page.bars(
            f"Effect of an n-gram on the log-odds of {classes[1]}",
            dict([*low[:DRAWN], *reversed(high[:DRAWN])]),
        )
        page.table(
            [f"most {classes[0]}", "effect", f"most {classes[1]}", "effect"],
            [[*a, *b] for a, b in zip(low, high, strict=False)],
        )
    else:
        lists = [model.strongest(DRAWN, fit)[1] for fit in range(min(len(classes), MOST_CLASSES))]
        page.table(
            ["class", "n-grams and their effects on the log-odds of the class against the rest"],
            [
                [name, ", ".join(f"{ngram} {effect:+.2f}" for ngram, effect in one)]
                for name, one in zip(classes, lists, strict=False)
            ],
        )
    if any(name.endswith("-") for one in lists for name, _ in one):
        page.text("A hyphen at the end marks the first letters of a longer word.")
    if any(name.startswith("[") for one in lists for name, _ in one):
        page.text(
            "Brackets mark words that stand for clusters: [good] for it and the words with similar neighbors."
        )


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    counts = data["reviews"]
    return (
        f"{data['name']}{made_up}: {counts['train']:,} training reviews, {counts['valid']:,} for validation "
        f"(split {data['split']}), {counts['test']:,} test reviews"
    )


def _facts(summary: dict[str, Any], config: TrainConfig) -> list[tuple[str, Any]]:
    metrics = summary["metrics"]
    rows: list[tuple[str, Any]] = [("valid accuracy", percent(metrics["valid_accuracy"]))]
    for key, value in metrics.items():
        if key == "test_accuracy" or not (key.startswith("test_") and key.endswith("_accuracy")):
            continue
        name = key.removeprefix("test_").removesuffix("_accuracy")
        about = "as negative or positive" if name == "polarity" else f"of {name} reviews"
        rows.append((f"test accuracy {about}", percent(value)))
    if "test_mean_absolute_error" in metrics:
        rows.append(("test error, stars", f"{metrics['test_mean_absolute_error']:.2f}"))
    rows.append(("test loss, nats per review", f"{metrics['test_loss']:.4f}"))
    if "test_calibration_error" in metrics:
        rows.append(("test calibration error", percent(metrics["test_calibration_error"])))
    rows += [
        ("model", f"{config.model}, {summary['weights']:,} weights"),
        ("training time", f"{summary['seconds']:.1f} s"),
    ]
    if summary.get("steps") is not None:
        rows.append(("updates", f"{summary['steps']:,} (best after {summary['best_step']:,})"))
    if summary.get("reviews_per_second"):
        rows.append(("reviews per second", f"{summary['reviews_per_second']:,}"))
    return [*rows, ("seed", f"{config.seed}"), ("device", summary["device"])]
