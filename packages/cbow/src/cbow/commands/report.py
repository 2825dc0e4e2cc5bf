"""The verb `report`, and the page of a run: both curves of the assignment, neighbors, a map of words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cbow.checkpoint import command, model_of
from cbow.config import TrainConfig
from cbow.model.trained import load
from cbow.model.vectors import WordVectors
from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.pages.report import curve, make_page, percent, run_page
from shared.runs.run_directory import RunDirectory

WORDS_WITH_NEIGHBORS = 12
WORDS_ON_MAP = 150
TWIN = (
    "The twin is a second model, trained after the first without n-grams, all else equal; the final vectors are those "
    "of both, concatenated (--twin)."
)
"""Caption of the curves of a run that trains two models."""


def run(options: ReportOptions) -> int:
    """Make the page of a finished run (verb `report`)."""
    return make_page(options, "cbow", write_page)


def write_page(run: RunDirectory, out: Path | None = None) -> Path:
    """Write a run's page, and its plots as PNG beside it.

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
    vectors = load(run.path)
    out = out or run.path / "report.html"

    page = run_page(
        "cbow",
        run,
        _facts(summary, config),
        subtitle=_subtitle(summary),
        headline=_headline(summary["metrics"]),
    )
    page.heading("Training")
    records = {
        name: [record for record in run.metrics.records() if model_of(record) == number]
        for number, name in enumerate(["first model", "twin"] if config.twin else ["cbow"])
    }
    losses = {name: curve(some, "train_loss") for name, some in records.items()}
    page.lines(
        "Loss by epoch",
        "epoch",
        "mean loss per sample (nats)",
        losses,
        caption=TWIN if config.twin else "",
        png=out.parent / "loss.png",
    )
    if "recall_at_40" in summary["metrics"]:
        recalls = {name: curve(some, "recall_at_40", 100) for name, some in records.items()}
        caption = (
            "Listed synonyms that are among the 40 words nearest to their word, itself counted."
        )
        if config.twin:
            caption += (
                " Each model by itself; the figure at the top is of the concatenated vectors."
            )
        page.lines(
            "Recall by epoch",
            "epoch",
            "recall@40 (%)",
            recalls,
            caption=caption,
            png=out.parent / "recall.png",
        )
    if words := frequent_words(vectors):  # none in a text of single letters
        page.heading("Words")
        table = _neighbors(vectors)
        page.table(["word", "nearest words"], table, caption="Neighbors by cosine")
        xs, ys = word_map(vectors, words[:WORDS_ON_MAP])
        page.scatter(
            "Map of words",
            xs,
            ys,
            words[:WORDS_ON_MAP],
            caption="The first two principal components of frequent words' vectors; distances are approximate.",
            png=out.parent / "words.png",
        )
    page.run_again(command(summary.get("processes", 1)), run, config)
    return page.save(out)


def word_map(vectors: WordVectors, words: Sequence[str]) -> tuple[list[float], list[float]]:
    """Project words to the plane by principal component analysis of their vectors, scaled to length 1.

    Returns
    -------
    xs, ys : list of float
        Coordinates of each.
    """
    rows = vectors.unit[[vectors.row(word) for word in words]]  # (W, D)
    centered = rows - rows.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    plane = np.zeros((len(words), 2))  # one word, or vectors of size 1, have one component only
    plane[:, : min(2, len(sizes))] = left[:, :2] * sizes[:2]
    return plane[:, 0].tolist(), plane[:, 1].tolist()


def frequent_words(vectors: WordVectors) -> list[str]:
    """Return the words by falling count, without `<unk>` and single letters."""
    return [word for word in vectors.tokens if len(word) > 1 and word != "<unk>"]


def _neighbors(vectors: WordVectors) -> list[list[str]]:
    # Short and very frequent words are function words, whose neighbors say little.
    frequent = [word for word in frequent_words(vectors) if len(word) > 3]
    skip = min(20, len(frequent) // 3)
    return [
        [word, ", ".join(other for other, _ in vectors.neighbors(word, 7))]
        for word in frequent[skip : skip + WORDS_WITH_NEIGHBORS]
    ]


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    return f"{data['name']}{made_up}, {data['tokens']:,} tokens, {data['vocabulary']:,} words"


def _headline(metrics: dict[str, Any]) -> tuple[str, str]:
    recall = percent(metrics.get("recall_at_40"))
    if recall is None:
        return f"{metrics['train_loss']:.4f}", "mean loss of the last epoch"
    low, high = metrics["recall_interval"]
    return recall, f"recall@40 (95 % interval {100 * low:.1f} to {100 * high:.1f})"


def _facts(summary: dict[str, Any], config: TrainConfig) -> list[tuple[str, Any]]:
    of_first = ", first model" if config.twin else ""
    return [
        (f"mean loss of the last epoch{of_first}", f"{summary['metrics']['train_loss']:.4f}"),
        ("objective", f"{config.architecture}, {config.objective}"),
        ("epochs", f"{config.epochs}"),
        ("training time", f"{summary['seconds']:.1f} s"),
        ("samples per second", f"{summary['samples_per_second']:,.0f}"),
        ("seed", f"{config.seed}"),
        ("device", summary["device"]),
    ]
