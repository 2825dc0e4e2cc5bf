"""The index page of `make demo`: a card for each run, with its figure, its plot and its next command.

A card takes headline and plot from the run's own page. Uses the standard library only.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tables import STYLE

LINES = 8
"""Lines of a command's output that a card shows, at the most."""


@dataclass(frozen=True)
class Card:
    """What one card shows.

    Parameters
    ----------
    task, recipe, metric, expected, got, seconds, verdict : str
        The row of the table.
    page : str
        The run's page, from the folder of the index.
    headline, plot : str
        HTML and SVG out of that page; empty where it has none.
    command, output : str
        What uses the model, and what it prints.
    """

    task: str
    recipe: str
    metric: str
    expected: str
    got: str
    seconds: str
    verdict: str
    page: str
    headline: str
    plot: str
    command: str
    output: str


def card_of(run: Path, out: Path, row: Sequence[str], command: str, output: str) -> Card:
    """Return the card of a run: its row of the table, what its own page shows first, and its next command."""
    page = run / "report.html"
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    headline = re.search(r'<p class="headline">(.*?)</p>', text, re.DOTALL)
    plot = re.search(r'<svg class="plot".*?</svg>', text, re.DOTALL)
    lines = [part for line in output.strip().splitlines() for part in _wrapped(line)]
    return Card(
        *row,
        page=page.relative_to(out).as_posix(),
        headline=headline[1] if headline else "",
        plot=_with_own_ids(plot[0], f"{row[0]}-{row[1]}") if plot else "",
        command=command,
        output="\n".join([*lines[:LINES], *(["..."] if len(lines) > LINES else [])]),
    )


def write_cards(page: Path, title: str, text: str, cards: Sequence[Card]) -> Path:
    """Write the index page and return its path."""
    body = "".join(_html(card) for card in cards)
    page.write_text(
        PAGE.format(
            title=html.escape(title), text=html.escape(text), style=STYLE + GRID, body=body
        ),
        encoding="utf-8",
    )
    return page


def _html(card: Card) -> str:
    # Headline and plot are HTML already, made by our own pages; all else is text.
    e = {name: html.escape(value) for name, value in vars(card).items()}
    figure = card.headline or f"<strong>{e['got']}</strong> <span>{e['metric']}</span>"
    plot = f"<figure>{card.plot}</figure>" if card.plot else ""
    return (
        f'<section><h2><a href="{e["page"]}">{e["task"]}</a> <span>{e["recipe"]}</span></h2>'
        f'<p class="headline">{figure}</p>{plot}'
        f'<p class="check"><b class="{e["verdict"].replace(" ", "-")}">{e["verdict"]}</b> {e["metric"]} {e["got"]}, '
        f"expected {e['expected']}; {e['seconds']} s</p>"
        f'<pre class="command"><code>$ {e["command"]}</code></pre><pre><code>{e["output"]}</code></pre>'
        f'<p><a href="{e["page"]}">Report</a></p></section>'
    )


def _wrapped(line: str) -> list[str]:
    """Return the lines of running text; a line of a table stays whole."""
    return textwrap.wrap(line, 46) if len(line) > 100 else [line]


def _with_own_ids(svg: str, prefix: str) -> str:
    """Return an SVG whose ids differ from those of the page's other ones."""
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", svg)


GRID = """
main { max-width: 72rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1.5rem; margin-top: 2rem; }
section { border: 1px solid var(--rule); border-radius: 8px; padding: 1.1rem 1.25rem .4rem; min-width: 0; }
section h2 { margin: 0; font-size: 1.1rem; }
section h2 span { color: var(--quiet); font-weight: 400; margin-left: .3rem; }
.headline { margin: .6rem 0 .8rem; line-height: 1.15; }
.headline strong { font-size: 2rem; font-weight: 650; letter-spacing: -.02em; }
.headline span { color: var(--quiet); margin-left: .3rem; font-size: .9rem; }
figure { margin: 0 0 .8rem; }
figure svg { display: block; width: 100%; height: auto; }
svg.plot text { font-family: inherit !important; fill: currentColor; }
pre { margin: 0; border-radius: 0 0 4px 4px; }
pre.command { white-space: pre-wrap; overflow-wrap: anywhere; padding-bottom: 0; border-radius: 4px 4px 0 0; }
.check { font-size: .9rem; color: var(--quiet); }
.check b { color: var(--good); }
.check b.OFF { color: var(--bad); }
.check b.no-data { color: var(--quiet); }
"""
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style></head><body><main>
<header><h1>{title}</h1><p class="subtitle">{text}</p></header>
<div class="grid">{body}</div>
</main></body></html>
"""
