"""One picture file as pixels, whatever kind of file it is, or the reason why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError


class BadPicture(Exception):
    """A file that cannot be used; the text says why, without the file's name."""


def decode(
    path: Path, side: int, *, resize: bool = False, upright: bool = False
) -> NDArray[np.uint8]:
    """Read a picture as RGB.

    Greyscale, palettes and CMYK are converted, whatever is transparent lies on white, and a PNG that is called .JPEG
    is read as what it is.

    Parameters
    ----------
    path : Path
    side : int
        Pixels of a side.
    resize : bool
        Scale the shorter side to `side` and cut the middle out; otherwise another size is an error.
    upright : bool
        Turn the picture as its camera says.

    Returns
    -------
    uint8 array (side, side, 3)

    Raises
    ------
    BadPicture
        The file is missing, empty, truncated, no picture, or of another size.
    """
    try:
        with Image.open(path) as image:
            if not resize and image.size != (side, side):
                width, height = image.size
                raise BadPicture(f"is {width}x{height} pixels, expected {side}x{side}")
            image.load()
            rgb = _rgb(ImageOps.exif_transpose(image) if upright else image)
    except UnidentifiedImageError:
        reason = "is empty" if path.stat().st_size == 0 else "is not a picture"
        raise BadPicture(reason) from None
    except FileNotFoundError:
        raise BadPicture("not found") from None
    except IsADirectoryError:
        raise BadPicture("is a folder, expected a picture") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Decoders raise any of these for bytes that are missing or wrong.
        raise BadPicture(f"is truncated or damaged ({' '.join(str(error).split())})") from None
    if resize and rgb.size != (side, side):
        rgb = ImageOps.fit(rgb, (side, side), Image.Resampling.BILINEAR)
    return np.asarray(rgb)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):  # 16 bits of grey, which PIL would clip instead of scale
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        solid = image.convert("RGBA")
        white = Image.new("RGBA", solid.size, "white")
        return Image.alpha_composite(white, solid).convert("RGB")
    return image.convert("RGB")
