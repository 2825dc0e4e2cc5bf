"""Reading a trained model from its run folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import LINEAR, TrainConfig
from imdb_sentiment.data.reviews import CLASSES, task_classes
from imdb_sentiment.model.base import Classifier, check_classes
from shared.command import config as configuration
from shared.errors import UserError
from shared.files import write_json
from shared.runs.run_directory import RunDirectory
from shared.text.batching import bucketed_batches

if TYPE_CHECKING:
    import torch

    from imdb_sentiment.data.text import Codec, Ids
    from imdb_sentiment.model.network import TextNetwork

CLASSES_FILE = "classes.json"
EVALUATION_TOKENS = 16384
"""Tokens of a batch, padding included, where no gradient is kept."""
CHUNK = 1024
"""Texts that `predict` holds as token ids at once."""


class NetworkClassifier(Classifier):
    """A network with the codec that turns reviews into its ids.

    Parameters
    ----------
    config : TrainConfig
    classes : sequence of str (C,)
    network : TextNetwork
    codec : Codec
    """

    def __init__(
        self, config: TrainConfig, classes: Sequence[str], network: TextNetwork, codec: Codec
    ) -> None:
        self.config, self.classes = config, check_classes(classes)
        self.network, self.codec = network, codec

    @property
    def weight_count(self) -> int:
        """Number of trained weights."""
        return sum(weight.numel() for weight in self.network.parameters())

    def _probabilities(self, texts: list[str]) -> NDArray[np.float64]:
        return network_probabilities(self.network, self.codec.encode(texts))


def network_probabilities(network: TextNetwork, sequences: Sequence[Ids]) -> NDArray[np.float64]:
    """Return the probability of each class of encoded reviews.

    Parameters
    ----------
    network : TextNetwork
        On any device; its mode is put back.
    sequences : sequence of int arrays (N,)

    Returns
    -------
    float64 array (N, C)
    """
    from shared.torch.evaluation import evaluating

    probabilities = np.zeros((len(sequences), network.class_count))
    device = next(network.parameters()).device
    # With padding in front each review is as wide as any, so a thousand short ones would not fit into memory.
    is_front, widest = network.config.padding == "front", network.config.max_tokens
    lengths = [widest if is_front else len(ids) for ids in sequences]
    with evaluating(network):
        for batch in bucketed_batches(lengths, batch_tokens=EVALUATION_TOKENS, shuffle=False):
            ids, sizes = network.batch([sequences[i] for i in batch.tolist()])
            logits, _ = network(ids.to(device), sizes.to(device))
            probabilities[batch] = logits.cpu().double().softmax(-1).numpy()
    return probabilities


@dataclass(frozen=True)
class Prediction:
    """What a model says of one text.

    Parameters
    ----------
    label : str
        The most probable class.
    probability : float
        Its probability.
    scores : dict of str to float
        Probability of each class.
    """

    label: str
    probability: float
    scores: dict[str, float]


@dataclass(frozen=True, repr=False)
class TrainedModel:
    """A model read from a run.

    Parameters
    ----------
    classifier : Classifier
    config : TrainConfig
        What it was trained with.
    path : Path
        The run's folder.
    """

    classifier: Classifier
    config: TrainConfig
    path: Path

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes (C,)."""
        return self.classifier.classes

    @property
    def label_classes(self) -> tuple[str, ...]:
        """Names of the classes that the labels of its data have: not the stars of the task `rating`."""
        return self.classes if self.config.task == "polarity" else CLASSES

    @overload
    def predict(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, texts: Iterable[str]) -> list[Prediction]: ...
    def predict(self, texts: str | Iterable[str]) -> Prediction | list[Prediction]:
        """Return the most probable class of one text, or of each of several.

        Parameters
        ----------
        texts : str or iterable of str (N,)

        Examples
        --------
        >>> model = load("runs/imdb_sentiment/nbsvm")  # doctest: +SKIP
        >>> model.predict("A moving film.").label  # doctest: +SKIP
        'positive'
        """
        if isinstance(texts, str):
            return self.predict([texts])[0]
        texts = list(texts)
        predictions: list[Prediction] = []
        for start in range(0, len(texts), CHUNK):
            for row in self.probabilities(texts[start : start + CHUNK]).tolist():
                scores = dict(zip(self.classes, row, strict=True))
                label = max(scores, key=scores.__getitem__)
                predictions.append(Prediction(label, scores[label], scores))
        return predictions

    def probabilities(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return the probability of each class, (N, C), in the order of `classes`."""
        return self.classifier.probabilities(texts)

    def __repr__(self) -> str:
        recipe = f"recipe {self.config.recipe}, " if self.config.recipe else ""
        return (
            f"<imdb_sentiment model: {self.config.model}, {recipe}{self.classifier.weight_count:,} weights, "
            f"classes {', '.join(self.classes)}, from {self.path}>"
        )


def load(run: str | Path, *, device: str | torch.device = "auto") -> TrainedModel:
    """Read the best model of a run.

    Parameters
    ----------
    run : str or Path
        Run folder.
    device : {"auto", "cpu", "cuda", "mps"} or torch device
        Where a network computes; auto: a GPU if there is one.

    Raises
    ------
    UserError
        The folder is no run, holds no whole checkpoint, or its files do not fit together; the device is not there.
    """
    opened = RunDirectory.read(run, task="imdb-sentiment")
    config = configuration.load(TrainConfig, opened.path / "config.yaml")
    return TrainedModel(_read(config, opened.chosen().folder, device), config, opened.path)


def save_classes(classes: Sequence[str], folder: Path) -> None:
    """Write the names of the classes into a checkpoint's folder."""
    write_json(folder / CLASSES_FILE, list(classes))


def _classes(config: TrainConfig, folder: Path) -> tuple[str, ...]:
    path = folder / CLASSES_FILE
    if not path.exists():  # a run of an earlier version
        return task_classes(config.task)
    try:
        return check_classes(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UserError(f"{path}: is damaged. Restore it or train again.") from None


def _read(config: TrainConfig, folder: Path, device: str | torch.device) -> Classifier:
    classes = _classes(config, folder)
    # Here, because a linear model needs no torch and a network no scikit-learn.
    if config.model in LINEAR:
        from imdb_sentiment.model.linear import LinearClassifier

        return LinearClassifier.load(config, classes, folder)
    from shared.torch.checkpoint import load_weights
    from shared.torch.device import choose_device

    where = choose_device(device) if isinstance(device, str) else device
    network: TextNetwork
    codec: Codec
    if config.model == "encoder":
        from imdb_sentiment.model.encoder import read_encoder

        network, codec = read_encoder(config, folder, len(classes))
    else:
        from safetensors import SafetensorError, safe_open

        from imdb_sentiment.data.text import WordCodec
        from imdb_sentiment.model.build import build_network
        from imdb_sentiment.model.log_count_ratios import LogCountRatios

        codec = words = WordCodec.load(config, folder)
        path = folder / "model.safetensors"
        try:
            with safe_open(str(path), framework="np") as file:
                dimension = file.get_slice("embedding.weight").get_shape()[1]
                shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{path}: cannot be read as this model's ({error}). Restore it or train again."
            ) from None
        # Pretrained vectors have a dimension of their own, which no setting tells.
        network = build_network(
            config,
            words.vocabulary,
            classes=len(classes),
            dimension=dimension,
            ratios=LogCountRatios.of_shapes(shapes),
        )
    load_weights(folder, network)
    return NetworkClassifier(config, classes, network.to(where).eval(), codec)
