"""Perplexity by length of context.

How many words back does a model make use of? The same tokens are predicted again and again, each time after exactly the
last L words, from an empty state. Where the curve gets flat, more context no longer helps this model.

Shapes: N tokens of the text, P predicted positions, L words of context, B windows read beside each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.errors import UserError
from shared.files import whole_file
from shared.pages.report import Report, save_plot
from shared.progress import progress_bar
from shared.text.vocabulary import Vocabulary
from shared.torch.device import choose_device
from shared.torch.evaluation import evaluating
from word_lm.commands.options import ContextOptions
from word_lm.data.dataset import encode_split, load_text
from word_lm.measures.protocols import Ids, as_tokens, perplexity
from word_lm.model.base import LanguageModel
from word_lm.model.trained import TrainedModel, load_run

LENGTHS = (1, 2, 5, 10, 20, 35, 50, 100, 200)
"""Words of context."""
WITHIN = 0.01
"""A context is enough when the perplexity is within this share of that of the longest one."""

_TITLE, _X, _Y = "Perplexity by context", "words of context kept", "perplexity"


@dataclass(frozen=True)
class ContextCurve:
    """Perplexities of one model on the same tokens, by length of context."""

    lengths: tuple[int, ...]
    """Words of context, rising."""
    perplexity: tuple[float, ...]
    gain: tuple[float, ...]
    """Mean nll at this length less that at the longest, in nats: what the words further back are worth."""
    gain_error: tuple[float, ...]
    """Standard error of the gain. The same tokens are compared, so it is far below that of a perplexity."""
    positions: int
    """Tokens predicted."""
    seed: int
    """Of their choice."""
    most: int | None = None
    """Words that the model was shown at most, also where the context is longer; None: all of it."""

    @property
    def enough(self) -> int:
        """The shortest context with a perplexity within 1 % of that of the longest one, and so from there on."""
        limit = self.perplexity[-1] * (1 + WITHIN)
        needed = self.lengths[-1]
        for length, figure in zip(reversed(self.lengths), reversed(self.perplexity), strict=True):
            if figure > limit:
                break
            needed = length
        return needed


def context_curve(
    model: LanguageModel,
    ids: Ids,
    lengths: Sequence[int] = LENGTHS,
    *,
    positions: int = 2000,
    seed: int = 1,
    most: int | None = None,
    batch_tokens: int = 8192,
    progress: Callable[[int], object] | None = None,
) -> ContextCurve:
    """Measure perplexity after exactly L words, for several L.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
    lengths : sequence of int
        Words of context, each >= 1.
    positions : int
        Tokens to predict, drawn without putting back from those that have the longest context; all, if there are fewer.
    seed : int
        Of that draw.
    most : int, optional
        Show the last so many words of a longer context only, >= 1: for a model that learned no places further on and
        would not be asked for them in use either. Its curve is flat from there.
    batch_tokens : int
        Tokens read at once, about. A matter of speed and memory only.
    progress : callable, optional
        Told how many tokens were read since the last call.

    Raises
    ------
    UserError
        A length or `positions` is below 1, or the text is not longer than the longest context.

    References
    ----------
    Khandelwal et al. 2018, arXiv 1805.04623: the question, and truncated context as the way to ask it.
    """
    lengths = sorted(set(lengths))
    if not lengths or lengths[0] < 1 or positions < 1:
        raise UserError(
            f"Context lengths {lengths}, {positions} positions. Expected numbers of 1 or more."
        )
    tokens = as_tokens(model, ids)
    targets = drawn_positions(len(tokens), lengths[-1], positions, seed)  # (P,)
    at = torch.from_numpy(targets).to(tokens.device)
    nll: list[NDArray[np.float64]] = []
    with evaluating(model):
        for place, length in enumerate(lengths):
            if place and most is not None and lengths[place - 1] >= most:
                nll.append(nll[-1])
                continue
            parts = []
            shown = length if most is None else min(length, most)
            back = torch.arange(-shown, 0, device=tokens.device)[:, None]  # (L, 1)
            for group in at.split(max(1, batch_tokens // shown)):
                hidden, _ = model(tokens[group + back], model.init_state(len(group)))  # (L, B, H)
                parts.append(model.nll(hidden[-1], tokens[group]))
                if progress:
                    progress(shown * len(group))
            nll.append(torch.cat(parts).double().cpu().numpy())
    gains = [each - nll[-1] for each in nll]  # (P,) each
    return ContextCurve(
        lengths=tuple(lengths),
        perplexity=tuple(perplexity(float(each.sum()), len(each)) for each in nll),
        gain=tuple(float(gain.mean()) for gain in gains),
        gain_error=tuple(float(gain.std() / np.sqrt(len(gain))) for gain in gains),
        positions=len(targets),
        seed=seed,
        most=most,
    )


def drawn_positions(tokens: int, longest: int, positions: int, seed: int) -> NDArray[np.int64]:
    """Return the places of the tokens to predict, rising: each has `longest` tokens before it.

    Parameters
    ----------
    tokens : int
        N.
    longest, positions, seed
        See `context_curve`.

    Raises
    ------
    UserError
        No token has so many before it.
    """
    if tokens <= longest:
        raise UserError(
            f"The text has {tokens} tokens, too few for a context of {longest}. "
            f"Give a text of {longest + 1} tokens or more, or shorter lengths."
        )
    possible = tokens - longest
    drawn = np.random.default_rng(seed).choice(
        possible, size=min(positions, possible), replace=False
    )
    return np.sort(drawn.astype(np.int64)) + longest


def table(curves: Mapping[str, ContextCurve]) -> tuple[list[str], list[list[Any]]]:
    """Return header and rows, one row a length of context.

    Parameters
    ----------
    curves : mapping of str to ContextCurve
        By name of the model; all of the same lengths.
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


