"""One image file as RGB pixels: the only decoder of the package, so that training and `predict` see the same."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings of image files, in any case. The content decides the format, not the ending."""


DAMAGED = (OSError, SyntaxError, ValueError, struct.error)
"""What decoders raise for bytes that are missing or wrong."""
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by the orientation that EXIF gives."""


class BadImage(Exception):
    """A file that cannot be used; the text says why, without the file's name."""


def decode(path: Path, size: int, *, resize: bool = False) -> NDArray[np.uint8]:
    """Read an image as RGB, the way its camera held it (EXIF orientation).

    Greyscale, 16-bit, palette and CMYK images are converted, transparent pixels are put on white, and of an animation
    the first frame is taken. A PNG named .JPEG is read as what it is.

    Parameters
    ----------
    path : Path
    size : int
        Height and width of the result in pixels.
    resize : bool
        Scale the shorter side to `size` and take a center crop; otherwise another size is an error.

    Returns
    -------
    uint8 array (size, size, 3)

    Raises
    ------
    BadImage
        The file is missing, empty, truncated, not an image, of another size, or of a kind whose range of values is not
        known (floating point, integers of 32 bits).
    """
    try:
        with Image.open(path) as image:
            # The header has the size, so that a folder of photos is refused before one of them is decoded.
            if not resize and image.size != (size, size):
                width, height = image.size
                raise BadImage(f"is {width}x{height} pixels, expected {size}x{size}")
            return square(image, size)
    except UnidentifiedImageError:
        reason = "is empty" if path.stat().st_size == 0 else "is not an image"
        raise BadImage(reason) from None
    except FileNotFoundError:
        raise BadImage("not found") from None
    except IsADirectoryError:
        raise BadImage("is a folder, expected an image") from None
    except Image.DecompressionBombError as error:
        raise BadImage(f"has too many pixels ({str(error).rstrip('.')})") from None
    except DAMAGED as error:
        raise BadImage(f"is truncated or damaged ({' '.join(str(error).split())})") from None


def square(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Return an image as `decode` does, uint8 (size, size, 3).

    Raises
    ------
    BadImage
        Its values have no known range.
    OSError, SyntaxError, ValueError
        It was opened and not read yet, and its file is damaged.
    """
    image.load()
    # Some versions of Pillow read the 16 bits of a PNG into 32.
    is_short = image.format == "PNG" and image.mode == "I"
    upright = image.convert("I;16") if is_short else image
    # Not by `ImageOps.exif_transpose`, which writes all of EXIF anew and fails where any other tag of it is wrong.
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    if turn is not None:
        upright = upright.transpose(turn)
    return np.asarray(fit(to_rgb(upright), size))


def fit(rgb: Image.Image, size: int) -> Image.Image:
    """Scale the shorter side of an image to `size` and take a center crop; an image of that size stays as it is."""
    if rgb.size == (size, size):
        return rgb
    return ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode as RGB.

    Raises
    ------
    BadImage
        Its values have no known range.
    """
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise BadImage(
            "holds floating-point values, whose range is not known; save it as 8- or 16-bit"
        )
    if image.mode == "I":
        raise BadImage("holds integers of 32 bits, whose range is not known; save it as 16-bit")
    if image.mode.startswith("I;16"):  # the upper 8 bits, where PIL's own conversion clips at 255
        upper = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(upper.astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        solid = image.convert("RGBA")
        white = Image.new("RGBA", solid.size, "white")
        return Image.alpha_composite(white, solid).convert("RGB")
    return image.convert("RGB")
