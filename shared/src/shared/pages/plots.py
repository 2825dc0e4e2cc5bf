"""Plots for reports: lines, labeled points, bars; as SVG for a page or as a PNG file.

matplotlib draws them (extra `report`), imported only here and only when a plot is made. The page's
SVG carries no fixed colors: each color of the light palette becomes a variable of the page, which
dark pages set otherwise. Text stays text. Nothing depends on the user's matplotlib settings or
the time, so the same input gives the same bytes; only a PNG with Chinese text takes a font of the
machine.
"""

from __future__ import annotations

import contextlib
import html
import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.errors import UserError
from shared.extras import install_command
from shared.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves: TypeAlias = Mapping[str, tuple[Sequence[float], Sequence[float]]]

# Wong's palette (Nature Methods 8:441, 2011), which color-blind readers can distinguish, made darker or
# lighter to suit the paper.
LIGHT = {
    "paper": "#fdfdfc", "ink": "#1d1f23", "quiet": "#5c626b", "rule": "#d9dadd", "wash": "#f3f3f1",
    "s1": "#0067a5", "s2": "#c84e00", "s3": "#00805d", "s4": "#a8508a", "s5": "#9a6a00", "s6": "#2f8fc4",
}  # fmt: skip
DARK = {
    "paper": "#15171a", "ink": "#e4e5e3", "quiet": "#9ba1a9", "rule": "#383c42", "wash": "#1f2226",
    "s1": "#5cb3ee", "s2": "#ff8d4f", "s3": "#35c79a", "s4": "#e094c3", "s5": "#e3b341", "s6": "#9cc9ea",
}  # fmt: skip
_SERIES = ("s1", "s2", "s3", "s4", "s5", "s6")
_DASHES = (
    "-",
    (0, (5, 1.6)),
    (0, (1.4, 1.4)),
    (0, (6, 1.6, 1.4, 1.6)),
)  # color is not the only difference
_CHINESE = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Microsoft YaHei", "WenQuanYi Micro Hei", "SimHei"
)  # fmt: skip
_MARKERS = "os^Dvp"
_MOST_POINTS = 800  # a curve with more is drawn as means and a band ...
_STRETCHES = 250  # ... of that many stretches
_POINTS = "points"  # id of the points of a scatter plot
_LONGEST_NAME = 28  # of a bar, before it is wrapped
_NOT_PRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_WIDTH = 5.0  # inches: small, so that 9 point text stays readable on a phone


