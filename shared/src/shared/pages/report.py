"""A report as one HTML file: text, tables and plots, no network, no script.

The page follows the reader's light or dark setting, fits a phone and prints. Its plots are inline SVG from
`shared.pages.plots` and need matplotlib (extra `report`); a page without plots does not. The same calls give the same
bytes.

`run_page` begins the page of a run in the way all five tasks do; `Report.run_again` ends it.
"""

from __future__ import annotations

import base64
import html
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.command import config as configuration
from shared.command.options import ReportOptions
from shared.files import shell_quoted, whole_file
from shared.pages import plots
from shared.pages.links import link_runs
from shared.pages.plots import Curves, save_plot
from shared.pages.style import PAGE, style_sheet
from shared.runs.listing import environment_of
from shared.runs.run_directory import RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Report", "curve", "make_page", "percent", "run_page", "save_plot"]


def make_page(options: ReportOptions, task: str, write_page: Callable[..., Path]) -> int:
    """Make the page of a finished run (verb `report` of every command).

    Parameters
    ----------
    options : ReportOptions
    task : str
        The command.
    write_page : function (RunDirectory, out=Path or None) -> Path
    """
    run = RunDirectory.read(options.run, task=task)
    out = Path(options.out) if options.out else None
    if out is not None and out.exists() and not out.is_file() and not out.is_dir():
        # A pipe or a device gets the page alone: no plots beside it.
        with tempfile.TemporaryDirectory(prefix="dltasks-page-") as folder:
            page = write_page(run, out=Path(folder) / "report.html")
            with whole_file(out, "wb") as file:
                file.write(page.read_bytes())
        return 0
    page = write_page(run, out=out)
    if out is None:
        link_runs(page.parent.parent)
    print(f"The page is {page}.")
    return 0


def run_page(
    command: str,
    run: RunDirectory,
    facts: Sequence[tuple[str, Any] | list[Any]],
    *,
    subtitle: str = "",
    headline: tuple[str, str] | None = None,
) -> Report:
    """Begin the page of a run that has ended: its recipe as the title, the figure that matters, then the others.

    Parameters
    ----------
    command : str
        What the user types, for example `word-lm`.
    run : RunDirectory
    facts : sequence of (name, value)
        Everything else worth a line; a value of None is a dash.
    subtitle : str
        Data set and sizes, in one line.
    headline : (value, name), optional
        The one figure a reader looks for first: `("73.77 %", "test accuracy")`.
    """
    page = Report(f"{command}: {run.summary()['recipe'] or 'own settings'}", subtitle)
    if headline is not None:
        page.headline(*headline)
    page.facts(facts)
    return page


def curve(
    records: Sequence[Mapping[str, Any]], key: str, scale: float = 1.0
) -> tuple[list[float], list[float]]:
    """Return (epochs, values) of those records of a metrics log that have a figure, values times `scale`."""
    kept = [record for record in records if record.get(key) is not None]
    return [record["epoch"] for record in kept], [scale * record[key] for record in kept]


def percent(fraction: float | None) -> str | None:
    """Return 0.9123 as `91.23 %`, and None as it is."""
    return None if fraction is None else f"{100 * fraction:.2f} %"


