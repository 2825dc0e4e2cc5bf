"""The page of a run: figures, curves, text that the model writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.pages.report import Report, make_page, save_plot
from shared.runs.run_directory import RunDirectory
from word_lm.config import TrainConfig

WORDS_WRITTEN = 120
SEED = 1


def run(options: ReportOptions) -> int:
    """Make the page of a finished run (verb `report`)."""
    return make_page(options, "word-lm", write_page)


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
    summary = run.summary()
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    out = out or run.path / "report.html"
    records = run.metrics.records()

    page = Report(f"word-lm: {summary['recipe'] or 'own settings'}", _subtitle(summary))
    page.table(["what", "came out"], _facts(summary, config))
    page.heading("Training")
    curves = perplexity_curves(records)
    caption = "Train: mean since the line of the log before, with dropout. Valid: without."
    axes = ("epoch", "perplexity")
    page.lines("Perplexity", *axes, curves, caption=caption, log_y=True)
    save_plot(out.parent / "perplexity.png", "Perplexity", *axes, curves, log_y=True)
    rates = curve(records, "learning_rate")
    if len(set(rates[1])) > 1:
        page.lines("Learning rate", "epoch", "learning rate", {"learning rate": rates})
    page.heading("What it writes")
    page.text(f"Temperature 1, seed {SEED}, <unk> banned, from the start of a line.")
    page.text(_written(run.path))
    page.heading("Run it again")
    page.code(f"word-lm train --config {run.path.name}/config.yaml --out another-folder")
    page.code(configuration.dump(config))
    return page.save(out)


def perplexity_curves(records: list[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Return (epochs, perplexities) of the training and validation text from a metrics log."""
    found = {}
    for name, key in (("train", "train_nll"), ("valid", "valid_loss")):
        epochs, losses = curve(records, key)
        if epochs:
            found[name] = (epochs, [math.exp(min(loss, 700)) for loss in losses])
    return found


def curve(records: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    """Return (epochs, values) of the records that have a figure."""
    kept = [record for record in records if record.get(key) is not None]
    return [record["epoch"] for record in kept], [record[key] for record in kept]


def _written(path: Path) -> str:
    from word_lm.data.wording import detokenize
    from word_lm.generate import generate
    from word_lm.model.trained import load_run

    trained = load_run(path)
    text = generate(trained.model, trained.vocabulary, "", WORDS_WRITTEN, seed=SEED)
    return detokenize(text.tokens)


def _subtitle(summary: dict[str, Any]) -> str:
    data = summary["data"]
    made_up = " (made up)" if data["is_sample"] else ""
    return f"{data['name']}{made_up}, {data['tokens']['train']:,} training tokens, {data['vocabulary']:,} types"


def _facts(summary: dict[str, Any], config: TrainConfig) -> list[list[Any]]:
    metrics, rate = summary["metrics"], summary["tokens_per_second"]
    kind = f"{config.softmax} softmax{', tied' if config.tied else ''}"
    return [
        ["test perplexity", f"{metrics['test_ppl']:.2f}"],
        ["valid perplexity", f"{metrics['valid_ppl']:.2f}"],
        ["protocol", metrics["protocol"]],
        ["model", f"{config.model}, {summary['weights']:,} weights, {kind}"],
        ["updates", f"{summary['steps']:,} (best after {summary['best_step']:,})"],
        ["training time", f"{summary['seconds']:.1f} s"],
        ["tokens per second", f"{rate:,}" if rate else None],
        ["seed", f"{config.seed}"],
        ["device", summary["device"]],
    ]
