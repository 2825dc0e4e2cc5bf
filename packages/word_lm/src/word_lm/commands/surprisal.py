"""The verb `surprisal`: a page that shades each word of a text by its surprisal."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

from shared.pages.links import link_page
from shared.pages.report import Report, percent
from shared.text.tokenizers import tokenizer
from shared.torch.device import choose_device
from word_lm.commands.options import SurprisalOptions
from word_lm.data.dataset import END_OF_LINE, read_tokens, require_words
from word_lm.measures.protocols import perplexity, unknown_warning
from word_lm.measures.surprisal import Surprise, surprisal
from word_lm.model.trained import load_run

LEVELS = (2, 4, 7, 10, 13)
"""Bits at which a word's shade deepens."""
SHADE = 10
"""Percent of color that each level adds; with 5 levels the text is readable in light and dark mode."""
MOST_SURPRISING = 20
"""Words in the page's table."""

_CONTEXT = 6  # words of context in the table


def run(options: SurprisalOptions) -> int:
    """Write the page of a text (verb `surprisal`)."""
    trained = load_run(options.run, device=choose_device(options.device))
    config, vocabulary = trained.config, trained.vocabulary
    if options.text is None:
        ids = trained.text().splits["test"][: options.words]
        tokens = [vocabulary.tokens[word] for word in ids]
    else:
        path = Path(options.text)
        pieces = read_tokens(path, tokenizer(config.tokenizer))
        # Read once, so that it may be a pipe.
        most = max(2, options.words)
        first = list(islice(chain.from_iterable(pieces), most + 1))
        if len(first) <= most:  # the whole text; a longer one may begin with blank lines
            require_words(path, vocabulary.ids(first), vocabulary.id(END_OF_LINE))
        tokens = first[: options.words]
    rows = surprisal(
        trained.model, vocabulary, tokens, segment=config.bptt, is_state_carried=config.carry
    )
    bits = sum(row.bits for row in rows)
    path = Path(options.out) if options.out else trained.path / "surprisal.html"
    name = Path(options.text).name if options.text else "test text"
    subtitle = f"{config.model}, {trained.path.name}"
    page = write_page(rows, path, title=f"Surprisal: {name}", subtitle=subtitle)
    link_page(page)
    unknown = sum(row.is_unknown for row in rows) / len(rows)
    print(
        f"{len(rows):,} word{'s' * (len(rows) != 1)}, {bits / len(rows):.2f} bits per word, "
        f"{100 * unknown:.1f} % <unk>. The page is {page}."
    )
    warning = unknown_warning(unknown)
    if warning:
        print(warning, file=sys.stderr)
    return 0


def write_page(
    rows: Sequence[Surprise], path: str | Path, *, title: str = "Surprisal", subtitle: str = ""
) -> Path:
    """Write a page that shows a text shaded by surprisal.

    Pointing at a word, or tapping it, shows its figures at the bottom of the screen. The page needs no script and no
    network.

    Parameters
    ----------
    rows : sequence of Surprise
        At least one. A page of 10,000 words has about 1 MB.
    path : str or Path
    title, subtitle : str
    """
    bits = sum(row.bits for row in rows)
    unknown = sum(row.is_unknown for row in rows) / len(rows)
    page = Report(title, subtitle)
    page.facts(
        [
            ("words, including line ends", f"{len(rows):,}"),
            ("mean surprisal", f"{bits / len(rows):.2f} bits"),
            ("perplexity of this text", f"{perplexity(bits * math.log(2), len(rows)):.1f}"),
            ("<unk>: words that are not in the vocabulary", percent(unknown)),
        ]
    )
    warning = unknown_warning(unknown)
    if warning:
        page.text(warning)
    page.heading("The text")
    page.text(
        "The stronger the color of a word, the less probable it was given the words before. Point at a word, or tap "
        "it, to see its surprisal and the most probable word."
    )
    add_text(page, rows)
    page.heading("Highest surprisal")
    highest = sorted(range(len(rows)), key=lambda i: -rows[i].bits)[:MOST_SURPRISING]
    page.table(
        ["after", "word", "bits", "most probable", "its probability"],
        [
            [
                " ".join(_shown(row.token) for row in rows[max(0, i - _CONTEXT) : i]),
                _shown(rows[i].token),
                f"{rows[i].bits:.1f}",
                _shown(rows[i].guess),
                f"{rows[i].guess_probability:.3f}",
            ]
            for i in highest
        ],
    )
    return page.save(path)


def add_text(page: Report, rows: Sequence[Surprise]) -> None:
    """Add a text shaded by surprisal, with its legend, to a page."""
    page.html(f"<style>{_style()}</style>\n{_legend()}\n{_text(rows)}")


def _text(rows: Sequence[Surprise]) -> str:
    parts = []
    for row in rows:
        figures = f"{_shown(row.token)}: {row.bits:.1f} bits, probability {row.probability:.2g}"
        if not row.is_known:
            figures += " (read as <unk>)"
        figures += f" · most probable: {_shown(row.guess)}, {row.guess_probability:.2g}"
        # Focusable by click or tap, but not a stop of the tab key, which would stop at every word.
        parts.append(
            f'<span tabindex="-1" class="b{_level(row)}" data-n="{html.escape(figures)}">'
            f"{html.escape(_shown(row.token))}</span>"
        )
        if row.token == END_OF_LINE:
            parts.append("<br>")
    return '<p class="words">' + "\n".join(parts) + "</p>"


def _legend() -> str:
    ends = (0, *LEVELS)
    names = [f"{low}–{high}" for low, high in zip(ends, LEVELS, strict=False)] + [f"{LEVELS[-1]}+"]
    marks = " ".join(f'<span class="b{level}">{name}</span>' for level, name in enumerate(names))
    return f'<p class="words legend">bits: {marks}</p>'


def _style() -> str:
    # The page's own colors, so that it follows the reader's light or dark setting.
    shades = "".join(
        f".words .b{level}{{background:color-mix(in srgb,var(--s2) {SHADE * level}%,var(--paper))}}\n"
        for level in range(1, len(LEVELS) + 1)
    )
    return (
        ".words{line-height:1.9;hyphens:none}\n"
        ".words span{padding:.1em .18em;border-radius:.2em}\n"
        f"{shades}"
        ".words span[data-n]:hover,.words span[data-n]:focus{outline:2px solid var(--ink)}\n"
        ".words span[data-n]:hover::after,.words span[data-n]:focus::after{content:attr(data-n);position:fixed;"
        "left:0;right:0;bottom:0;padding:.7rem 1rem;background:var(--ink);color:var(--paper);line-height:1.4;"
        "text-align:center;z-index:1}\n"
    )


def _level(row: Surprise) -> int:
    """Return the shade of a word, 0 to 5."""
    return sum(row.bits >= bits for bits in LEVELS)


def _shown(token: str) -> str:
    return "↵" if token == END_OF_LINE else token
