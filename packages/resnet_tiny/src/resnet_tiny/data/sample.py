"""A small made-up data set in Tiny ImageNet's layout: wnids, words, train, val with annotations, unlabelled test.

A class is a shape in a color, drawn at a random position and size on a noisy background. Every tenth image is
greyscale, as some are in the real set, so the shape must be learned too. All of it is a function of `SEED`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.files import whole_file

SEED = 7
SIZE = 64
SHAPES = ("disc", "stripes")
COLORS = {
    "red": (215, 45, 40),
    "green": (40, 170, 60),
    "blue": (40, 75, 215),
    "yellow": (225, 205, 45),
    "purple": (150, 50, 170),
}
TRAIN, VAL = 150, 20
"""Images of each class."""
GREY = 10
"""One image in so many is greyscale."""
COMMAND = "resnet-tiny train --recipe laptop --epochs 3 --batch-size 32 --learning-rate 0.1"
EXPECTED_TOP1 = (80.0, 99.0)
"""Percent of val after `COMMAND`; chance is 10, and greyscale hides the colors of 10."""


def write(folder: Path, train: int = TRAIN, val: int = VAL) -> None:
    """Write the data set into a folder, which is made if missing.

    Parameters
    ----------
    folder : Path
    train, val : int
        Images of each class.
    """
    random = np.random.default_rng(SEED)
    pairs = [(color, shape) for shape in SHAPES for color in COLORS]
    # Listed in another order than sorted, as the publisher does: class numbers must not follow the list.
    wnids = [f"n{90000001 + 137 * ((index * 7) % len(pairs))}" for index in range(len(pairs))]
    _lines(folder / "wnids.txt", wnids)
    words = [
        f"{wnid}\t{color} {shape}, made-up thing"
        for wnid, (color, shape) in zip(wnids, pairs, strict=True)
    ]
    _lines(folder / "words.txt", sorted(["n90000000\tmade-up thing", *words]))
    annotations = []
    number = 0
    for wnid, (color, shape) in zip(wnids, pairs, strict=True):
        boxes = []
        for index in range(train):
            name = f"{wnid}_{index}.JPEG"
            box = _save(folder / "train" / wnid / "images" / name, random, color, shape, index)
            boxes.append("\t".join([name, *map(str, box)]))
        _lines(folder / "train" / wnid / f"{wnid}_boxes.txt", boxes)
        for index in range(val):
            # Numbered across classes, so that a name says nothing about the class.
            name = f"val_{(number * 37) % (val * len(pairs) + 1)}.JPEG"
            box = _save(folder / "val" / "images" / name, random, color, shape, index)
            annotations.append("\t".join([name, wnid, *map(str, box)]))
            number += 1
    _lines(folder / "val" / "val_annotations.txt", annotations)
    for index in range(2):
        color, shape = pairs[index]
        _save(folder / "test" / "images" / f"test_{index}.JPEG", random, color, shape, 1)


def draw_image(
    random: np.random.Generator, color: str, shape: str
) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    """Draw one image.

    Returns
    -------
    uint8 array (64, 64, 3)
    tuple of int
        Left, top, right, bottom of the shape.
    """
    radius = random.uniform(13, 24)
    left, top = random.uniform(radius, SIZE - radius, size=2)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    x, y = (columns - left) / radius, (rows - top) / radius
    inside = {
        "disc": np.hypot(x, y) < 1,
        "stripes": (np.maximum(abs(x), abs(y)) < 0.95) & (np.floor((x + 1) * 3.5) % 2 == 0),
    }[shape]
    # Grey blocks: a colored background would hide the colors from a model that has seen few images.
    coarse = random.integers(70, 186, size=(4, 4, 1)).repeat(16, axis=0).repeat(16, axis=1)
    noise = random.normal(0, 12, size=(SIZE, SIZE, 3))
    paint = np.array(COLORS[color]) + random.normal(0, 20, size=3)
    pixels = np.where(inside[..., None], paint, coarse) + noise
    low_x, low_y = max(0, int(left - radius)), max(0, int(top - radius))
    box = (low_x, low_y, min(SIZE - 1, int(left + radius)), min(SIZE - 1, int(top + radius)))
    return pixels.clip(0, 255).astype(np.uint8), box


def _save(
    path: Path, random: np.random.Generator, color: str, shape: str, index: int
) -> tuple[int, int, int, int]:
    pixels, box = draw_image(random, color, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert("L") if index % GREY == 3 else image).save(path, "JPEG", quality=85)
    return box


def _lines(path: Path, lines: list[str]) -> None:
    with whole_file(path) as file:
        file.writelines(line + "\n" for line in lines)
