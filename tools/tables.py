"""A table on the terminal and as a page, and what pages of `tools/` look like. Uses the standard library only."""

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


def write_page(page: Path, title: str, text: str, header: Row, rows: Sequence[Row]) -> Path:
    """Write a page with one table under a line of text, and return its path."""
    cells = "".join(
        f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in rows
    )
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in header)
    page.write_text(
        PAGE.format(
            title=html.escape(title),
            text=html.escape(text),
            style=STYLE,
            heads=heads,
            cells=cells,
        ),
        encoding="utf-8",
    )
    return page


# The colors and type of the runs' own pages (shared/src/shared/pages/style.py), which link back here.
STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfc; --ink: #1d1f23; --quiet: #5c626b; --rule: #d9dadd; --wash: #f3f3f1;
  --link: #0067a5; --good: #00805d; --bad: #c84e00; --s1: #0067a5; --s2: #c84e00; --s3: #00805d; --s4: #a8508a;
  --s5: #9a6a00; --s6: #2f8fc4; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #e4e5e3; --quiet: #9ba1a9; --rule: #383c42;
  --wash: #1f2226; --link: #5cb3ee; --good: #35c79a; --bad: #ff8d4f; --s1: #5cb3ee; --s2: #ff8d4f; --s3: #35c79a;
  --s4: #e094c3; --s5: #e3b341; --s6: #9cc9ea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.25rem 4rem; }
header { padding-bottom: 1.25rem; border-bottom: 1px solid var(--rule); }
h1 { font-size: 1.85rem; line-height: 1.2; margin: 0; }
.subtitle { margin: .5rem 0 0; color: var(--quiet); }
a { color: var(--link); }
.wide { overflow-x: auto; margin-top: 1.5rem; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { text-align: left; padding: .35rem 1.2rem .35rem 0; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--quiet); }
pre { padding: .7rem .9rem; background: var(--wash); border-radius: 4px; overflow-x: auto; line-height: 1.45; }
code { font: .8rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
"""
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style></head><body><main>
<header><h1>{title}</h1><p class="subtitle">{text}</p></header>
<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>
</main></body></html>
"""
