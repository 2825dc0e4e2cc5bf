"""What a model makes of pictures, and the figures that follow from it.

Every picture is counted once, however many processes share the work, and figures are sums over counts to the end.

Shapes: N pictures, C classes, K the likeliest of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from resnet_tiny.data.dataset import Subset
from resnet_tiny.data.transforms import middle, normalize
from shared.torch.evaluation import evaluating
from shared.torch.processes import of_all
from shared.torch.sampler import evaluation_shares

K = 5


@dataclass(frozen=True)
class Predictions:
    """Answers of a model.

    Parameters
    ----------
    places : int64 array (N,)
        Places in the subset, rising.
    labels : int64 array (N,)
    answers : int64 array (N, K)
        The K likeliest classes, likeliest first; fewer where there are fewer classes.
    shares : float32 array (N, K)
        Their probabilities.
    losses : float64 array (N,)
        Negative log-likelihood of the label, in nats.
    """

    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    shares: NDArray[np.float32]
    losses: NDArray[np.float64]

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the first answer is the label (N,)."""
        return self.answers[:, 0] == self.labels

    @property
    def is_among(self) -> NDArray[np.bool_]:
        """Whether one of the K answers is (N,)."""
        return (self.answers == self.labels[:, None]).any(axis=1)

    def figures(self) -> dict[str, float]:
        """Return top-1 and top-5 accuracy in percent, and the mean loss in nats."""
        return {
            "top1": 100 * float(self.is_right.sum()) / len(self.labels),
            "top5": 100 * float(self.is_among.sum()) / len(self.labels),
            "loss": float(self.losses.sum()) / len(self.labels),
        }


def predict(model: nn.Module, subset: Subset, **settings: Any) -> Predictions:
    """Show a model each picture of a subset once; the parameters are those of `predict_both`."""
    return _predict(model, subset, views=1, **settings)[0]


def predict_both(
    model: nn.Module,
    subset: Subset,
    *,
    device: torch.device,
    crop: float = 1.0,
    batch: int = 256,
    precision: str = "float32",
    accelerator: Any = None,
    progress: Callable[[int], Any] = lambda count: None,
) -> tuple[Predictions, Predictions]:
    """Show a model each picture and its mirror image once.

    Parameters
    ----------
    model : nn.Module
        Unwrapped, on `device`.
    subset : Subset
        Not empty.
    device : torch.device
    crop : float
        Share of a picture's side that is shown, see `transforms.middle`.
    batch : int
        Pictures in a batch. The last one may be smaller: nothing is dropped.
    precision : {"float32", "bf16"}
        Of the forward pass; probabilities are float32.
    accelerator : Accelerator, optional
        Its processes share the work; all of them get all predictions.
    progress : callable
        Takes the number of pictures done.

    Returns
    -------
    tuple of two Predictions
        Of the pictures alone, and of the mean of the probabilities of each and its mirror image (test-time
        augmentation).

    References
    ----------
    Krizhevsky et al. 2012, section 4.1, for predictions averaged over mirror images.
    """
    settings: dict[str, Any] = {"crop": crop, "batch": batch, "precision": precision}
    settings |= {"device": device, "accelerator": accelerator, "progress": progress}
    found = _predict(model, subset, views=2, **settings)
    return found[0], found[1]


def probabilities(model: nn.Module, images: Tensor) -> Tensor:
    """Return class probabilities, float32 (N, C), of pictures float32 (N, 3, side, side)."""
    return F.softmax(model(images).float(), dim=1)


def per_class(found: Predictions, classes: int) -> list[tuple[int, int, int, int]]:
    """Return (pictures, right, right among K, pictures answered with it) of each class."""
    columns = [
        np.bincount(found.labels, minlength=classes),
        np.bincount(found.labels[found.is_right], minlength=classes),
        np.bincount(found.labels[found.is_among], minlength=classes),
        np.bincount(found.answers[:, 0], minlength=classes),
    ]
    return [tuple(int(value) for value in row) for row in zip(*columns, strict=True)]  # type: ignore[misc]


def confusions(found: Predictions, most: int) -> list[tuple[int, int, int]]:
    """Return (class, answer, pictures) of the `most` frequent wrong answers."""
    wrong = ~found.is_right
    pairs = np.stack([found.labels[wrong], found.answers[wrong, 0]], axis=1)
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [(int(kinds[i][0]), int(kinds[i][1]), int(counts[i])) for i in order]


def worst_mistakes(found: Predictions, most: int) -> NDArray[np.int64]:
    """Return the places of wrong answers, the most confident first."""
    wrong = np.flatnonzero(~found.is_right)
    return wrong[np.argsort(-found.shares[wrong, 0], kind="stable")][:most]


def _predict(
    model: nn.Module,
    subset: Subset,
    *,
    views: int,
    device: torch.device,
    crop: float = 1.0,
    batch: int = 256,
    precision: str = "float32",
    accelerator: Any = None,
    progress: Callable[[int], Any] = lambda count: None,
) -> list[Predictions]:
    """Return predictions of the pictures and, with two views, of each with its mirror image."""
    rank = accelerator.process_index if accelerator is not None else 0
    world = accelerator.num_processes if accelerator is not None else 1
    labels = subset.labels
    is_half = precision == "bf16"
    half = torch.autocast(device.type, torch.bfloat16) if is_half else contextlib.nullcontext()
    parts: list[list[tuple[NDArray[Any], ...]]] = [[] for _ in range(views)]
    with evaluating(model), half:
        for share in evaluation_shares(len(subset), rank, world, batch_size=batch):
            images = middle(normalize(subset.pixels(share.indices).to(device)), crop)
            chances = probabilities(model, images)
            own = share.indices, labels[share.indices]
            parts[0].append(_answers(*own, chances))
            if views == 2:
                both = (chances + probabilities(model, images.flip(3))) / 2
                parts[1].append(_answers(*own, both))
            progress(len(share.indices))
    return [_together(part, len(subset), accelerator if world > 1 else None) for part in parts]


def _together(parts: list[tuple[NDArray[Any], ...]], count: int, accelerator: Any) -> Predictions:
    """Join batches, and processes if there are several, in the order of the pictures."""
    own = [np.concatenate(column) for column in zip(*parts, strict=True)]
    everyone = of_all(accelerator, own) if accelerator is not None else [own]
    columns = [np.concatenate(c) for c in zip(*(one for one in everyone if one), strict=True)]
    order = np.argsort(columns[0], kind="stable")
    places, labels, answers, shares, losses = (column[order] for column in columns)
    if not np.array_equal(places, np.arange(count)):
        raise RuntimeError("a picture was counted twice or not at all")
    return Predictions(places, labels, answers, shares, losses)


def _answers(
    places: NDArray[np.int64], labels: NDArray[np.int64], chances: Tensor
) -> tuple[NDArray[Any], ...]:
    shares, answers = chances.topk(min(K, chances.shape[1]), dim=1)
    own = chances.gather(1, torch.from_numpy(labels).to(chances.device)[:, None])[:, 0]
    losses = -own.double().clamp(min=1e-38).log()
    return places, labels, answers.cpu().numpy(), shares.cpu().numpy(), losses.cpu().numpy()
