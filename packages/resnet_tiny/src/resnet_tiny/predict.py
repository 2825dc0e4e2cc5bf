"""The verb `predict`: what is in a picture, with class names and probabilities."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from resnet_tiny.config import PredictOptions
from resnet_tiny.decode import BadPicture, decode
from resnet_tiny.measure import probabilities
from resnet_tiny.model import TrainedModel, load_run, memory_format
from resnet_tiny.transforms import middle, normalize
from shared.errors import UserError


def run(options: PredictOptions) -> int:
    """Classify picture files (verb `predict`)."""
    trained = load_run(options.model, checkpoint=options.checkpoint)
    found = classify(trained, [Path(name) for name in options.pictures], options.top)
    if options.json:
        print(json.dumps(found))
        return 0
    for picture in found:
        print(picture["file"])
        for answer in picture["answers"]:
            print(f"  {100 * answer['probability']:6.2f} %  {answer['name']} ({answer['wnid']})")
    return 0


def classify(trained: TrainedModel, files: list[Path], top: int = 5) -> list[dict]:
    """Return the likeliest classes of each picture.

    Parameters
    ----------
    trained : TrainedModel
    files : list of Path
        Of any size: the shorter side is scaled to the model's and the middle cut out.
    top : int
        Classes of each.

    Returns
    -------
    list of dict
        `file`, and `answers` with `wnid`, `name` and `probability`, likeliest first.

    Raises
    ------
    UserError
        A file is missing or no picture.
    """
    side, classes = trained.config.side, trained.classes
    found = []
    for file in files:
        try:
            pixels = decode(file, side, resize=True, upright=True)
        except BadPicture as problem:
            raise UserError(
                f"{file}: {problem}. Expected a picture, such as a JPEG or PNG."
            ) from None
        images = normalize(torch.from_numpy(np.array(pixels))[None])
        images = middle(images, trained.config.evaluation_crop)
        with torch.no_grad():
            chances = probabilities(trained.model, memory_format(images, trained.config))[0]
        shares, answers = chances.topk(min(top, len(classes)))
        found.append(
            {
                "file": str(file),
                "answers": [
                    {
                        "wnid": classes.wnids[place],
                        "name": classes.names[place],
                        "probability": share,
                    }
                    for share, place in zip(shares.tolist(), answers.tolist(), strict=True)
                ],
            }
        )
    return found
