"""Using a trained model: `load(RUN)` gives a classifier, `predict` says what is in images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from resnet_tiny.data.decode import DAMAGED, BadImage, decode, square
from resnet_tiny.data.transforms import center_crop, normalize
from resnet_tiny.model.resnet import memory_format
from resnet_tiny.model.trained import TrainedModel, load_run
from shared.errors import UserError
from shared.torch.device import choose_device

BATCH_SIZE = 64

ImageLike: TypeAlias = str | Path | Image.Image | NDArray[Any]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Parameters
    ----------
    label : str
        Name of the most probable class.
    probability : float
    scores : dict of str to float
        Probability of every class by name, the most probable first.
    ids : dict of str to str
        Id of every class by name: the WordNet id in Tiny ImageNet.
    source : str
        File, or number of the image.
    """

    label: str
    probability: float
    scores: dict[str, float]
    ids: dict[str, str]
    source: str

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return (name, probability) of the `count` most probable classes."""
        return list(self.scores.items())[:count]

    def __repr__(self) -> str:
        return f"Prediction({self.source}: {self.label}, {100 * self.probability:.1f} %)"


@dataclass(frozen=True, repr=False)
class ImageClassifier(TrainedModel):
    """A trained model with what it is for."""

    @overload
    def predict(self, images: ImageLike) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, images: Sequence[ImageLike]) -> list[Prediction]: ...

    def predict(self, images: Any) -> Prediction | list[Prediction]:
        """Say what is in one image or in several.

        Parameters
        ----------
        images : image or sequence of images
            Each a file name, a `PIL.Image`, or an array: uint8 (H, W, 3) or greyscale (H, W). Of any size: the shorter
            side is scaled to the model's and a center crop taken. An array (N, H, W, 3) is N images.

        Returns
        -------
        Prediction, or list of Prediction
            One for one image, a list for several.

        Raises
        ------
        UserError
            A file is missing or not an image, or an image cannot be read.
        ValueError
            An array has another shape or type, or it is none of these.
        """
        if isinstance(images, np.ndarray) and images.ndim == 4:
            images = list(images)
        is_one = isinstance(images, str | Path | Image.Image | np.ndarray) or not isinstance(
            images, Iterable
        )
        predictions = list(predict(self, [images] if is_one else list(images)))
        return predictions[0] if is_one else predictions

    def __repr__(self) -> str:
        size = self.config.image_size
        return (
            f"ImageClassifier({self.config.arch}, {len(self.classes)} classes, {size}x{size} pixels, "
            f"step {self.step}, {self.path})"
        )


def load(path: str | Path, *, checkpoint: str = "best", device: str = "auto") -> ImageClassifier:
    """Return the trained model of a run.

    Parameters
    ----------
    path : path
        Run folder.
    checkpoint : str
        `best`, `last`, or the name of a folder in `checkpoints/`.
    device : {"auto", "cpu", "cuda", "mps"}

    Examples
    --------
    >>> model = load("runs/resnet_tiny/laptop")
    >>> model.predict("cat.jpg").top(3)
    """
    trained = load_run(path, checkpoint=checkpoint, device=choose_device(device))
    return ImageClassifier(**vars(trained))


def predict(
    trained: TrainedModel,
    images: Iterable[ImageLike],
    on_bad: Callable[[UserError], None] | None = None,
) -> Iterator[Prediction]:
    """Yield what a model says of each image, in order, in batches; the parameters are those of `ImageClassifier`.

    Where `on_bad` is given it is told of files that cannot be read, and the others are answered.
    """
    batch: list[tuple[str, NDArray[np.uint8]]] = []
    for number, image in enumerate(images):
        source = str(image) if isinstance(image, str | Path) else f"image {number}"
        try:
            batch.append((source, _pixels(image, trained.config.image_size, source)))
        except UserError as error:
            if on_bad is None:
                raise
            on_bad(error)
        if len(batch) == BATCH_SIZE:
            yield from _predict_batch(trained, batch)
            batch = []
    if batch:
        yield from _predict_batch(trained, batch)


def _predict_batch(
    trained: TrainedModel, batch: list[tuple[str, NDArray[np.uint8]]]
) -> list[Prediction]:
    device = next(trained.model.parameters()).device
    pixels = torch.from_numpy(np.stack([pixels for _, pixels in batch])).to(device)  # (B, S, S, 3)
    images = center_crop(normalize(pixels), trained.config.evaluation_crop)
    with torch.no_grad():
        logits = trained.model(memory_format(images, trained.config)).float()
    if not logits.isfinite().all():
        raise UserError(
            f"{trained.path}: its scores are not finite numbers; the model has diverged."
        )
    probabilities = F.softmax(logits, dim=1)
    values, order = (tensor.cpu().tolist() for tensor in probabilities.sort(dim=1, descending=True))
    names, ids = (
        trained.classes.names,
        dict(zip(trained.classes.names, trained.classes.ids, strict=True)),
    )
    return [
        Prediction(
            names[classes[0]],
            own[0],
            {names[c]: value for c, value in zip(classes, own, strict=True)},
            ids,
            source,
        )
        for (source, _), own, classes in zip(batch, values, order, strict=True)
    ]


def _pixels(image: ImageLike, size: int, source: str) -> NDArray[np.uint8]:
    """Return an image as uint8 (size, size, 3)."""
    if isinstance(image, str | Path):
        try:
            return decode(Path(image), size, resize=True)
        except BadImage as problem:
            raise UserError(
                f"{image}: {problem}. Expected a whole JPEG, PNG or the like."
            ) from None
    if isinstance(image, np.ndarray):
        is_color = image.ndim == 3 and image.shape[2] == 3
        if image.dtype != np.uint8 or not (is_color or image.ndim == 2) or not image.size:
            raise ValueError(
                f"{source} is {image.dtype} {image.shape}, expected uint8 (H, W, 3) or (H, W)"
            )
        image = Image.fromarray(image)
    if not isinstance(image, Image.Image):
        raise ValueError(
            f"{source} is of type {type(image).__name__}, expected a file name, a PIL image or an array"
        )
    try:
        return square(image, size)
    except BadImage as problem:
        raise UserError(f"{source}: {problem}.") from None
    except DAMAGED as error:
        raise UserError(f"{source}: is truncated or damaged ({error}).") from None