def add_to(page: Report, curves: Mapping[str, ContextCurve]) -> None:
    """Add plot and table to a page.

    Parameters
    ----------
    page : Report
    curves : mapping of str to ContextCurve
        As for `table`.
    """
    first = next(iter(curves.values()))
    caption = (
        f"The same {first.positions:,} tokens (seed {first.seed}), each predicted after exactly so many words, "
        "from an empty state."
    )
    for name, curve in curves.items():
        if curve.most is not None and curve.most < first.lengths[-1]:
            caption += (
                f" {name} reads {curve.most} words at once and is shown the last {curve.most}."
            )
    page.lines(_TITLE, _X, _Y, _plotted(curves), caption, log_x=True)
    page.table(*table(curves), caption=_TITLE)
    header = ["words of context", *curves]
    rows = [
        [length, *(f"{c.gain[i]:.3f} ± {c.gain_error[i]:.3f}" for c in curves.values())]
        for i, length in enumerate(first.lengths[:-1])
    ]
    longest = first.lengths[-1]
    page.table(
        header,
        rows,
        caption=f"What the words further back, up to {longest}, are worth (nats a token)",
    )


def write(curves: Mapping[str, ContextCurve], folder: str | Path) -> Path:
    """Write `context.json`, `context.png` and `context.html`, and return the page's path.

    Parameters
    ----------
    curves : mapping of str to ContextCurve
        As for `table`.
    folder : str or Path
    """
    folder = Path(folder)
    content = {name: asdict(curve) | {"enough": curve.enough} for name, curve in curves.items()}
    with whole_file(folder / "context.json") as file:
        file.write(json.dumps(content, indent=2) + "\n")
    save_plot(folder / "context.png", _TITLE, _X, _Y, _plotted(curves), log_x=True)
    page = Report(_TITLE, ", ".join(curves))
    add_to(page, curves)
    return page.save(folder / "context.html")


def _plotted(
    curves: Mapping[str, ContextCurve],
) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    return {name: (curve.lengths, curve.perplexity) for name, curve in curves.items()}


def run(options: ContextOptions) -> int:
    """Measure and compare trained models (verb `context`)."""
    curves: dict[str, ContextCurve] = {}
    words: list[str] | None = (
        None  # of the first run's own data: one text for all, in each model's own ids
    )
    vocabulary: Vocabulary | None = None
    for path in options.models:
        trained = load_run(path, device=choose_device("auto"))
        if vocabulary is not None and trained.vocabulary != vocabulary:
            raise UserError(
                f"{path}: has another vocabulary than {options.models[0]}, so their perplexities do not compare. "
                "Name runs on the same data with the same --min-count, --max-vocab-size and --tokenizer."
            )
        vocabulary = trained.vocabulary
        if options.data is not None:
            ids = encode_split(
                options.data, options.split, trained.vocabulary, trained.config.tokenizer
            )
        else:
            if words is None:
                text = load_text(trained.config)
                words = [text.vocabulary.tokens[word] for word in text.splits[options.split]]
            ids = trained.vocabulary.ids(words)
        name = _unused_name(trained, curves)
        most = None if trained.config.carry else trained.config.bptt  # as `evaluate` does
        reads = sum(set(options.lengths)) * min(options.tokens, len(ids))
        with progress_bar(reads, label=name, unit="token", quiet=options.json) as bar:
            curves[name] = context_curve(
                trained.model,
                ids,
                options.lengths,
                positions=options.tokens,
                most=most,
                progress=bar.update,
            )
    if options.json:
        print(json.dumps({name: asdict(c) | {"enough": c.enough} for name, c in curves.items()}))
    else:
        header, rows = table(curves)
        for row in (header, *rows):
            print("  ".join(f"{cell:>20}" for cell in row))
    page = write(curves, options.out or options.models[0])
    if not options.json:
        print(f"The page is {page}.")
    return 0


def _unused_name(trained: TrainedModel, curves: Mapping[str, ContextCurve]) -> str:
    """Return the model's kind; its folder too, and a number, where that is needed to tell it from others."""
    kind, named = trained.config.model, f"{trained.config.model} ({trained.path.name})"
    names = chain((kind, named), (f"{named} {number}" for number in count(2)))
    return next(name for name in names if name not in curves)
