"""Links between the pages of a run, those of the runs beside it, and the pages above them.

A page is written without them; they are filled in when a run ends, when another page of it is written, when runs are
compared, and when an index is written.
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
REPORT = "report.html"
OTHERS = {
    "attention.html": "Attention",
    "surprisal.html": "Surprisal",
    "explain.html": "Words that matter",
    "mistakes.html": "Mistakes",
}
"""Pages that verbs write beside a run's report, by their default names."""
INDEX = "index.html"
"""Page of `make demo`, two folders above its runs."""
_MOST = 12


def link_runs(folder: Path, *, up: Sequence[tuple[str, Path]] = ()) -> None:
    """Let the pages of the runs in a folder link to one another and to the pages above them.

    What cannot be read or written is left as it is.

    Parameters
    ----------
    folder : Path
        Holds run folders.
    up : sequence of (title, page)
        Pages to link back to. The index of `make demo` and the folder's `compare.html` are where they exist.
    """
    index, comparison = folder.resolve().parent / INDEX, folder / "compare.html"
    above = list(up)
    if _title(index) == "dltasks":
        above.append(("All tasks", index))
    if comparison.is_file():
        above.append(("Comparison", comparison))
    pages = [run / REPORT for run in runs_in(folder)]
    pages = [page for page in pages if page.is_file()]
    tasks = {page: _title(page).partition(":")[0] for page in pages}
    for page in pages:
        sisters = [other for other in pages if other != page and tasks[other] == tasks[page]][
            -_MOST:
        ]
        links = [(title, target) for title, target in above if target != page]
        links += link_others(page)
        links += [(other.parent.name, other) for other in sisters]
        _fill(page, links)


def link_others(page: Path) -> list[tuple[str, Path]]:
    """Let the other pages beside a report link back to it and to one another; return them with their titles."""
    others = [(title, page.with_name(name)) for name, title in OTHERS.items()]
    others = [(title, other) for title, other in others if other.is_file()]
    for _, other in others:
        _fill(other, [("Report", page), *(entry for entry in others if entry[1] != other)])
    return others


def link_page(page: Path) -> None:
    """Link a page that a verb has just written: in a run's folder to the run's report, elsewhere to nothing."""
    if page.with_name(REPORT).is_file():
        link_runs(page.parent.parent)


def relative_url(target: Path, folder: Path) -> str:
    """Return the link from a page in a folder to a file, whatever characters their names hold."""
    try:
        path = os.path.relpath(target, folder).replace(os.sep, "/")
    except ValueError:  # another drive of Windows
        return target.resolve().as_uri()
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


def _title(page: Path) -> str:
    """Return a page's title; empty where there is none."""
    try:
        match = re.search(r"<title>([^<]*)", page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return match[1] if match else ""
