"""The verb `attend`: the attention between two sentences, as a page and as an image.

Shapes: Tp words of the premise, Th words of the hypothesis. Each row of a map is one word's attention and sums to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esim.commands.options import AttendOptions
from esim.data.dataset import split_sentences
from esim.model.trained import TrainedModel, load_run
from esim.predict import Prediction, classify, predict_many
from shared.errors import UserError
from shared.pages.heat_map import STYLE, heat_map
from shared.pages.links import link_page
from shared.pages.plots import save_figure
from shared.pages.report import Report
from shared.torch.device import choose_device

CANDIDATES = 100
"""Dev pairs of which examples are chosen, if not more are asked for."""
LONGEST = 60
"""Words of a sentence in an image; the page has them all."""
LETTERS = 24
"""Letters of a word in an image."""
PANEL, CELL, LETTER = 1.5, 0.2, 0.09
"""Inches in an image: least side of a panel, side of a cell, and width of a (Chinese) letter."""

Example = tuple[str, str, str]
"""Premise, hypothesis, and gold label or an empty string."""


def run(options: AttendOptions) -> int:
    """Write a page with the attention of pairs."""
    trained = load_run(options.run, device=choose_device("auto"))
    out = Path(options.out) if options.out else trained.path / "attention.html"
    if options.premise is not None and options.hypothesis is not None:
        pairs = [(options.premise, options.hypothesis, "")]
    else:
        pairs = examples(trained, options.pairs)
    page, image = write_page(trained, pairs, out)
    link_page(page)
    print(f"The page is {page}, the image {image}.")
    return 0


def write_page(trained: TrainedModel, pairs: Sequence[Example], out: Path) -> tuple[Path, Path]:
    """Write the attention of pairs as a page, and of the first one as a PNG beside it.

    Parameters
    ----------
    trained : TrainedModel
    pairs : sequence of (premise, hypothesis, label)
        One or more; the label may be empty.
    out : Path
        HTML file.

    Returns
    -------
    page, image : Path
    """
    page = Report(
        "esim: attention", f"{len(pairs)} pair{'s' * (len(pairs) != 1)} of {trained.path.name}"
    )
    page.html(STYLE)
    page.text(
        "Each row is the attention of one word over the words of the other sentence, and sums to 1. All maps have the "
        "same scale: no shade is 0, full shade is 1. Underlined words are not in the vocabulary."
    )
    predictions = [classify(trained, premise, hypothesis) for premise, hypothesis, _ in pairs]
    for one, (premise, hypothesis, label) in zip(predictions, pairs, strict=True):
        page.heading(f"{premise} / {hypothesis}")
        page.text(_verdict(one, label))
        for drawing in heat_maps(one):
            page.html(drawing)
    saved = page.save(out)
    image = out.with_suffix(".png")
    save_image(predictions[0], image)
    return saved, image


def heat_maps(one: Prediction) -> list[str]:
    """Return the attention of both directions as HTML, for a page with `shared.pages.heat_map.STYLE`."""
    maps = []
    for title, rows, columns, weights in _directions(one):
        shades = weights.tolist()
        texts = [[_hundredths(value) for value in row] for row in shades]
        maps.append(
            heat_map(title, rows, columns, shades, texts, is_upright=True, marked=one.unknown)
        )
    return maps


def examples(trained: TrainedModel, count: int) -> list[Example]:
    """Return dev pairs, half of them predicted right and half wrong as far as there are, in the order of the file."""
    sentences = islice(split_sentences(trained.config, "dev"), max(CANDIDATES, count))
    names = trained.config.label_names
    pairs = [(premise, hypothesis, names[label]) for premise, hypothesis, label in sentences]
    predictions = predict_many(trained, [pair[:2] for pair in pairs])
    is_right = [one.label == label for one, (_, _, label) in zip(predictions, pairs, strict=True)]
    right = [number for number, is_so in enumerate(is_right) if is_so]
    wrong = [number for number, is_so in enumerate(is_right) if not is_so]
    some_wrong = wrong[: max(count // 2, count - len(right))]
    return [pairs[number] for number in sorted(right[: count - len(some_wrong)] + some_wrong)]


def save_image(one: Prediction, path: Path) -> None:
    """Write the attention of both directions as a PNG; the darkest shade is 1.

    Raises
    ------
    UserError
        matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("images need matplotlib. Install it: pip install matplotlib") from None
    directions = [
        (title, [*map(_shown, rows[:LONGEST])], [*map(_shown, columns[:LONGEST])], weights)
        for title, rows, columns, weights in _directions(one)
    ]
    # In inches. A panel is at least as wide as its title, and names have room on both axes.
    widths = [max(PANEL, CELL * len(columns)) for _, _, columns, _ in directions]
    names = LETTER * max(len(word) for _, rows, _, _ in directions for word in rows)
    height = max(PANEL, CELL * max(len(rows) for _, rows, _, _ in directions))
    figure = Figure((sum(widths) + 2 * names + 1, height + names + 0.8), layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=widths)
    for axes, (title, rows, columns, weights) in zip(panels, directions, strict=True):
        shown = axes.imshow(weights[:LONGEST, :LONGEST], cmap="Blues", vmin=0, vmax=1)
        axes.set_anchor("NW")  # where its title begins
        axes.set_xticks(range(len(columns)), columns, rotation=90)
        axes.set_yticks(range(len(rows)), rows)
        axes.tick_params(labelsize=6, length=0)
        axes.set_title(title.replace(" over", "\nover"), fontsize=6, loc="left")
        axes.spines[:].set_visible(False)
    bar = figure.colorbar(shown, ax=panels, shrink=0.6)
    bar.set_label("attention", fontsize=6)
    bar.ax.tick_params(labelsize=6)
    save_figure(path, figure)


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


def _verdict(one: Prediction, label: str) -> str:
    """Return the probabilities in words, and whether the prediction is right."""
    chances = ", ".join(f"{name} {100 * value:.1f} %" for name, value in one.probabilities.items())
    if not label:
        return f"Predicted {one.label} ({chances})."
    mark = "✓ right" if one.label == label else f"✗ wrong, the label is {label}"
    return f"Predicted {one.label}: {mark} ({chances})."


def _hundredths(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if value >= 0.005 else "·"


def _shown(word: str) -> str:
    """Return a word for an image, without formulas, which matplotlib would typeset."""
    return (word if len(word) <= LETTERS else f"{word[: LETTERS - 1]}…").replace("$", r"\$")
