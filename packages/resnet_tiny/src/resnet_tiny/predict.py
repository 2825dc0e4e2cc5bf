"""The verb `predict`: what is in a picture, with class names and probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from resnet_tiny.data.decode import BadPicture, decode
from resnet_tiny.data.transforms import middle, normalize
from resnet_tiny.measure import probabilities
from resnet_tiny.model.resnet import memory_format
from resnet_tiny.model.trained import TrainedModel
from shared.errors import UserError


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
