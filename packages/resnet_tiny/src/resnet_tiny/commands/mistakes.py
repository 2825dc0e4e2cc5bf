"""The worst mistakes as one picture: each with what it is and what the model was sure it is."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from resnet_tiny.data.dataset import Subset
from resnet_tiny.data.layout import Classes
from resnet_tiny.measure import Predictions, worst_mistakes

COLUMNS, CELL, SCALE, LINE = 5, 150, 2, 13
MOST = 25
LETTERS = 26
"""Letters of a line below a picture; longer names are cut."""


def mistakes_png(found: Predictions, subset: Subset, classes: Classes, most: int = MOST) -> bytes:
    """Return a PNG with the most confident wrong answers, the worst first.

    Parameters
    ----------
    found : Predictions
    subset : Subset
        The pictures that they are of.
    classes : Classes
    most : int
        Pictures at most; without a mistake the PNG says so.
    """
    places = worst_mistakes(found, most)
    side = subset.pack.images.shape[1] * SCALE
    width, height = max(CELL, side + 8), side + 3 * LINE + 12
    rows = max(1, -(-len(places) // COLUMNS))
    page = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=11)
    if not len(places):
        pen.text((8, 8), "no mistakes", fill="black", font=font)
    for number, place in enumerate(places):
        left, top = (number % COLUMNS) * width, (number // COLUMNS) * height
        pixels = subset.pixels(places[number : number + 1])[0].numpy()
        page.paste(
            Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST),
            (left + 4, top + 4),
        )
        share = 100 * float(found.shares[place, 0])
        lines = (
            f"is {classes.names[found.labels[place]]}",
            f"not {classes.names[found.answers[place, 0]]}",
            f"({share:.0f} % sure)",
        )
        for line, text in enumerate(lines):
            pen.text(
                (left + 4, top + side + 6 + line * LINE), text[:LETTERS], fill="black", font=font
            )
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()
