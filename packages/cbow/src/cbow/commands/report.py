"""The page of a run: what was trained, both curves of the assignment, neighbors, a map of words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cbow.config import TrainConfig
from cbow.model.trained import load_model
from cbow.model.vectors import WordVectors
from cbow.place import command
from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.pages.report import Report, make_page, save_plot
from shared.runs.run_directory import RunDirectory

WORDS_WITH_NEIGHBORS = 12
WORDS_ON_MAP = 150


def run(options: ReportOptions) -> int:
    """Make the page of a finished run (verb `report`)."""
    return make_page(options, "cbow", write_page)


def write_page(run: RunDirectory, out: Path | None = None) -> Path:
    """Write a run's page, and its two plots as PNG beside it.

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
    vectors = load_model(str(run.path))
    out = out or run.path / "report.html"
    records = run.metrics.records()
    models = {"first model": 0, "twin": 1} if config.twin else {"cbow": 0}

    page = Report(f"cbow: {summary['recipe'] or 'own settings'}", _subtitle(summary))
    page.table(["what", "came out"], _facts(summary, config))
    page.heading("Training")
    losses = {name: epoch_curve(records, "train_loss", member) for name, member in models.items()}
    ylabel = "mean loss per sample (nats)"
    page.lines("Loss by epoch", "epoch", ylabel, losses)
    save_plot(out.parent / "loss.png", "Loss by epoch", "epoch", ylabel, losses)
    if "recall_at_40" in summary["metrics"]:
        recalls = {name: recall_curve(records, member) for name, member in models.items()}
        caption = "Share of the listed synonyms among a word's 40 nearest, itself counted."
        if config.twin:
            caption += " Each model by itself; joined they reach what the table says."
        page.lines("Recall by epoch", "epoch", "recall@40 (%)", recalls, caption=caption)
        save_plot(out.parent / "recall.png", "Recall by epoch", "epoch", "recall@40 (%)", recalls)
    page.heading("Words")
    page.table(
        ["word", "nearest, nearest first"],
        _neighbors(vectors),
        caption="Neighbors of frequent words",
    )
    words, xs, ys = word_map(vectors)
    caption = "The first two principal components; frequent words only. Distances on paper are a rough guide."
    page.scatter("Map of words", xs, ys, words, caption=caption)
    page.heading("Run it again")
    start = command(summary.get("processes", 1))
    page.code(f"{start} --config {run.path.name}/config.yaml --out another-folder")
    page.code(configuration.dump(config))
    return page.save(out)


def epoch_curve(
    records: list[dict[str, Any]], key: str, member: int = 0
) -> tuple[list[float], list[float]]:
    """Return (epochs, values) of one figure of one member, from a metrics log."""
    chosen = [r for r in records if r["member"] == member and r.get(key) is not None]
    return [record["epoch"] for record in chosen], [record[key] for record in chosen]


def recall_curve(records: list[dict[str, Any]], member: int = 0) -> tuple[list[float], list[float]]:
    """Return (epochs, recall@40 in percent) of one member."""
    epochs, values = epoch_curve(records, "recall_at_40", member)
    return epochs, [100 * value for value in values]


def word_map(vectors: WordVectors) -> tuple[list[str], list[float], list[float]]:
    """Place frequent words in the plane by principal components.

    Returns
    -------
    words : list of str
    xs, ys : list of float
        Coordinates of each, for rows scaled to length 1.
    """
    words = _frequent(vectors)[:WORDS_ON_MAP]
    rows = vectors.unit[[vectors.row(word) for word in words]]  # (W, D)
    centered = rows - rows.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    plane = np.zeros((len(words), 2))  # a vector of size 1 has one component only
    plane[:, : min(2, len(sizes))] = left[:, :2] * sizes[:2]
    return words, plane[:, 0].tolist(), plane[:, 1].tolist()


def _frequent(vectors: WordVectors) -> list[str]:
    """Return the words by falling count, without `<unk>` and single letters."""
    return [word for word in vectors.tokens if len(word) > 1 and word != "<unk>"]


def _neighbors(vectors: WordVectors) -> list[list[str]]:
    # Short and very frequent words are function words, whose neighbors tell little.
    frequent = [word for word in _frequent(vectors) if len(word) > 3]
    skip = min(20, len(frequent) // 3)
    return [
        [word, ", ".join(other for other, _ in vectors.most_similar_tokens(word, 8)[1:])]
        for word in frequent[skip : skip + WORDS_WITH_NEIGHBORS]
    ]


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    return f"{data['name']}{made_up}, {data['tokens']:,} tokens, {data['vocabulary']:,} words"


def _facts(summary: dict[str, Any], config: TrainConfig) -> list[list[Any]]:
    metrics = summary["metrics"]
    of_first = ", first model" if config.twin else ""
    facts: list[list[Any]] = [
        [f"mean loss of the last epoch{of_first}", f"{metrics['train_loss']:.4f}"]
    ]
    if "recall_at_40" in metrics:
        low, high = metrics["recall_interval"]
        interval = f"95 % interval {100 * low:.1f} to {100 * high:.1f}"
        facts.append(["recall@40", f"{100 * metrics['recall_at_40']:.2f} % ({interval})"])
    facts += [
        ["objective", f"{config.architecture}, {config.objective}"],
        ["epochs", f"{config.epochs}"],
        ["training time", f"{summary['seconds']:.1f} s"],
        ["samples per second", f"{summary['samples_per_second']:,.0f}"],
        ["seed", f"{config.seed}"],
        ["device", summary["device"]],
    ]
    return facts
