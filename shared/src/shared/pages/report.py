"""A report as one HTML file: text, tables and plots, no network, no script.

The page follows the reader's light or dark setting, fits a phone and prints. Its plots are inline SVG from
`shared.pages.plots` and need matplotlib (extra `report`); a page without plots does not. The same calls give the same bytes.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.command.options import ReportOptions
from shared.pages import plots
from shared.pages.plots import Curves, save_plot
from shared.runs.run_directory import RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Report", "make_page", "save_plot"]


def make_page(options: ReportOptions, task: str, write_page: Callable[..., Path]) -> int:
    """Make the page of a finished run (verb `report` of every command).

    Parameters
    ----------
    options : ReportOptions
    task : str
        The command.
    write_page : function (RunDirectory, out=Path or None) -> Path
    """
    page = write_page(
        RunDirectory.read(options.run, task=task), out=Path(options.out) if options.out else None
    )
    print(f"The page is {page}.")
    return 0


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
        log_x: bool = False, log_y: bool = False,
    ) -> None:  # fmt: skip
        """Add a line plot.

        Parameters
        ----------
        title, xlabel, ylabel, caption : str
        curves : dict of name to (xs, ys)
            Values that are not finite leave a gap.
        log_x, log_y : bool
            Logarithmic axes.
        """
        if plots.is_summed_up(curves):
            caption = f"{caption} Line: mean; band: lowest to highest value.".strip()
        self._plot(title, plots.line_figure(xlabel, ylabel, curves, log_x, log_y), caption)

    def scatter(
        self, title: str, xs: Sequence[float], ys: Sequence[float], labels: Sequence[str],
        caption: str = "", *, xlabel: str = "", ylabel: str = "",
    ) -> None:  # fmt: skip
        """Add a map of labeled points, for example words in the plane.

        Labels that find no free place are left out (their points stay), and the caption says how many; so give the
        important ones first. Without axis labels the axes carry no numbers.
        """
        figure, left_out = plots.scatter_figure(xs, ys, labels, xlabel, ylabel)
        if left_out:
            caption = f"{caption} {left_out} of {len(labels)} labels are left out where they would overlap.".strip()
        self._plot(title, figure, caption)

    def bars(
        self, title: str, values: Mapping[str, float], xlabel: str = "", caption: str = "", *,
        errors: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """Add horizontal bars, in the order given, each with its value; `errors` are half-lengths of the whiskers."""
        self._plot(title, plots.bar_figure(values, xlabel, errors or {}), caption)

    def image(self, png: bytes, alt: str, caption: str = "") -> None:
        """Add a PNG picture, kept inside the page; `alt` says what it shows."""
        data = base64.b64encode(png).decode("ascii")
        self._figure(f'<img alt="{_esc(alt)}" src="data:image/png;base64,{data}">', caption)

    def save(self, path: str | Path) -> Path:
        """Write the page; a reader never sees half of it."""
        path = Path(path)
        body = "\n".join([f"<header>\n{self._header}\n</header>", *self._blocks])
        page = _PAGE.format(
            lang=_esc(self._lang), title=_esc(self._title), style=_style(), body=body
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
    return html.escape(str(text), quote=True)


def _is_number(value: Any) -> bool:
    """Numbers, and texts that start like one ("19.5 %", "-"), so that a column of them lines up."""
    if value is None or isinstance(value, bool):
        return value is None
    return not isinstance(value, str) or bool(_NUMBER_LIKE.fullmatch(value.strip()))


def _texts(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Cells as text; the numbers of a column are rounded together."""
    texts = [[_word(value) for value in row] for row in rows]
    for i in range(len(rows[0]) if rows else 0):
        places = [k for k, row in enumerate(rows) if texts[k][i] == "" and row[i] != ""]
        numbers = plots.column_texts([rows[k][i] for k in places])
        for k, text in zip(places, numbers, strict=True):
            texts[k][i] = text
    return texts


