"""Reading a trained model from its run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import LINEAR, TrainConfig
from imdb_sentiment.data.dataset import class_count
from imdb_sentiment.model.base import Classifier
from shared.command import config as configuration
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory
from shared.text.batching import bucketed_batches

if TYPE_CHECKING:
    from imdb_sentiment.data.text import Codec, Ids
    from imdb_sentiment.model.network import TextNetwork

EVALUATION_TOKENS = 16384
"""Tokens of a batch, padding included, where no gradient is kept."""


class NetworkClassifier(Classifier):
    """A network with what turns reviews into its ids.

    Parameters
    ----------
    config : TrainConfig
    network : TextNetwork
    codec : Codec
    """

    def __init__(self, config: TrainConfig, network: TextNetwork, codec: Codec) -> None:
        self.config, self.network, self.codec = config, network, codec

    @property
    def weight_count(self) -> int:
        """How many numbers were learned."""
        return sum(weight.numel() for weight in self.network.parameters())

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each class, (N, C)."""
        return network_probabilities(self.network, self.codec.encode(texts))


def network_probabilities(
    network: TextNetwork,
    sequences: Sequence[Ids],
    progress: Callable[[int], object] = lambda done: None,
) -> NDArray[np.float64]:
    """Return the probability of each class of encoded reviews.

    Parameters
    ----------
    network : TextNetwork
        On any device; its mode is put back.
    sequences : sequence of int arrays (N,)
    progress : callable
        Told the number of reviews after each batch.

    Returns
    -------
    float64 array (N, C)
    """
    from shared.torch.evaluation import evaluating

    found = np.zeros((len(sequences), class_count(network.config.task)))
    device = next(network.parameters()).device
    # With padding in front each review is as wide as any, so a thousand short ones would not fit into memory.
    is_front, widest = network.config.padding == "front", network.config.max_tokens
    lengths = [widest if is_front else len(ids) for ids in sequences]
    with evaluating(network):
        for batch in bucketed_batches(lengths, batch_tokens=EVALUATION_TOKENS, shuffle=False):
            ids, sizes = network.batch([sequences[i] for i in batch.tolist()])
            logits, _ = network(ids.to(device), sizes.to(device))
            found[batch] = logits.double().softmax(-1).cpu().numpy()
            progress(len(batch))
    return found


@dataclass(frozen=True)
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


def load_run(path: str | Path, *, device: Any = "cpu") -> TrainedModel:
    """Read the best model of a run.

    Raises
    ------
    UserError
        The folder is no run, holds no whole checkpoint, or its files do not fit together.
    """
    run = RunDirectory.read(path, task="imdb-sentiment")
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    return TrainedModel(_read(config, run.chosen().folder, device), config, run.path)


def _read(config: TrainConfig, folder: Path, device: Any) -> Classifier:
    # Here, because a linear model needs no torch and a network no scikit-learn.
    if config.model in LINEAR:
        from imdb_sentiment.model.linear import LinearClassifier

        return LinearClassifier.load(config, folder)
    from shared.torch.checkpoint import load_weights

    network: TextNetwork
    codec: Codec
    if config.model == "encoder":
        from imdb_sentiment.model.encoder import read_encoder

        network, codec = read_encoder(config, folder)
    else:
        from safetensors import SafetensorError, safe_open

        from imdb_sentiment.data.text import WordCodec
        from imdb_sentiment.model.network import build_network

        codec = words = WordCodec.load(config, folder)
        path = folder / "model.safetensors"
        try:
            with safe_open(str(path), framework="np") as file:
                shape = file.get_slice("embedding.weight").get_shape()
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{path}: cannot be read as this model's ({error}). Restore it or train again."
            ) from None
        # Given vectors have a size of their own, which no setting tells.
        network = build_network(config, words.vocabulary, dimension=int(shape[1]))
    load_weights(folder, network)
    return NetworkClassifier(config, network.to(device).eval(), codec)