@contextlib.contextmanager
def _matplotlib() -> Iterator[None]:
    """Use our settings instead of the user's, and raise one clear error where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(
            f"plots need matplotlib. Install it: {install_command('dltasks-shared', 'report')}"
        ) from error
    ink, quiet, rule = LIGHT["ink"], LIGHT["quiet"], LIGHT["rule"]
    defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
    settings = {
        **defaults,
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 9, "axes.labelsize": 9, "xtick.labelsize": 9, "ytick.labelsize": 9,
        "legend.fontsize": 9, "text.color": ink, "axes.labelcolor": quiet, "axes.edgecolor": rule,
        "xtick.color": rule, "ytick.color": rule, "xtick.labelcolor": quiet, "ytick.labelcolor": quiet,
        "text.parse_math": False,  # a word may be "$_$"
        "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
        "ytick.major.size": 0, "ytick.minor.size": 0, "xtick.major.size": 3, "xtick.minor.size": 0,
        "axes.grid": True, "axes.grid.axis": "y", "grid.color": rule, "grid.linewidth": 0.6,
        "axes.axisbelow": True, "lines.linewidth": 1.6, "legend.frameon": False,
        "legend.handlelength": 3.0, "legend.borderaxespad": 0.2, "legend.columnspacing": 1.6,
        "svg.fonttype": "none", "svg.hashsalt": "dltasks",
    }  # fmt: skip
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing"
        )  # the page's own fonts have Chinese
        yield


@_matplotlib()
def save_plot(
    path: str | Path,
    title: str,
    xlabel: str,
    ylabel: str,
    curves: Curves,
    *,
    log_x: bool = False,
    log_y: bool = False,
) -> Path:
    """Write the line plot of `Report.lines` as a PNG file, 1,200 pixels wide, on white.

    Raises
    ------
    UserError
        matplotlib is not installed, or the file cannot be written.
    """
    return save_figure(path, line_figure(xlabel, ylabel, curves, log_x, log_y, title))


def save_figure(path: str | Path, figure: Figure) -> Path:
    """Write a figure as a PNG file, 1,200 pixels wide, on white."""
    path = Path(path)
    _use_chinese_fonts(figure)
    buffer = io.BytesIO()
    with _matplotlib():
        figure.savefig(
            buffer, format="png", dpi=240, facecolor="white", metadata={"Software": None}
        )
    write_whole(path, buffer.getvalue())
    return path


@_matplotlib()
def line_figure(
    xlabel: str, ylabel: str, curves: Curves, log_x: bool, log_y: bool, title: str = ""
) -> Figure:
    """Draw curves; with few points they carry markers. The title is for files that stand alone."""
    title = printable(title)
    figure, axes = _new_figure(3.0, xlabel, ylabel)
    for number, (name, (xs, ys)) in enumerate(curves.items()):
        if len(xs) != len(ys):
            raise ValueError(f"{name!r} has {len(xs)} xs and {len(ys)} ys")
        color = LIGHT[_SERIES[number % 6]]
        if len(xs) > _MOST_POINTS:
            xs, ys, lowest, highest = _summed_up(xs, ys)
            axes.fill_between(xs, lowest, highest, color=color, alpha=0.25, linewidth=0)
        axes.plot(
            xs, [y if math.isfinite(y) else math.nan for y in ys], label=printable(name), color=color,
            linestyle=_DASHES[(number % 6 + number // 6) % 4],
            marker=_MARKERS[number % 6] if len(xs) <= 30 else None, markersize=3.6,
        )  # fmt: skip
    places = [x for xs, _ in curves.values() for x in xs if math.isfinite(x)]
    is_whole = all(x == int(x) for x in places)
    if (
        xlabel == "epoch" and places
    ):  # the points of a log lie between, but readers count whole epochs
        is_whole |= max(places) >= 2
    _set_scale(axes.xaxis, log_x, is_whole)
    _set_scale(axes.yaxis, log_y, False)
    if len(curves) > 1:
        longest = max(len(name) for name in curves) + 6
        columns = max(1, min(len(curves), 66 // longest))
        legend = figure.legend(loc="outside upper left", ncols=columns, alignment="left")
        figure.set_figheight(2.85 + 0.19 * (math.ceil(len(curves) / columns) + bool(title)))
        if title:
            legend.set_title(title)
            legend.get_title().set(fontsize=10, fontweight="bold")
    elif title:
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    return figure


@_matplotlib()
def scatter_figure(
    xs: Sequence[float], ys: Sequence[float], labels: Sequence[str], xlabel: str, ylabel: str
) -> tuple[Figure, int]:
    """Draw labeled points; also returns how many labels had no free space."""
    labels = [printable(label) for label in labels]
    if not len(xs) == len(ys) == len(labels):
        raise ValueError(f"{len(xs)} xs, {len(ys)} ys and {len(labels)} labels")
    figure, axes = _new_figure(4.3, xlabel, ylabel)
    axes.margins(0.08)
    axes.scatter(xs, ys, s=9, color=LIGHT["s1"], linewidths=0, gid=_POINTS)
    if not xlabel and not ylabel:
        axes.set_axis_off()
    figure.draw_without_rendering()  # the layout settles here, and with it where points are
    spots = (
        axes.transData.transform(list(zip(xs, ys, strict=True))) * 72 / figure.dpi
    )  # in points (1/72 inch)
    frame = axes.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    taken = [(x - 1.5, y - 1.5, x + 1.5, y + 1.5) for x, y in spots]
    left_out = 0
    for (x, y), at, label in zip(spots, zip(xs, ys, strict=True), labels, strict=True):
        width = sum(7.5 if ord(letter) > 0x2E80 else 4.8 for letter in label)
        for dx, dy, side in ((4, 0, "left"), (-4, 0, "right"), (0, 7, "center"), (0, -7, "center")):
            left = x + dx - {"left": 0, "right": width, "center": width / 2}[side]
            box = (left, y + dy - 4, left + width, y + dy + 4)
            inside = frame.x0 * 72 <= box[0] and box[2] <= frame.x1 * 72
            if inside and not any(_overlap(box, other) for other in taken):
                axes.annotate(
                    label,
                    at,
                    (dx, dy),
                    textcoords="offset points",
                    ha=side,
                    va="center_baseline",
                    fontsize=8,
                )
                taken.append(box)
                break
        else:
            left_out += 1
    return figure, left_out


@_matplotlib()
def bar_figure(values: Mapping[str, float], xlabel: str, errors: Mapping[str, float]) -> Figure:
    """Draw horizontal bars with their values, the first on top."""
    lines = [textwrap.fill(printable(name), _LONGEST_NAME) for name in values]
    tallest = max((text.count("\n") + 1 for text in lines), default=1)
    figure, axes = _new_figure(0.55 + (0.12 + 0.18 * tallest) * max(len(values), 1), xlabel, "")
    names = list(values)
    for row, name in enumerate(names):
        error = errors.get(name)
        axes.barh(row, values[name], height=0.62, color=LIGHT["s1"])
        if error is not None:
            axes.errorbar(
                values[name], row, xerr=error, color=LIGHT["ink"], capsize=2.5, linewidth=1
            )
        end = values[name] + (error or 0) if values[name] >= 0 else 0
        note = with_error(values[name], error) if error else number_text(values[name])
        axes.annotate(note, (end, row), (4, 0), textcoords="offset points", va="center_baseline")
    axes.set_yticks(range(len(names)), lines)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.margins(x=0.14, y=0.01)
    _set_scale(axes.xaxis, False, True)
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    axes.spines["bottom"].set_visible(False)
    return figure


def _set_scale(axis: Any, is_log: bool, is_whole: bool) -> None:
    """Set logarithmic ticks as plain numbers (2, 5, 10; not powers), whole ones without decimals."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    if is_log:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        low, high = axis.get_data_interval()
        # Over more than three decades the labels would overlap.
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axis.set_minor_locator(NullLocator())
    elif is_whole:
        axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    if is_log or is_whole:
        axis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))


