"""The page of a run: perplexities, curves, and generated text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.errors import UserError
from shared.files import shell_quoted
from shared.pages.report import Report, curve, make_page, percent, run_page
from shared.runs.run_directory import RunDirectory
from word_lm.commands.surprisal import add_text
from word_lm.config import TrainConfig
from word_lm.data.wording import detokenize
from word_lm.generate import generate
from word_lm.measures.surprisal import surprisal
from word_lm.model.trained import TrainedModel, load_run

WORDS = 120
SHADED_WORDS = 150
SEED = 1
Curves = dict[str, tuple[list[float], list[float]]]


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
    metrics = summary["metrics"]
    page = run_page(
        "word-lm",
        run,
        _facts(summary, config),
        subtitle=_subtitle(summary["data"]),
        headline=(_ppl(metrics["test_ppl"]), "test perplexity"),
    )
    page.heading("Training")
    page.lines(
        "Perplexity",
        "epoch",
        "perplexity",
        perplexity_curves(records),
        caption="Train: mean since the previous line of the log, with dropout. Valid: without dropout.",
        log_y=True,
        png=out.parent / "perplexity.png",
    )
    page.learning_rate(records)
    trained = load_run(run.path)
    _add_text(page, trained)
    _add_surprisal(page, trained)
    page.run_again("word-lm train", run, config)
    return page.save(out)


def perplexity_curves(records: Sequence[Mapping[str, Any]]) -> Curves:
    """Return (epochs, perplexities) of the training and validation text from a metrics log."""
    curves = {}
    for name, key in (("train", "train_nll"), ("valid", "valid_loss")):
        epochs, losses = curve(records, key)
        if epochs:
            curves[name] = (epochs, [math.exp(min(loss, 700)) for loss in losses])
    return curves


def _add_surprisal(page: Report, trained: TrainedModel) -> None:
    """Add the first words of the test text, shaded by surprisal, if the data is still there."""
    config = trained.config
    try:
        ids = trained.text().splits["test"][:SHADED_WORDS]
    except UserError:
        return
    rows = surprisal(
        trained.model,
        trained.vocabulary,
        [trained.vocabulary.tokens[word] for word in ids],
        segment=config.bptt,
        is_state_carried=config.carry,
    )
    page.heading("Surprisal")
    page.text(
        f"The first {len(rows)} words of the test text. The stronger the color of a word, the less probable it was "
        "given the words before. A page of more words, or of another text with --text FILE:"
    )
    page.code(f"word-lm surprisal {shell_quoted(trained.path.resolve())}")
    add_text(page, rows)


def _add_text(page: Report, trained: TrainedModel) -> None:
    """Add a text that the model generates."""
    text = generate(trained.model, trained.vocabulary, "", WORDS, seed=SEED)
    page.heading("Generated text")
    page.text(detokenize(text.tokens))
    page.text(
        f"Sampled at temperature 1 with seed {SEED}, from the start of a line, without <unk>."
    )


def _subtitle(data: Mapping[str, Any]) -> str:
    made_up = " (made up)" if data["is_sample"] else ""
    return (
        f"{data['name']}{made_up}, {data['tokens']['train']:,} training tokens, "
        f"vocabulary of {data['vocabulary']:,}"
    )


def _ppl(figure: float | None) -> str:
    return "infinite" if figure is None else f"{figure:.2f}"


def _facts(summary: Mapping[str, Any], config: TrainConfig) -> list[tuple[str, Any]]:
    metrics, speed = summary["metrics"], summary["tokens_per_second"]
    head = f"{config.softmax} softmax{', tied' if config.tied else ''}"
    return [
        ("valid perplexity", _ppl(metrics["valid_ppl"])),
        ("protocol", metrics["protocol"]),
        ("<unk> in the test text", percent(metrics.get("test_unknown"))),
        ("model", f"{config.model}, {summary['weights']:,} parameters, {head}"),
        ("steps", f"{summary['steps']:,} (best after {summary['best_step']:,})"),
        ("training time", f"{summary['seconds']:.1f} s"),
        ("tokens per second", f"{speed:,}" if speed else None),
        ("seed", f"{config.seed}"),
        ("device", summary["device"]),
    ]
