"""The verb `attend`: the attention between two sentences, as a page and as an image.

Shapes: Tp words of the premise, Th words of the hypothesis. Each row of a map is one word's attention and sums to 1.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esim.commands.options import AttendOptions
from esim.data.labels import LABELS
from esim.model.trained import load_run
from esim.predict import Prediction, classify
from shared.errors import UserError
from shared.pages.plots import write_whole
from shared.pages.report import Report
from shared.torch.device import choose_device

DARKEST = 0.75
"""Opacity of a map's largest weight; text stays readable on it."""
LONGEST = 60
"""Words of a sentence in an image; the page has them all."""

_STYLE = """<style>
table.attention{border-collapse:collapse;font-size:.82rem;width:auto}
table.attention th{font-weight:normal;border:0;padding:.15rem .4rem;text-align:right;white-space:nowrap}
table.attention thead th{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;padding:.4rem .15rem}
table.attention td{min-width:1.9rem;text-align:center;padding:.15rem;border:1px solid var(--rule);position:relative}
table.attention td i{position:absolute;inset:0;background:var(--s1)}
table.attention td b{position:relative;font-weight:normal;font-variant-numeric:tabular-nums}
table.attention .off{text-decoration:underline dotted}
</style>"""


def run(options: AttendOptions) -> int:
    """Write a page with the attention of pairs."""
    trained = load_run(options.run, device=choose_device("auto"))
    if options.premise is not None and options.hypothesis is not None:
        pairs = [(options.premise, options.hypothesis, "")]
    else:
        pairs = _dev_pairs(trained.config.data, options.pairs)
    predictions = [classify(trained, premise, hypothesis) for premise, hypothesis, _ in pairs]
    out = Path(options.out) if options.out else trained.path / "attention.html"
    page, image = write_page(predictions, out, [label for *_, label in pairs])
    print(f"The page is {page}, the image {image}.")
    return 0


def write_page(
    predictions: Sequence[Prediction], out: Path, labels: Sequence[str] = ()
) -> tuple[Path, Path]:
    """Write the attention of pairs as a page, and of the first one as a PNG beside it.

    Parameters
    ----------
    predictions : sequence of Prediction
        One or more, with attention.
    out : Path
        HTML file.
    labels : sequence of str
        Gold label of each pair, or an empty string.

    Returns
    -------
    page, image : Path
    """
    page = Report("esim: attention", f"{len(predictions)} pair{'s' * (len(predictions) != 1)}")
    page.html(_STYLE)
    page.text(
        "Each row is the attention of one word over the words of the other sentence, and sums to 1. "
        "Underlined words are not in the vocabulary."
    )
    for number, one in enumerate(predictions):
        gold = labels[number] if number < len(labels) else ""
        page.heading(f"{' '.join(one.premise)} / {' '.join(one.hypothesis)}")
        chances = {name: f"{100 * chance:.1f} %" for name, chance in one.probabilities.items()}
        header = [*LABELS, *(["label"] if gold else [])]
        page.table(header, [[*(chances[name] for name in LABELS), *([gold] if gold else [])]])
        for title, rows, columns, weights in _directions(one):
            page.html(_table(title, rows, columns, weights, one.unknown))
    saved = page.save(out)
    image = out.with_suffix(".png")
    save_image(predictions[0], image)
    return saved, image


def save_image(one: Prediction, path: Path) -> None:
    """Write the attention of both directions as a PNG: darker is more.

    Raises
    ------
    UserError
        matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("images need matplotlib. Install it: pip install matplotlib") from None
    directions = _directions(one)
    wide = sum(min(len(columns), LONGEST) for _, _, columns, _ in directions)
    high = max(min(len(rows), LONGEST) for _, rows, _, _ in directions)
    figure = Figure(figsize=(3.2 + 0.34 * wide, 2.2 + 0.3 * high), layout="constrained")
    widths = [max(4, min(len(columns), LONGEST)) for _, _, columns, _ in directions]
    panels = figure.subplots(1, 2, width_ratios=widths)
    largest = max(float(weights.max()) for *_, weights in directions)
    for axes, (title, rows, columns, weights) in zip(panels, directions, strict=True):
        rows, columns = rows[:LONGEST], columns[:LONGEST]
        shown = axes.imshow(weights[:LONGEST, :LONGEST], cmap="Blues", vmin=0, vmax=largest)
        axes.set_xticks(range(len(columns)), [_plain(word) for word in columns], rotation=90)
        axes.set_yticks(range(len(rows)), [_plain(word) for word in rows])
        axes.tick_params(labelsize=8, length=0)
        axes.set_title(title, fontsize=9, loc="left")
        axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=panels, shrink=0.6, label="attention")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    write_whole(path, buffer.getvalue())


def _directions(
    one: Prediction,
) -> list[tuple[str, Sequence[str], Sequence[str], NDArray[np.float64]]]:
    if one.over_hypothesis is None or one.over_premise is None:
        raise ValueError("the prediction has no attention")
    return [
        (
            "Attention of the premise over the hypothesis",
            one.premise,
            one.hypothesis,
            one.over_hypothesis,
        ),
        (
            "Attention of the hypothesis over the premise",
            one.hypothesis,
            one.premise,
            one.over_premise,
        ),
    ]


def _table(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    weights: NDArray[np.float64],
    unknown: frozenset[str],
) -> str:
    """Return a heat map as a table that can be read without colors too."""

    def word(text: str) -> str:
        mark = ' class="off"' if text in unknown else ""
        return f"<span{mark}>{html.escape(text)}</span>"

    heads = "".join(f'<th scope="col">{word(column)}</th>' for column in columns)
    lines = [
        f'<h3>{html.escape(title)}</h3>\n<div class="scroll"><table class="attention">',
        f"<thead><tr><td></td>{heads}</tr></thead>\n<tbody>",
    ]
    scale = DARKEST / max(float(weights.max()), 1e-9)
    for row, values in zip(rows, weights.tolist(), strict=True):
        cells = "".join(
            f'<td><i style="opacity:{scale * value:.3f}"></i><b>{_hundredths(value)}</b></td>'
            for value in values
        )
        lines.append(f'<tr><th scope="row">{word(row)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table></div>"])


def _hundredths(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if value >= 0.005 else "·"


def _plain(word: str) -> str:
    return word.replace("$", r"\$")  # matplotlib would typeset a formula


def _dev_pairs(data: str | None, count: int) -> list[tuple[str, str, str]]:
    """Return the first pairs of the data that has dev pairs: premise, hypothesis, label."""
    from esim.data import sample
    from esim.data.dataset import DATA_SET
    from esim.data.pairs import find_sources, read_pairs
    from shared.data.samples import data_or_sample

    sources = find_sources(data_or_sample(DATA_SET, data, sample.write)[0])
    source = sources.get("dev") or next(iter(sources.values()))
    texts = read_pairs(source, on_bad_line="skip")
    rows = zip(texts.premises, texts.hypotheses, texts.labels, strict=True)
    return [
        (premise, hypothesis, LABELS[label]) for premise, hypothesis, label in islice(rows, count)
    ]