class Report:
    """A page that grows from top to bottom; everything given is escaped, except in `html`.

    Parameters
    ----------
    title : str
    subtitle : str
        One line below the title.
    lang : str
        Language tag of the page, for hyphenation and readers: "en", "zh-CN".
    """

    def __init__(self, title: str, subtitle: str = "", lang: str = "en") -> None:
        self._title, self._lang = title, lang
        self._blocks: list[str] = []
        self._plots = 0
        self._header = f"<h1>{_esc(title)}</h1>" + (
            f'\n<p class="subtitle">{_esc(subtitle)}</p>' if subtitle else ""
        )

    def heading(self, text: str) -> None:
        """Start a section."""
        self._blocks.append(f"<h2>{_esc(text)}</h2>")

    def text(self, paragraph: str) -> None:
        """Add a paragraph."""
        self._blocks.append(f"<p>{_esc(paragraph)}</p>")

    def code(self, text: str) -> None:
        """Add preformatted text, such as a command."""
        self._blocks.append(f"<pre><code>{_esc(text)}</code></pre>")

    def headline(self, value: str, name: str) -> None:
        """Add one large figure with its name."""
        self._blocks.append(
            f'<p class="headline"><strong>{_esc(value)}</strong> <span>{_esc(name)}</span></p>'
        )

    def facts(self, rows: Sequence[tuple[str, Any] | list[Any]]) -> None:
        """Add names and their values, a pair a line; None is a dash."""
        if not rows:
            return
        lines = [
            f'<tr><th scope="row">{_esc(row[0])}</th><td>{_esc(value)}</td></tr>'
            for row, (_, value) in zip(rows, _texts(rows), strict=True)
        ]
        self._blocks.append(
            '<table class="facts"><tbody>\n' + "\n".join(lines) + "\n</tbody></table>"
        )

    def folded(self, summary: str, text: str) -> None:
        """Add preformatted text that is shown when the reader opens it."""
        self._blocks.append(
            f"<details><summary>{_esc(summary)}</summary>\n<pre><code>{_esc(text)}</code></pre></details>"
        )

    def links(self, title: str, targets: Sequence[tuple[str, str]]) -> None:
        """Add a line of links (`shared.pages.links.relative_url`). Nothing where there are none."""
        if targets:
            items = [f'<a href="{_esc(url)}">{_esc(name)}</a>' for name, url in targets]
            self._blocks.append(f'<p class="links">{_esc(title)}: {", ".join(items)}</p>')

    def learning_rate(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add the plot of the learning rate, if it ever changes."""
        epochs, rates = curve(records, "learning_rate")
        if len(set(rates)) > 1:
            self.lines(
                "Learning rate", "epoch", "learning rate", {"learning rate": (epochs, rates)}
            )

    def run_again(self, start: str, run: RunDirectory, config: Any) -> None:
        """Add the commands that train once more with the same settings, and the settings, folded.

        Parameters
        ----------
        start : str
            How training starts, for example `word-lm train`.
        run : RunDirectory
        config : dataclass
        """
        self.heading("Run it again")
        lines = [f"{start} --config {shell_quoted(run.path.resolve() / 'config.yaml')}"]
        folder = environment_of(run.path).get("folder")  # older runs have none
        # A relative --data means the folder that training was started in.
        if folder is not None and any(
            isinstance(value, str) and not os.path.isabs(value) and Path(folder, value).exists()
            for value in vars(config).values()
        ):
            lines.insert(0, f"cd {shell_quoted(folder)}")
        self.code("\n".join(lines))
        self.folded("All settings", configuration.dump(config))

    def html(self, raw: str) -> None:
        """Add HTML as it is. The caller escapes; nothing in it may load from elsewhere."""
        self._blocks.append(raw)

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = ""
    ) -> None:
        """Add a table; columns of numbers are set to the right.

        Parameters
        ----------
        header : sequence of str
        rows : sequence of rows
            Each as long as the header. Numbers are rounded to 4 significant digits, None is a
            dash, text stays as it is.
        caption : str
            Above the table.
        """
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"a row has {len(row)} cells, the header {len(header)}")
        numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
        marks = [' class="n"' if is_numeric else "" for is_numeric in numeric]
        lines = ['<div class="scroll"><table>']
        if caption:
            lines.append(f"<caption>{_esc(caption)}</caption>")
        cells = "".join(
            f'<th scope="col"{mark}>{_esc(name)}</th>'
            for name, mark in zip(header, marks, strict=True)
        )
        lines.append(f"<thead><tr>{cells}</tr></thead>\n<tbody>")
        for row in _texts(rows):
            cells = "".join(
                f"<td{mark}>{_esc(value)}</td>" for value, mark in zip(row, marks, strict=True)
            )
            lines.append(f"<tr>{cells}</tr>")
        lines.append("</tbody></table></div>")
        self._blocks.append("\n".join(lines))

    def lines(
        self, title: str, xlabel: str, ylabel: str, curves: Curves, caption: str = "", *,
        log_x: bool = False, log_y: bool = False, png: Path | None = None,
    ) -> None:  # fmt: skip
        """Add a line plot.

        Parameters
        ----------
        title, xlabel, ylabel, caption : str
        curves : dict of name to (xs, ys)
            Values that are not finite leave a gap.
        log_x, log_y : bool
            Logarithmic axes.
        png : Path, optional
            Where to write the same plot as a file of its own.
        """
        if png is not None:
            save_plot(png, title, xlabel, ylabel, curves, log_x=log_x, log_y=log_y)
        if plots.is_summed_up(curves):
            caption = f"{caption} Line: mean; band: lowest to highest value.".strip()
        self._plot(title, plots.line_figure(xlabel, ylabel, curves, log_x, log_y), caption)

    def scatter(
        self, title: str, xs: Sequence[float], ys: Sequence[float], labels: Sequence[str],
        caption: str = "", *, xlabel: str = "", ylabel: str = "", png: Path | None = None,
    ) -> None:  # fmt: skip
        """Add a map of labeled points, for example words in the plane; pointing at one shows its label.

        Labels for which there is no free space are left out (their points stay), and the caption says how many; so give
        the important ones first. Without axis labels the axes carry no numbers. `png` is where to write the same plot
        as a file of its own.
        """
        figure, left_out = plots.scatter_figure(xs, ys, labels, xlabel, ylabel)
        if png is not None:
            plots.save_figure(png, figure)
        if left_out:
            note = f"{left_out} of {len(labels)} labels are left out where they would overlap"
            caption = f"{caption} {note}; point at a dot to read it.".strip()
        self._plots += 1
        drawing = plots.with_hover(plots.svg(figure, title, f"p{self._plots}-"), labels)
        self._figure(drawing, caption, title)

    def bars(
        self, title: str, values: Mapping[str, float], xlabel: str = "", caption: str = "", *,
        errors: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """Add horizontal bars, in the order given, each with its value; `errors` are half-lengths of the whiskers."""
        self._plot(title, plots.bar_figure(values, xlabel, errors or {}), caption)

    def image(self, png: bytes, alt: str, caption: str = "") -> None:
        """Add a PNG image, kept inside the page; `alt` says what it shows."""
        data = base64.b64encode(png).decode("ascii")
        self._figure(f'<img alt="{_esc(alt)}" src="data:image/png;base64,{data}">', caption)

    def save(self, path: str | Path) -> Path:
        """Write the page; a reader never sees half of it."""
        path = Path(path)
        # `shared.pages.links` fills the links in.
        body = "\n".join(["<nav></nav>", f"<header>\n{self._header}\n</header>", *self._blocks])
        page = PAGE.format(
            lang=_esc(self._lang), title=_esc(self._title), style=style_sheet(), body=body
        )
        plots.write_whole(path, page.encode("utf-8"))
        return path

    def _plot(self, title: str, figure: Figure, caption: str) -> None:
        self._plots += 1
        self._figure(plots.svg(figure, title, f"p{self._plots}-"), caption, title)

    def _figure(self, content: str, caption: str, title: str = "") -> None:
        above = f"<h3>{_esc(title)}</h3>\n" if title else ""
        below = f"\n<figcaption>{_esc(caption)}</figcaption>" if caption else ""
        self._blocks.append(f"<figure>\n{above}{content}{below}\n</figure>")


def _esc(text: object) -> str:
    return html.escape(plots.printable(str(text)), quote=True)


def _is_number(value: Any) -> bool:
    """Return whether a value is a number or a text that starts like one ("19.5 %", "-"), to align its column."""
    if value is None or isinstance(value, bool):
        return value is None
    return not isinstance(value, str) or bool(_NUMBER_LIKE.fullmatch(value.strip()))


def _texts(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Return cells as text; the numbers of a column are rounded together."""
    texts = [[_word(value) for value in row] for row in rows]
    for i in range(len(rows[0]) if rows else 0):
        numeric = [k for k, row in enumerate(rows) if texts[k][i] == "" and row[i] != ""]
        numbers = plots.column_texts([rows[k][i] for k in numeric])
        for k, text in zip(numeric, numbers, strict=True):
            texts[k][i] = text
    return texts


def _word(value: Any) -> str:
    """Return the text of what is not a number; empty for numbers."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else ""


_NUMBER_LIKE = re.compile(
    r"[-–—]|[<>~≈]?\s*[-+−]?[\d.,]+(\s*[%×x]|\s*[a-zA-Zµ/]{1,4})?(\s*±\s*[\d.,]+\s*%?)?"
)
