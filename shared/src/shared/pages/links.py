"""Links between the pages of the runs in one folder, and back to the page above them.

A page is written without them; they are filled in when a run ends, when runs are compared, and when an index is
written.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from shared.files import whole_file
from shared.pages.plots import printable
from shared.runs.listing import runs_in

NAV = re.compile(r"<nav>.*?</nav>", re.DOTALL)
_MOST = 12


def link_runs(folder: Path, *, up: Sequence[tuple[str, Path]] = ()) -> None:
    """Let the pages of the runs in a folder link to one another and to the pages above them.

    What cannot be read or written is left as it is.

    Parameters
    ----------
    folder : Path
        Holds run folders.
    up : sequence of (title, page)
        Pages to link back to; the folder's `compare.html` is one where it exists.
    """
    comparison = folder / "compare.html"
    above = [*up, *([("Comparison", comparison)] if comparison.is_file() else [])]
    pages = [run / "report.html" for run in runs_in(folder)]
    pages = [page for page in pages if page.is_file()]
    tasks = {page: _task(page) for page in pages}
    for page in pages:
        sisters = [other for other in pages if other != page and tasks[other] == tasks[page]][
            -_MOST:
        ]
        links = [(title, target) for title, target in above if target != page]
        links += [(other.parent.name, other) for other in sisters]
        _fill(page, links)


def relative_url(target: Path, folder: Path) -> str:
    """Return the link from a page in a folder to a file, whatever characters their names hold."""
    path = os.path.relpath(target, folder).replace(os.sep, "/")
    return quote(os.fsencode(path))


def _fill(page: Path, links: Sequence[tuple[str, Path]]) -> None:
    items = []
    for title, target in links:
        name = html.escape(printable(title))
        items.append(f'<a href="{relative_url(target, page.parent)}">{name}</a>')
    nav = f"<nav>{' '.join(items)}</nav>"
    try:
        before = page.read_text(encoding="utf-8")
        after = NAV.sub(lambda _: nav, before, count=1)
        if after != before:
            with whole_file(page) as file:
                file.write(after)
    except (OSError, UnicodeDecodeError):
        return


def _task(page: Path) -> str:
    """Return the command in a page's title, before the colon."""
    try:
        match = re.search(r"<title>([^:<]*)", page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return match[1] if match else ""
