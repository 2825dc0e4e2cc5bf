"""The verb `context`: perplexity by length of context for several models, as table, plot and page."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.files import json_text, write_json
from shared.pages.report import Report
from shared.progress import progress_bar
from shared.text.vocabulary import Vocabulary
from shared.torch.device import choose_device
from word_lm.commands.measured import resolve_text
from word_lm.commands.options import ContextOptions
from word_lm.data.dataset import encode_split
from word_lm.measures.context import ContextCurve, context_curve
from word_lm.measures.protocols import finite, unknown_fraction, unknown_warning
from word_lm.model.trained import TrainedModel, load_run

_TITLE, _X, _Y = "Perplexity by context", "words of context", "perplexity"


def run(options: ContextOptions) -> int:
    """Measure and compare trained models (verb `context`)."""
    curves: dict[str, ContextCurve] = {}
    words: list[str] | None = None  # the text of the first run, the same for all
    folders: list[Path] = []  # RUN may be a folder of runs
    vocabulary: Vocabulary | None = None
    for run in options.run:
        trained = load_run(run, device=choose_device(options.device))
        if vocabulary is not None and trained.vocabulary != vocabulary:
            raise UserError(
                f"{run}: has another vocabulary than {options.run[0]}, so their perplexities do not compare. "
                "Name runs on the same data with the same --min-count, --max-vocab-size and --tokenizer."
            )
        vocabulary = trained.vocabulary
        folders.append(trained.path)
        trained, data = resolve_text(trained, options.data, options.split)
        if data is not None:
            ids = encode_split(data, options.split, vocabulary, trained.config.tokenizer)
        else:
            if words is None:
                words = [vocabulary.tokens[word] for word in trained.text().splits[options.split]]
            ids = vocabulary.ids(words)
        warning = unknown_warning(unknown_fraction(ids, vocabulary))
        if warning and not curves:  # the text is the same for all
            print(warning, file=sys.stderr)
        name = _unused_name(trained, curves)
        total = sum(set(options.lengths)) * min(options.tokens, len(ids))
        with progress_bar(total, label=name, unit="token", quiet=options.json) as bar:
            curves[name] = context_curve(
                trained.model,
                ids,
                options.lengths,
                positions=options.tokens,
                max_words=trained.max_words,  # as `evaluate` does
                progress=bar.update,
            )
    if options.json:
        print(json_text(as_dict(curves)))
    else:
        header, rows = table(curves)
        for row in (header, *rows):
            print("  ".join(f"{cell:>20}" for cell in row))
    page = write(curves, options.out or folders[0])
    if not options.json:
        print(f"The page is {page}.")
    return 0


def table(curves: Mapping[str, ContextCurve]) -> tuple[list[str], list[list[Any]]]:
    """Return header and rows, one row per length of context.

    Parameters
    ----------
    curves : mapping of str to ContextCurve
        By name of the model; all with the same lengths.
    """
    first = next(iter(curves.values()))
    header = ["words of context", *curves]
    rows: list[list[Any]] = [
        [length, *(f"{curve.perplexity[i]:.1f}" for curve in curves.values())]
        for i, length in enumerate(first.lengths)
    ]
    return header, [
        *rows,
        ["enough (within 1 %)", *(f"{curve.enough}" for curve in curves.values())],
    ]


def add_to(page: Report, curves: Mapping[str, ContextCurve], png: Path) -> None:
    """Add the plot and the tables to a page.

    Parameters
    ----------
    page : Report
    curves : mapping of str to ContextCurve
        As for `table`.
    png : Path
        Where the plot is written as PNG too.
    """
    first = next(iter(curves.values()))
    caption = (
        f"The same {first.positions:,} tokens (seed {first.seed}) for all, each predicted after exactly this many "
        "words, from an empty state."
    )
    for name, curve in curves.items():
        if curve.max_words is not None and curve.max_words < first.lengths[-1]:
            caption += f" {name} has learned to read {curve.max_words} at once and reads no more."
    plotted = {name: (curve.lengths, curve.perplexity) for name, curve in curves.items()}
    page.lines(_TITLE, _X, _Y, plotted, caption, log_x=True, png=png)
    header, (*rows, _) = table(curves)
    page.table(header, rows)
    enough = ", ".join(f"{curve.enough} ({name})" for name, curve in curves.items())
    page.text(f"Words of context that are enough, within 1 % of the longest: {enough}.")
    gains = ["words of context", *curves]
    rows = [
        # + 0.0 turns -0.0 into 0.0.
        [
            length,
            *(f"{round(c.gain[i], 3) + 0.0:.3f} ± {c.gain_error[i]:.3f}" for c in curves.values()),
        ]
        for i, length in enumerate(first.lengths[:-1])
    ]
    longest = first.lengths[-1]
    page.table(
        gains,
        rows,
        caption=f"Gain from the words further back, up to {longest} (nats per token, with standard error)",
    )


def write(curves: Mapping[str, ContextCurve], folder: str | Path) -> Path:
    """Write `context.json`, `context.png` and `context.html`; return the path of the page.

    Parameters
    ----------
    curves : mapping of str to ContextCurve
        As for `table`.
    folder : str or Path
    """
    folder = Path(folder)
    write_json(folder / "context.json", as_dict(curves))
    page = Report(_TITLE, ", ".join(curves))
    add_to(page, curves, png=folder / "context.png")
    return page.save(folder / "context.html")


def as_dict(curves: Mapping[str, ContextCurve]) -> dict[str, Any]:
    """Return the curves as JSON can hold them."""
    return {
        name: asdict(curve)
        | {"enough": curve.enough, "perplexity": [finite(value) for value in curve.perplexity]}
        for name, curve in curves.items()
    }


def _unused_name(trained: TrainedModel, curves: Mapping[str, ContextCurve]) -> str:
    """Return the model's family, with its folder and a number where another run has the same."""
    family, named = trained.config.model, f"{trained.config.model} ({trained.path.name})"
    names = chain((family, named), (f"{named} {number}" for number in count(2)))
    return next(name for name in names if name not in curves)
