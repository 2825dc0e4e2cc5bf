"""What a model predicts for the images of a subset, and every figure that follows from it.

Every image is counted once, however many processes share the work, and figures are sums over counts to the end.
Accuracies are fractions; so is the calibration error.

Shapes: N images, C classes, K the most probable of them.
"""

from __future__ import annotations

import base64
import contextlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from resnet_tiny.config import K
from resnet_tiny.data.dataset import Subset
from resnet_tiny.data.listing import Classes
from resnet_tiny.data.transforms import center_crop, normalize
from shared.calibration import calibration_error, reliability
from shared.files import write_json
from shared.torch.evaluation import evaluating
from shared.torch.processes import of_all
from shared.torch.sampler import evaluation_shards

EVALUATION, EXAMPLES = "evaluation.json", "examples.json"
MOST_CONFUSIONS = 20
"""Pairs of classes that are listed as confused."""
MOST_IN_MATRIX = 40
"""Classes up to which the whole confusion matrix is kept."""
MOST_EXAMPLES = 12
"""Images that are kept to be shown, right and wrong ones each."""


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for each image.

    Parameters
    ----------
    indices : int64 array (N,)
        Positions in the subset, rising.
    labels : int64 array (N,)
    classes : int64 array (N, K)
        The K most probable classes, most probable first; fewer where there are fewer classes.
    probabilities : float32 array (N, K)
    losses : float64 array (N,)
        Negative log-likelihood of the label, in nats.
    """

    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    losses: NDArray[np.float64]

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """Whether the most probable class is the label (N,)."""
        return self.classes[:, 0] == self.labels

    @property
    def is_in_top_k(self) -> NDArray[np.bool_]:
        """Whether the label is among the K most probable classes (N,)."""
        return (self.classes == self.labels[:, None]).any(axis=1)

    def figures(self) -> dict[str, float]:
        """Return top-1 and top-5 accuracy (fractions) and the mean loss in nats."""
        count = len(self.labels)
        return {
            "top1": float(self.is_correct.sum()) / count,
            "top5": float(self.is_in_top_k.sum()) / count,
            "loss": float(self.losses.sum()) / count,
        }


def measure(model: nn.Module, subset: Subset, **settings: Any) -> Predictions:
    """Show a model each image of a subset once; the parameters are those of `measure_with_flip`."""
    return _measure(model, subset, views=1, **settings)[0]


def measure_with_flip(
    model: nn.Module, subset: Subset, **settings: Any
) -> tuple[Predictions, Predictions]:
    """Show a model each image and its horizontal flip once.

    Parameters
    ----------
    model : nn.Module
        Unwrapped, on `device`.
    subset : Subset
        Not empty.
    device : torch.device
    crop : float
        Side of the center crop as a fraction of the image's, see `transforms.center_crop`.
    batch_size : int
        Images in a batch. The last one may be smaller: nothing is dropped.
    precision : {"float32", "bf16"}
        Of the forward pass; probabilities are float32.
    accelerator : Accelerator, optional
        Its processes share the work; all of them get all predictions.
    progress : callable
        Takes the number of images done.

    Returns
    -------
    tuple of two Predictions
        From each image alone, and from the mean of the probabilities of the image and its horizontal flip (test-time
        augmentation).

    References
    ----------
    Krizhevsky et al. 2012, section 4.1, for predictions averaged over horizontal flips.
    """
    alone, with_flip = _measure(model, subset, views=2, **settings)
    return alone, with_flip


def evaluation_of(
    alone: Predictions, with_flip: Predictions, subset: Subset, classes: Classes
) -> dict[str, Any]:
    """Return all figures of val as JSON values; top-5 figures are None where there are five classes or fewer.

    Parameters
    ----------
    alone, with_flip : Predictions
        What `measure_with_flip` returned.
    subset : Subset
        Whose images they are.
    classes : Classes
    """
    figures, flipped = alone.figures(), with_flip.figures()
    has_top5 = len(classes) > K
    bins = reliability(alone.probabilities[:, 0], alone.is_correct)
    return {
        "val_top1": figures["top1"],
        "val_top5": figures["top5"] if has_top5 else None,
        "val_loss": figures["loss"],
        "val_top1_flip": flipped["top1"],
        "val_top5_flip": flipped["top5"] if has_top5 else None,
        "calibration_error": calibration_error(bins),
        "images": len(alone.labels),
        "skipped": len(subset.pack.listing) - len(subset.pack.rows),
        "per_class": _class_rows(alone, classes),
        "confusions": [
            {"class": classes.names[label], "predicted": classes.names[other], "images": count}
            for label, other, count in confusions(alone, MOST_CONFUSIONS)
        ],
        "confusion_matrix": confusion_matrix(alone, len(classes)).tolist()
        if len(classes) <= MOST_IN_MATRIX
        else None,
        "reliability": [
            {
                "up_to": one.up_to,
                "images": one.count,
                "confidence": one.confidence,
                "accuracy": one.accuracy,
            }
            for one in bins
        ],
    }


def write_evaluation(
    folder: Path, figures: dict[str, Any], alone: Predictions, subset: Subset, classes: Classes
) -> None:
    """Write the figures, and a few images with what the model says of them, for the page."""
    write_json(folder / EVALUATION, figures)
    write_json(folder / EXAMPLES, examples(alone, subset, classes))


def examples(
    predictions: Predictions, subset: Subset, classes: Classes, most: int = MOST_EXAMPLES
) -> dict[str, list[dict[str, Any]]]:
    """Return images to show: the most confident wrong predictions, and right ones from all over the subset.

    Returns
    -------
    dict
        `wrong` and `right`, each a list of `png` (base64), `file`, `label`, `predicted`, `probability`.
    """
    right = np.flatnonzero(predictions.is_correct)
    spread = right[np.linspace(0, len(right) - 1, min(most, len(right))).astype(int)]
    return {
        "wrong": [
            _example(predictions, subset, classes, int(index))
            for index in worst_mistakes(predictions, most)
        ],
        "right": [_example(predictions, subset, classes, int(index)) for index in spread],
    }


def per_class(predictions: Predictions, classes: int) -> list[tuple[int, int, int, int]]:
    """Return (images, correct, correct among K, images predicted as it) of each class."""
    columns = [
        np.bincount(predictions.labels, minlength=classes),
        np.bincount(predictions.labels[predictions.is_correct], minlength=classes),
        np.bincount(predictions.labels[predictions.is_in_top_k], minlength=classes),
        np.bincount(predictions.classes[:, 0], minlength=classes),
    ]
    return [tuple(int(value) for value in row) for row in zip(*columns, strict=True)]  # type: ignore[misc]


def confusions(predictions: Predictions, most: int) -> list[tuple[int, int, int]]:
    """Return (class, predicted class, images) of the `most` frequent wrong predictions."""
    wrong = ~predictions.is_correct
    pairs = np.stack([predictions.labels[wrong], predictions.classes[wrong, 0]], axis=1)
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [(int(distinct[i][0]), int(distinct[i][1]), int(counts[i])) for i in order]


def confusion_matrix(predictions: Predictions, classes: int) -> NDArray[np.int64]:
    """Return how many images of each class (rows) are predicted as each class (columns), int64 (C, C)."""
    pairs = predictions.labels * classes + predictions.classes[:, 0]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def worst_mistakes(predictions: Predictions, most: int) -> NDArray[np.int64]:
    """Return the indices of wrong predictions, the most confident first."""
    wrong = np.flatnonzero(~predictions.is_correct)
    return wrong[np.argsort(-predictions.probabilities[wrong, 0], kind="stable")][:most]


def _measure(
    model: nn.Module,
    subset: Subset,
    *,
    views: int,
    device: torch.device,
    crop: float = 1.0,
    batch_size: int = 256,
    precision: str = "float32",
    accelerator: Any = None,
    progress: Callable[[int], Any] = lambda count: None,
) -> list[Predictions]:
    """Return predictions from the images and, with two views, from each with its horizontal flip."""
    rank = accelerator.process_index if accelerator is not None else 0
    world = accelerator.num_processes if accelerator is not None else 1
    labels = subset.labels
    is_half = precision == "bf16"
    half = torch.autocast(device.type, torch.bfloat16) if is_half else contextlib.nullcontext()
    parts: list[list[tuple[NDArray[Any], ...]]] = [[] for _ in range(views)]
    with evaluating(model), half:
        for shard in evaluation_shards(len(subset), rank, world, batch_size=batch_size):
            images = center_crop(normalize(subset.pixels(shard.indices).to(device)), crop)
            log_probabilities = F.log_softmax(model(images).float(), dim=1)  # (B, C)
            own = shard.indices, labels[shard.indices]
            parts[0].append(_top_k(*own, log_probabilities))
            if views == 2:
                flipped = F.log_softmax(model(images.flip(3)).float(), dim=1)
                # log((p + q) / 2), where p or q alone may be too small for a float
                mean = torch.logaddexp(log_probabilities, flipped) - math.log(2)
                parts[1].append(_top_k(*own, mean))
            progress(len(shard.indices))
    return [_joined(part, len(subset), accelerator if world > 1 else None) for part in parts]


def _joined(parts: list[tuple[NDArray[Any], ...]], count: int, accelerator: Any) -> Predictions:
    """Join batches, and processes if there are several, in the order of the images."""
    own = [np.concatenate(column) for column in zip(*parts, strict=True)]
    everyone = of_all(accelerator, own) if accelerator is not None else [own]
    columns = [np.concatenate(c) for c in zip(*(one for one in everyone if one), strict=True)]
    order = np.argsort(columns[0], kind="stable")
    indices, labels, classes, probabilities, losses = (column[order] for column in columns)
    if not np.array_equal(indices, np.arange(count)):
        raise RuntimeError("an image was counted twice or not at all")
    return Predictions(indices, labels, classes, probabilities, losses)


def _top_k(
    indices: NDArray[np.int64], labels: NDArray[np.int64], log_probabilities: Tensor
) -> tuple[NDArray[Any], ...]:
    values, classes = log_probabilities.topk(min(K, log_probabilities.shape[1]), dim=1)
    labels_there = torch.from_numpy(labels).to(log_probabilities.device)
    losses = -log_probabilities.gather(1, labels_there[:, None])[:, 0]
    return (
        indices,
        labels,
        classes.cpu().numpy(),
        values.exp().cpu().numpy(),
        losses.cpu().double().numpy(),
    )


def _class_rows(predictions: Predictions, classes: Classes) -> list[dict[str, Any]]:
    rows = []
    for label, (count, right, among, predicted) in enumerate(per_class(predictions, len(classes))):
        rows.append(
            {
                "id": classes.ids[label],
                "name": classes.names[label],
                "images": count,
                "top1": right / count if count else None,
                "top5": among / count if count and len(classes) > K else None,
                "predicted": predicted,
            }
        )
    return rows


def _example(
    predictions: Predictions, subset: Subset, classes: Classes, index: int
) -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.fromarray(subset.pixels(np.array([index]))[0].numpy()).save(buffer, "PNG")
    return {
        "png": base64.b64encode(buffer.getvalue()).decode("ascii"),
        "file": subset.file(index),
        "label": classes.names[predictions.labels[index]],
        "predicted": classes.names[predictions.classes[index, 0]],
        "probability": float(predictions.probabilities[index, 0]),
    }