def _new_figure(height: float, xlabel: str, ylabel: str) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(printable(xlabel))
    axes.set_ylabel(printable(ylabel))
    # A number of ticks that depends on the height changes after the layout, and wider numbers push the label out.
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))
    return figure, axes


@_matplotlib()
def svg(figure: Figure, title: str, prefix: str) -> str:
    """Return a figure as inline SVG: no fixed size or colors, and ids that begin with `prefix`, unique on the page."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    box = re.search(r'viewBox="[^"]*"', text)
    inner = text[text.index(">", text.index("<svg")) + 1 :]
    inner = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", inner, flags=re.DOTALL
    )
    inner = inner.replace("xlink:href", "href")
    inner = re.sub(r'\bid="', f'id="{prefix}', inner)
    inner = re.sub(r'(url\(|href=")#', rf"\g<1>#{prefix}", inner)
    for name, color in LIGHT.items():
        inner = inner.replace(color, f"var(--{name})")
    inner = re.sub(r"\n\s*", "\n", inner)
    assert box is not None
    return f'<svg class="plot" role="img" aria-label="{html.escape(printable(title))}" {box[0]}>{inner.strip()}'


def with_hover(drawing: str, labels: Sequence[str]) -> str:
    """Return the SVG of a `scatter_figure` in which pointing at a point shows its label."""
    if not labels:
        return drawing
    start = drawing.index(f'{_POINTS}">')
    end = drawing.index("</g>\n</g>", start)
    names = iter(labels)
    points = re.sub(
        r"(<use\b[^>]*)/>",
        # The invisible edge makes a dot easier to hit.
        lambda use: (
            f'{use[1]} stroke="transparent" stroke-width="8">'
            f"<title>{html.escape(printable(next(names)))}</title></use>"
        ),
        drawing[start:end],
    )
    return drawing[:start] + points + drawing[end:]


def printable(text: str) -> str:
    """Return a text with U+FFFD for control characters and lone surrogates, which neither fonts nor UTF-8 have."""
    return _NOT_PRINTABLE.sub("\ufffd", text)


def number_text(value: float) -> str:
    """Return a number for readers: 4 significant digits, thousands separators from 10,000."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 9999.5:  # what is rounded to five digits
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.4g}"


def with_error(value: float, error: float) -> str:
    """Return a number and its deviation, > 0, to the second digit of the deviation: "72.63 ± 0.37"."""
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"


def column_texts(values: Sequence[float]) -> list[str]:
    """Return the numbers of a table column, with as many decimals each, so that the points line up."""
    texts = [number_text(value) for value in values]
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    if decimals > 6 or any("e" in text for text in texts):  # 1e-05 beside 0.3: each as it is best
        return texts
    return [
        text if not math.isfinite(value) or isinstance(value, int)
        else f"{value:,.{decimals}f}" if abs(value) >= 10_000
        else f"{value:.{decimals}f}"
        for text, value in zip(texts, values, strict=True)
    ]  # fmt: skip


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody sees half of it."""
    try:
        with whole_file(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}. Choose another place to write to.") from error


def _use_chinese_fonts(figure: Figure) -> None:
    """Let a font of this machine stand in where DejaVu Sans has no letter (a page does so itself)."""
    from matplotlib.font_manager import get_font_names
    from matplotlib.text import Text

    installed = set(get_font_names())
    families = ["DejaVu Sans", *(name for name in _CHINESE if name in installed)]
    for text in figure.findobj(Text):
        text.set_fontfamily(families)


def is_summed_up(curves: Curves) -> bool:
    """Whether a curve is so long that it is drawn as mean and band."""
    return any(len(xs) > _MOST_POINTS for xs, _ in curves.values())


def _summed_up(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], ...]:
    """Return x, mean, lowest and highest y of short stretches: a long curve and the band it moves in."""
    stretch = math.ceil(len(xs) / _STRETCHES)
    columns: tuple[list[float], ...] = ([], [], [], [])
    for start in range(0, len(xs), stretch):
        some = [y for y in ys[start : start + stretch] if math.isfinite(y)] or [math.nan]
        middle = xs[min(start + stretch // 2, len(xs) - 1)]
        values = (middle, math.fsum(some) / len(some), min(some), max(some))
        for column, value in zip(columns, values, strict=True):
            column.append(float(value))
    return columns


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
