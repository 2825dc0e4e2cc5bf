"""The verb `study`: the coursework's question, answered by measurement.

How do recurrent, attention and convolution models differ in capturing context? One model of each family is trained with
the same data, optimizer and number of steps; then each predicts the same test words from contexts of several lengths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared.command.options import RunOptions
from shared.files import json_text, write_json
from shared.pages.report import Report
from shared.runs.run_directory import RunDirectory
from shared.torch.device import choose_device
from word_lm.commands.context import add_to, as_dict, table
from word_lm.commands.options import StudyConfig, StudyOptions
from word_lm.config import TrainConfig
from word_lm.measures.context import ContextCurve, context_curve
from word_lm.model.convolution import GatedConvolution
from word_lm.model.trained import load_run
from word_lm.train import train

FAMILIES: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm"},
    "transformer": {"model": "transformer", "layers": 2, "carry": False},
    "gated_cnn": {"model": "gated_cnn", "layers": 4},
}
"""Settings of each model; all others are those given."""
RATES = {"lstm": 1.0, "transformer": 0.25, "gated_cnn": 0.5}
"""Factors on the learning rate: attention and convolutions diverge at rates that suit an LSTM."""


def run(config: StudyConfig, options: StudyOptions) -> int:
    """Train a model of each family, measure their use of context, and write the page (verb `study`)."""
    out = Path(options.out)
    quiet = options.quiet or options.json
    figures: dict[str, dict[str, Any]] = {}
    curves: dict[str, ContextCurve] = {}
    for name in options.models:
        own = FAMILIES[name] | {"learning_rate": RATES[name] * config.learning_rate}
        settings = TrainConfig(**asdict(config) | {"recipe": None} | own)
        train(settings, RunOptions(out=str(out / name), resume=True, quiet=quiet))
        summary = RunDirectory.read(out / name, task="word-lm").summary()
        figures[name] = summary["metrics"] | {
            key: summary[key] for key in ("weights", "steps", "seconds")
        }
        trained = load_run(out / name, device=choose_device(config.device))
        curves[name] = context_curve(
            trained.model,
            trained.text().splits["test"],
            options.lengths,
            positions=options.tokens,
            max_words=trained.max_words,
        )
        if isinstance(trained.model, GatedConvolution):
            figures[name]["receptive_field"] = trained.model.receptive_field
    result = {name: figures[name] | {"context": curve} for name, curve in as_dict(curves).items()}
    write_json(out / "study.json", result)
    page = write_page(out / "study.html", figures, curves)
    if options.json:
        print(json_text(result))
        return 0
    header, rows = table(curves)
    for row in (header, *rows):
        print("  ".join(f"{cell:>20}" for cell in row))
    print(f"The page is {page}.")
    return 0


def write_page(
    path: Path, figures: Mapping[str, Mapping[str, Any]], curves: Mapping[str, ContextCurve]
) -> Path:
    """Write table, plot and discussion as a page, and the plot as PNG beside it."""
    page = Report(
        "word-lm: study", "recurrent, attention and convolution models in capturing context"
    )
    page.heading("Models")
    page.text(
        "The same data, optimizer and steps for all; one run each, so compare shapes rather than levels."
    )
    header = [
        "model",
        "parameters",
        "steps",
        "valid perplexity",
        "test perplexity",
        "training time",
    ]
    page.table(
        header,
        [
            [
                name,
                f"{one['weights']:,}",
                f"{one['steps']:,}",
                one["valid_ppl"],
                one["test_ppl"],
                f"{one['seconds']:.0f} s",
            ]
            for name, one in figures.items()
        ],
    )
    page.heading("Perplexity by length of context")
    add_to(page, curves, png=path.parent / "context.png")
    page.heading("Discussion")
    for paragraph in discussion(figures, curves):
        page.text(paragraph)
    return page.save(path)


def discussion(
    figures: Mapping[str, Mapping[str, Any]], curves: Mapping[str, ContextCurve]
) -> list[str]:
    """Return the answer to the question in paragraphs; every figure in it is one of those measured."""
    paragraphs = []
    for name, curve in curves.items():
        start = (
            f"{name}: perplexity falls from {curve.perplexity[0]:.1f} with {_count(curve.lengths[0])} of context to "
            f"{curve.perplexity[-1]:.1f} with {curve.lengths[-1]}. "
            f"From {_count(curve.enough)} on it is within 1 % of the last figure. "
        )
        paragraphs.append(start + _explanation(name, figures[name], curve))
    by_reach = sorted(curves, key=lambda name: -curves[name].enough)
    ranking = ", ".join(f"{name} ({_count(curves[name].enough)})" for name in by_reach)
    paragraphs.append(
        f"Ranked by the context they make use of: {ranking}. The gains and their standard errors are in the table "
        "above; a gain of less than two standard errors is not evidence of longer context."
    )
    return paragraphs


def _explanation(name: str, figures: Mapping[str, Any], curve: ContextCurve) -> str:
    """Say what the architecture allows, and whether the curve shows it."""
    if name == "gated_cnn":
        reach = figures["receptive_field"]
        beyond = [p for n, p in zip(curve.lengths, curve.perplexity, strict=True) if n > reach]
        flat = bool(beyond) and math.isclose(min(beyond), max(beyond), rel_tol=1e-4)
        shown = "the curve is flat beyond it" if flat else "no length beyond it was measured"
        return (
            f"Convolutions see a fixed window: {reach + 1} words in all, {reach} before the present one. Whatever was "
            f"further back cannot change a prediction; {shown}. Within the window all words are read in parallel, and "
            "each layer widens it."
        )
    if name == "transformer":
        return (
            "Attention reaches every word of its segment in one step, near or far, at a cost that grows with the "
            f"square of the segment. It was trained on segments of {curve.max_words} words from an empty state, so its "
            "curve ends there. Order reaches it only through position encodings."
        )
    half = len(curve.lengths) // 2
    return (
        "A recurrent state has no limit of length, but everything must fit into it, and each step rewrites it: order "
        f"and nearness are built in, and distant words fade. Words further back than "
        f"{curve.lengths[half]} are worth {curve.gain[half]:.3f} ± {curve.gain_error[half]:.3f} nats per token to it."
    )


def _count(words: int) -> str:
    return f"{words} word{'s' * (words != 1)}"
