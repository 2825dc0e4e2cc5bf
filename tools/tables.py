"""A table on the terminal and as a page: what `demo.py` and `bench.py` share. Uses the standard library only."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

Row = Sequence[str]


def print_table(header: Row, rows: Sequence[Row]) -> None:
    """Print rows under the header, columns aligned."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print()
    for row in (header, *rows):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def write_page(
    page: Path,
    title: str,
    text: str,
    header: Row,
    rows: Sequence[Row],
    links: Sequence[tuple[str, Path]] = (),
) -> Path:
    """Write a page with one table and links to reports under it, and return its path.

    Parameters
    ----------
    page : Path
    title, text : str
        Heading, and a line above the table.
    header, rows : sequences of str
    links : sequence of (name, path from the page)
    """
    cells = "".join(
        f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in rows
    )
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in header)
    items = "".join(
        f'<li><a href="{html.escape(str(path))}">{html.escape(name)}</a></li>'
        for name, path in links
    )
    page.write_text(
        PAGE.format(
            title=html.escape(title),
            text=html.escape(text),
            heads=heads,
            cells=cells,
            links=f"<h2>Reports</h2><ul>{items}</ul>" if items else "",
        ),
        encoding="utf-8",
    )
    return page


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8885; white-space: nowrap; }}
</style></head><body>
<h1>{title}</h1>
<p>{text}</p>
<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>
{links}
</body></html>
"""
