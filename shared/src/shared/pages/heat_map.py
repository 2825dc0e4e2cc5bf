"""A heat map as an HTML table: shaded cells with their numbers, readable without colors too.

    page.html(STYLE)                                  # once
    page.html(heat_map("Confusion", labels, labels, fractions, counts))

Shades are one absolute scale, 0 to 1, so that maps can be compared with each other.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

from shared.pages.plots import printable

DARKEST = 0.75
"""Opacity of the shade of 1; text stays readable on it."""

_FEW = 5
"""Columns up to which cells are large."""

STYLE = """<style>
table.heat{border-collapse:collapse;font-size:.82rem;width:auto;min-width:0;border:0}
table.heat th{font-weight:normal;border:0;padding:.15rem .4rem;text-align:right;white-space:nowrap}
table.heat thead th{text-align:center}
table.heat thead th.up{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;padding:.4rem .15rem}
table.heat td{min-width:1.9rem;text-align:center;padding:.15rem .3rem;border:1px solid var(--rule);position:relative}
table.heat[data-few] td{min-width:5.5rem;padding:.55rem .4rem}
table.heat td i{position:absolute;inset:0;background:var(--s1)}
table.heat td b{position:relative;font-weight:normal;font-variant-numeric:tabular-nums}
table.heat thead td,table.heat thead th{border:0}
table.heat .marked{text-decoration:underline dotted}
</style>"""


def heat_map(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    shades: Sequence[Sequence[float]],
    texts: Sequence[Sequence[str]],
    *,
    is_upright: bool = False,
    marked: Collection[str] = (),
) -> str:
    """Return a heat map as HTML for `Report.html`.

    Parameters
    ----------
    title : str
        Heading above it.
    rows, columns : sequence of str
        Names of R rows and C columns.
    shades : R sequences of C floats
        0 (none) to 1 (darkest).
    texts : R sequences of C str
        Cells.
    is_upright : bool
        Names of columns run upwards: for many columns.
    marked : collection of str
        Names to underline.
    """

    def name(text: str) -> str:
        mark = ' class="marked"' if text in marked else ""
        return f"<span{mark}>{_escaped(text)}</span>"

    up = ' class="up"' if is_upright else ""
    few = " data-few" if len(columns) <= _FEW and not is_upright else ""
    heads = "".join(f'<th scope="col"{up}>{name(column)}</th>' for column in columns)
    lines = [
        f'<h3>{_escaped(title)}</h3>\n<div class="scroll"><table class="heat"{few}>',
        f"<thead><tr><td></td>{heads}</tr></thead>\n<tbody>",
    ]
    for row, values, cells in zip(rows, shades, texts, strict=True):
        tds = "".join(
            f'<td><i style="opacity:{DARKEST * min(max(value, 0.0), 1.0):.3f}"></i><b>{_escaped(cell)}</b></td>'
            for value, cell in zip(values, cells, strict=True)
        )
        lines.append(f'<tr><th scope="row">{name(row)}</th>{tds}</tr>')
    return "\n".join([*lines, "</tbody></table></div>"])


def _escaped(text: str) -> str:
    return html.escape(printable(text))
