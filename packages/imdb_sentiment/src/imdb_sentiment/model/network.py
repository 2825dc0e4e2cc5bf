"""What every network here does: ids to word vectors, something over time, pooling, a head.

Shapes: B batch, T time in tokens, D size of a word vector, C classes, V vocabulary size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.dataset import RATINGS, class_count
from imdb_sentiment.data.text import PAD, SPECIALS
from shared.text.batching import pad
from shared.text.vocabulary import Vocabulary
from shared.torch.masking import masked_max, masked_mean


class TextNetwork(nn.Module):
    """A model of reviews as ids: what training, evaluation, explanation and export use.

    Attributes
    ----------
    config : TrainConfig
    pad_id : int
    """

    config: TrainConfig
    pad_id: int

    @abstractmethod
    def vectors(self, ids: Tensor) -> Tensor:
        """Return the vectors (B, T, D) of ids (B, T), without dropout: what explanations differentiate by."""

    @abstractmethod
    def from_vectors(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return scores (B, C), and scores of the ratings (B, 8) where they are learned too."""

    def forward(
        self, ids: Tensor, lengths: Tensor, shift: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Read reviews.

        Parameters
        ----------
        ids : int64 tensor (B, T)
        lengths : int64 tensor (B,)
            Tokens of each review.
        shift : float tensor (B, T, D), optional
            Added to the word vectors (adversarial training).

        Returns
        -------
        logits : float tensor (B, C)
        rating_logits : float tensor (B, 8) or None
        """
        vectors = self.vectors(ids)
        return self.from_vectors(vectors if shift is None else vectors + shift, lengths)

    def batch(self, sequences: list[NDArray[np.int32]]) -> tuple[Tensor, Tensor]:
        """Return ids (B, T), padded as the configuration says, and lengths (B,)."""
        return padded(sequences, self.config, self.pad_id)


def padded(
    sequences: list[NDArray[np.int32]], config: TrainConfig, pad_id: int
) -> tuple[Tensor, Tensor]:
    """Return ids (B, T), padded as a configuration says, and lengths (B,); needs no network, as loading processes."""
    is_front = config.padding == "front"
    length = config.max_tokens if is_front else None
    ids, lengths = pad(sequences, pad_id, front=is_front, length=length)
    return torch.from_numpy(ids), torch.from_numpy(lengths)


class Head(nn.Module):
    """Dropout, a layer with tanh if wanted, classes; and a second set of classes for the rating if that is learned."""

    def __init__(self, config: TrainConfig, size: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        inner = config.head_size
        self.inner = nn.Linear(size, inner) if inner else None
        self.classes = nn.Linear(inner or size, class_count(config.task))
        has_ratings = config.rating_weight > 0
        self.ratings = nn.Linear(inner or size, len(RATINGS)) if has_ratings else None

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return scores (B, C), and (B, 8) or None."""
        hidden = self.dropout(pooled)
        if self.inner is not None:
            hidden = torch.tanh(self.inner(hidden))
        ratings = self.ratings(hidden) if self.ratings is not None else None
        return self.classes(hidden), ratings


@dataclass(frozen=True)
class Words:
    """What a network has to know of its vocabulary.

    Parameters
    ----------
    size : int
        V.
    pad_id : int
        Its vector is zero and stays so.
    dimension : int
        D.
    stem_of : int64 array (V,) or None
        Number of each word's beginning; `<pad>` has 0.
    """

    size: int
    pad_id: int
    dimension: int
    stem_of: NDArray[np.int64] | None = None


class Network(TextNetwork):
    """A network over word vectors of its own.

    Parameters
    ----------
    config : TrainConfig
    words : Words
    pooled_size : int
        What `pooled` gives for each review.
    """

    stem_of: Tensor

    def __init__(self, config: TrainConfig, words: Words, pooled_size: int) -> None:
        super().__init__()
        self.config, self.pad_id = config, words.pad_id
        # padding_idx: the row of padding is zero and gets no gradient.
        self.embedding = nn.Embedding(words.size, words.dimension, padding_idx=words.pad_id)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.stems = None
        if words.stem_of is not None:
            self.register_buffer("stem_of", torch.from_numpy(words.stem_of), persistent=False)
            count = int(words.stem_of.max()) + 1
            self.stems = nn.Embedding(count, words.dimension, padding_idx=0)
            nn.init.uniform_(self.stems.weight, -0.1, 0.1)
        with torch.no_grad():
            for rows in (self.embedding, self.stems):
                if rows is not None:
                    rows.weight[rows.padding_idx].zero_()  # type: ignore[index]
        self.head = Head(config, pooled_size)

    @abstractmethod
    def pooled(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Return what the head reads (B, P) of word vectors (B, T, D)."""

    def vectors(self, ids: Tensor) -> Tensor:
        """Return word vectors (B, T, D); with stems, those of the word and of its beginning added."""
        vectors = self.embedding(ids)
        return vectors if self.stems is None else vectors + self.stems(self.stem_of[ids])

    def from_vectors(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return scores (B, C), and (B, 8) or None, of word vectors (B, T, D)."""
        share = self.config.input_dropout
        if self.training and share:
            # The same features for a whole review: others would be read off its neighbours.
            kept = F.dropout(vectors.new_ones(len(vectors), 1, vectors.shape[2]), share)
            vectors = vectors * kept
        return self.head(self.pooled(vectors, lengths))

    def pool(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return maximum, mean, or both of states (B, T, H) over a review's own tokens."""
        kind = self.config.pooling
        parts = []
        if kind in ("max", "max_mean"):
            parts.append(masked_max(states, lengths))
        if kind in ("mean", "max_mean"):
            parts.append(masked_mean(states, lengths))
        return torch.cat(parts, -1)


def build_network(
    config: TrainConfig,
    vocabulary: Vocabulary,
    *,
    dimension: int | None = None,
    vectors: NDArray[np.float32] | None = None,
) -> Network:
    """Return an untrained network; its first weights follow from torch's global generator.

    Parameters
    ----------
    config : TrainConfig
    vocabulary : Vocabulary
        `<pad>`, `<unk>`, words.
    dimension : int, optional
        D; default: the configuration's, or that of `vectors`.
    vectors : float32 array (V, D), optional
        Word vectors to begin with.
    """
    from imdb_sentiment.model.convolution import ConvolutionalClassifier
    from imdb_sentiment.model.recurrent import RecurrentClassifier

    if vectors is not None:
        dimension = vectors.shape[1]
    letters = config.stem_letters
    words = Words(
        size=len(vocabulary),
        pad_id=vocabulary.id(PAD),
        dimension=dimension or config.embedding_size,
        stem_of=None if letters is None else stem_numbers(vocabulary.tokens, letters),
    )
    kind = ConvolutionalClassifier if config.model == "cnn" else RecurrentClassifier
    network = kind(config, words)
    if vectors is not None:
        with torch.no_grad():
            network.embedding.weight.copy_(torch.from_numpy(vectors))
            network.embedding.weight[words.pad_id].zero_()
    return network


def stem_numbers(tokens: Sequence[str], letters: int) -> NDArray[np.int64]:
    """Return the number of each token's first letters, by first occurrence; `<pad>` is 0 and alone."""
    known = {PAD: 0}
    stems = (token if token in SPECIALS else token[:letters] for token in tokens)
    return np.array([known.setdefault(stem, len(known)) for stem in stems], dtype=np.int64)
