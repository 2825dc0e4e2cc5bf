"""The verb `app`: the classes of an image that is dropped into a local page."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from resnet_tiny.measure import EXAMPLES
from resnet_tiny.predict import ImageClassifier, load
from shared.command.options import AppOptions
from shared.errors import UserError
from shared.pages.app import Use, bars, build, heading, html_output, require_gradio, serve

TOP = 5
EACH = 3
"""Examples of images that were classified right, and as many that were not."""


def run(options: AppOptions) -> int:
    """Serve the page until Ctrl-C (verb `app`)."""
    require_gradio("dltasks-resnet-tiny")
    with TemporaryDirectory(prefix="resnet-tiny-app-") as folder:
        return serve(page_of(load(options.run), Path(folder)), options)


def page_of(model: ImageClassifier, folder: Path) -> Any:
    """Return the page of a model, a `gradio.Blocks`; its examples are written into a folder."""
    import gradio

    image = gradio.Image(label="Image", sources=["upload", "clipboard"], height=320, render=False)
    # The file as it was uploaded: `predict` decodes it, as it does on the command line.
    image.preprocess = lambda payload: None if payload is None else payload.path
    size = model.config.image_size
    use = Use(
        "Classify", "Classify", partial(classified, model),
        inputs=[image],
        outputs=[html_output()],
        examples=[[str(path)] for path in _examples(model.path, folder)],
        text=f"The {min(TOP, len(model.classes))} most probable of {len(model.classes)} classes. "
        f"The model sees a center crop of {size}x{size} pixels.",
    )  # fmt: skip
    return build(*heading("resnet-tiny", model.path), [use])


def classified(model: ImageClassifier, path: str | None) -> str:
    """Return the most probable classes of an image file as HTML."""
    if path is None:
        raise UserError("There is no image. Drop one into the field.")
    return bars(model.predict(path).top(TOP), as_percent=True)


def _examples(run: Path, folder: Path) -> list[Path]:
    """Write the images that the run's page shows into a folder; none where the run has none."""
    try:
        rows = json.loads((run / EXAMPLES).read_text(encoding="utf-8"))
        chosen = [row["png"] for kind in ("right", "wrong") for row in rows[kind][:EACH]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    paths = [folder / f"{number}.png" for number in range(len(chosen))]
    for path, png in zip(paths, chosen, strict=True):
        path.write_bytes(base64.b64decode(png))
    return paths
