"""The verb `explain`: a page with reviews whose words are colored by their effect on the prediction."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.commands.options import ExplainOptions
from imdb_sentiment.data.dataset import read_part
from imdb_sentiment.data.text import Span
from imdb_sentiment.model.trained import TrainedModel, load
from imdb_sentiment.predict import explained, word_effects
from shared.pages.links import link_page
from shared.pages.report import Report
from shared.text.text_files import read_pieces

STRONGEST = 8


def run(options: ExplainOptions) -> int:
    """Write a page with reviews whose words are colored (verb `explain`)."""
    trained = load(options.run, device=options.device)
    texts = _texts(options, trained)
    out = Path(options.out) if options.out else trained.path / "explain.html"
    page = Report("The words that matter", _subtitle(options, trained))
    page.html(STYLE)
    for name, text in texts:
        probabilities = trained.probabilities([text])[0]
        spans, effects = word_effects(
            trained.classifier, text, probabilities, method=options.method, most=options.words
        )
        label, probability = explained(trained.classifier, probabilities)
        verdict = f"probability of {label} {probability:.4f}"
        print(f"{name}: {verdict}; {_strongest(text, spans, effects)}")
        page.heading(name)
        page.text(f"{verdict}.")
        page.html(colored(text, spans, effects))
        page.table(["word", "position", "effect on the log-odds"], _rows(text, spans, effects))
    page.save(out)
    link_page(out)
    print(f"The page is {out}.")
    return 0


def colored(text: str, spans: Sequence[Span], effects: NDArray[np.float64]) -> str:
    """Return a review as escaped HTML, each word colored by the size of its effect."""
    top = float(np.abs(effects).max(initial=0.0)) or 1.0
    parts, end = [], 0
    for (start, stop), effect in zip(spans, effects.tolist(), strict=True):
        if start < end or start == stop:
            continue
        parts.append(html.escape(text[end:start]))
        strength = round(100 * abs(effect) / top)
        kind = "for" if effect > 0 else "against"
        word = html.escape(text[start:stop])
        # The title gives the effect to readers who do not see the color.
        parts.append(
            f'<span class="{kind}" style="--w:{strength}%" title="{effect:+.2f}">{word}</span>'
            if strength >= 5
            else word
        )
        end = stop
    parts.append(html.escape(text[end:]))
    body = "".join(parts).replace("&lt;br /&gt;", "<br>")
    return f'<p class="review">{body}</p>'


def _texts(options: ExplainOptions, trained: TrainedModel) -> list[tuple[str, str]]:
    if options.text is not None:
        return [("Your review", options.text)]
    if options.file is not None:
        path = Path(options.file)
        return [(path.name, "".join(read_pieces(path, expected="a text file that is one review")))]
    reviews = read_part(trained.config, "test", classes=trained.label_classes)
    # Evenly spaced, so that both classes are there.
    positions = np.linspace(0, len(reviews) - 1, options.reviews).round().astype(np.int64)
    chosen = reviews.take(np.unique(positions))
    return list(zip(chosen.names, chosen.texts, strict=True))


def _subtitle(options: ExplainOptions, trained: TrainedModel) -> str:
    how = {
        "occlusion": "occlusion, the change without the word",
        "gradient": "gradient times input",
    }
    return (
        f"{trained.config.model}: {how[options.method]}, in log-odds. "
        "Blue raises the probability, orange lowers it. Each effect is that of a word at one position in the text, "
        "so a word that occurs again may have another."
    )


def _strongest(text: str, spans: Sequence[Span], effects: NDArray[np.float64]) -> str:
    rows = _rows(text, spans, effects)
    listed = ", ".join(f"{word} (position {position}) {effect}" for word, position, effect in rows)
    return listed or "no words"


def _rows(text: str, spans: Sequence[Span], effects: NDArray[np.float64]) -> list[list[str]]:
    order = np.argsort(-np.abs(effects), kind="stable")[:STRONGEST]
    return [[text[slice(*spans[i])], f"{i + 1}", f"{effects[i]:+.2f}"] for i in order.tolist()]


STYLE = (
    "<style>.review{overflow-wrap:anywhere}.review span{border-radius:3px;padding:0 .1em}"
    ".review .for{background:color-mix(in srgb,var(--s1) calc(var(--w)*.55),transparent)}"
    ".review .against{background:color-mix(in srgb,var(--s2) calc(var(--w)*.55),transparent)}"
    "@media print{.review span{print-color-adjust:exact;-webkit-print-color-adjust:exact}}</style>"
)
