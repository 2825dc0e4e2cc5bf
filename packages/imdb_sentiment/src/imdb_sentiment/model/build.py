"""From a configuration and a vocabulary to an untrained network of the right family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.text import PAD, SPECIALS
from imdb_sentiment.model.convolution import ConvolutionalClassifier
from imdb_sentiment.model.log_count_ratios import LogCountRatios
from imdb_sentiment.model.network import Network, Sizes
from imdb_sentiment.model.recurrent import RecurrentClassifier
from shared.text.vocabulary import Vocabulary


def build_network(
    config: TrainConfig,
    vocabulary: Vocabulary,
    *,
    classes: int = 2,
    dimension: int | None = None,
    vectors: NDArray[np.float32] | None = None,
    ratios: LogCountRatios | None = None,
) -> Network:
    """Return an untrained network; its initial weights are drawn from torch's global generator.

    Parameters
    ----------
    config : TrainConfig
    vocabulary : Vocabulary
        `<pad>`, `<unk>`, words.
    classes : int
        C, >= 2.
    dimension : int, optional
        D; default: the configuration's, or that of `vectors`.
    vectors : float32 array (V, D), optional
        Pretrained word vectors.
    ratios : LogCountRatios, optional
    """
    if vectors is not None:
        dimension = vectors.shape[1]
    letters = config.prefix_letters
    sizes = Sizes(
        vocabulary=len(vocabulary),
        pad_id=vocabulary.id(PAD),
        dimension=dimension or config.embedding_size,
        classes=classes,
        prefix_of=None if letters is None else prefix_numbers(vocabulary.tokens, letters),
        ratios=ratios,
    )
    family = ConvolutionalClassifier if config.model == "cnn" else RecurrentClassifier
    network = family(config, sizes)
    if vectors is not None:
        with torch.no_grad():
            network.embedding.weight.copy_(torch.from_numpy(vectors))
            network.embedding.weight[sizes.pad_id].zero_()
    return network


def prefix_numbers(tokens: Sequence[str], letters: int) -> NDArray[np.int64]:
    """Return the number of each token's prefix, by first occurrence; `<pad>` is 0 and alone."""
    number_of = {PAD: 0}
    prefixes = (token if token in SPECIALS else token[:letters] for token in tokens)
    return np.array(
        [number_of.setdefault(prefix, len(number_of)) for prefix in prefixes], dtype=np.int64
    )