def _word(value: Any) -> str:
    """Text of what is no number; empty for numbers."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else ""


def _style() -> str:
    variables = {
        mode: "".join(f"--{name}:{value};" for name, value in palette.items())
        for mode, palette in (("light", plots.LIGHT), ("dark", plots.DARK))
    }
    # Dark for screens only: paper is white.
    return (
        f":root{{color-scheme:light dark;{variables['light']}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{variables['dark']}}}}}\n{_CSS}"
    )


_NUMBER_LIKE = re.compile(
    r"[-–—]|[<>~≈]?\s*[-+−]?[\d.,]+(\s*[%×x]|\s*[a-zA-Zµ/]{1,4})?(\s*±\s*[\d.,]+\s*%?)?"
)

_PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_CSS = """*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
 font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","Liberation Sans",
 "PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:44rem;margin:0 auto;padding:3rem 1.25rem 5rem}
header{margin-bottom:2.5rem;padding-bottom:1.25rem;border-bottom:1px solid var(--rule)}
h1{font-size:1.85rem;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:0;text-wrap:balance}
.subtitle{margin:.5rem 0 0;color:var(--quiet)}
h2{font-size:1.25rem;line-height:1.3;font-weight:650;letter-spacing:-.005em;margin:3rem 0 .75rem;break-after:avoid}
h3{font-size:.95rem;line-height:1.4;font-weight:600;margin:0 0 .5rem}
p{margin:0 0 1rem;overflow-wrap:break-word;hyphens:auto}
a{color:var(--s1)}
pre{margin:1rem 0 1.5rem;padding:.8rem 1rem;background:var(--wash);border-radius:4px;overflow-x:auto;line-height:1.5}
code{font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace}
.scroll{overflow-x:auto;margin:1.5rem 0 2rem;background:
 linear-gradient(to right,var(--paper) 60%,transparent) 0 0/2rem 100% no-repeat local,
 linear-gradient(to left,var(--paper) 60%,transparent) 100% 0/2rem 100% no-repeat local,
 linear-gradient(to right,var(--rule),transparent) 0 0/.6rem 100% no-repeat scroll,
 linear-gradient(to left,var(--rule),transparent) 100% 0/.6rem 100% no-repeat scroll}
table{border-collapse:collapse;min-width:60%;font-size:.92rem;line-height:1.4;
 border-top:1.5px solid var(--ink);border-bottom:1.5px solid var(--ink)}
caption{text-align:left;caption-side:top;padding:0 0 .5rem;font-weight:600;font-size:.95rem}
th,td{padding:.42rem 1.4rem .42rem 0;text-align:left;vertical-align:baseline}
th:last-child,td:last-child{padding-right:0}
th{font-weight:600;color:var(--quiet);border-bottom:1px solid var(--ink);vertical-align:bottom}
tbody tr+tr td{border-top:1px solid var(--rule)}
.n{text-align:right;font-variant-numeric:tabular-nums lining-nums;white-space:nowrap}
figure{margin:2rem 0 2.5rem;break-inside:avoid}
figure>svg,figure>img{display:block;width:100%;height:auto}
figure>svg{max-width:34rem}
figure>img{width:auto;max-width:100%}
svg.plot text{font-family:inherit!important;fill:currentColor}
svg.plot *{stroke-linejoin:round;stroke-linecap:butt}
figcaption{margin-top:.6rem;font-size:.88rem;line-height:1.5;color:var(--quiet)}
@media (max-width:30rem){main{padding:1.75rem 1rem 3rem}h1{font-size:1.5rem}h2{margin-top:2.25rem}
 table{min-width:100%;font-size:.88rem}th,td{padding-right:.9rem}}
@media print{@page{margin:18mm 16mm}body{background:#fff;font-size:10.5pt}main{max-width:none;padding:0}
 .scroll{overflow:visible;background:none}
 pre{white-space:pre-wrap;border:1px solid var(--rule)}
 tr,pre,figure{break-inside:avoid}thead{display:table-header-group}
 figure>svg{max-width:150mm}}"""
