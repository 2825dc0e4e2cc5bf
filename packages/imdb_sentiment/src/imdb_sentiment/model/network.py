"""The common parts of the LSTM and the CNN: word vectors, pooling over time, a head with the classes.

Shapes: B batch, T time in tokens, D dimension of a word vector, H size of a hidden state, C classes, V vocabulary size.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.reviews import RATINGS
from imdb_sentiment.model.log_count_ratios import LogCountRatios
from shared.text.batching import pad
from shared.torch.masking import masked_max, masked_mean


class TextNetwork(nn.Module):
    """Interface of all networks over token ids: what training, evaluation, explanation and export use.

    Attributes
    ----------
    config : TrainConfig
    pad_id : int
    class_count : int
        C.
    counted : int
        Numbers at the end of a word's vector that are counted in the data, and not learned.
    """

    config: TrainConfig
    pad_id: int
    class_count: int
    counted = 0

    @abstractmethod
    def vectors(self, ids: Tensor, folds: Tensor | None = None) -> Tensor:
        """Return the word vectors (B, T, D) of ids (B, T), without dropout: what saliency differentiates by.

        Training gives the folds of the reviews (B,), for inputs that are counted on reviews of other folds.
        """

    @abstractmethod
    def from_vectors(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits (B, C), and logits of the ratings (B, 8) if `rating_weight` trains them too."""

    def forward(
        self,
        ids: Tensor,
        lengths: Tensor,
        shift: Tensor | None = None,
        folds: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the logits of a batch.

        Parameters
        ----------
        ids : int64 tensor (B, T)
        lengths : int64 tensor (B,)
            Number of tokens of each review.
        shift : float tensor (B, T, D), optional
            Added to the word vectors (adversarial training).
        folds : int64 tensor (B,), optional
            See `vectors`.

        Returns
        -------
        logits : float tensor (B, C)
        rating_logits : float tensor (B, 8) or None
        """
        vectors = self.vectors(ids, folds)
        return self.from_vectors(vectors if shift is None else vectors + shift, lengths)

    def batch(self, sequences: list[NDArray[np.int32]]) -> tuple[Tensor, Tensor]:
        """Return ids (B, T), padded as the configuration says, and lengths (B,)."""
        return padded(sequences, self.config, self.pad_id)


def padded(
    sequences: list[NDArray[np.int32]], config: TrainConfig, pad_id: int
) -> tuple[Tensor, Tensor]:
    """Return ids (B, T), padded as a configuration says, and lengths (B,); loader processes have no network."""
    is_front = config.padding == "front"
    length = config.max_tokens if is_front else None
    ids, lengths = pad(sequences, pad_id, front=is_front, length=length)
    return torch.from_numpy(ids), torch.from_numpy(lengths)


class Head(nn.Module):
    """Dropout, an optional hidden layer, a linear layer to the classes, and a second one to the ratings if wanted.

    Parameters
    ----------
    config : TrainConfig
    size : int
        Features of a pooled review.
    classes : int
        C.
    """

    def __init__(self, config: TrainConfig, size: int, classes: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        hidden = config.head_size
        self.inner = nn.Linear(size, hidden) if hidden else None
        self.activation = torch.relu if config.head_activation == "relu" else torch.tanh
        self.classes = nn.Linear(hidden or size, classes)
        has_ratings = config.rating_weight > 0
        self.ratings = nn.Linear(hidden or size, len(RATINGS)) if has_ratings else None

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits (B, C), and (B, 8) or None."""
        features = self.dropout(pooled)
        if self.inner is not None:
            features = self.activation(self.inner(features))
        ratings = self.ratings(features) if self.ratings is not None else None
        return self.classes(features), ratings


@dataclass(frozen=True)
class Sizes:
    """The sizes that a network takes from its data.

    Parameters
    ----------
    vocabulary : int
        V.
    pad_id : int
        Its vector is zero and stays so.
    dimension : int
        D.
    classes : int
        C.
    prefix_of : int64 array (V,) or None
        Number of each word's prefix; `<pad>` has 0.
    ratios : LogCountRatios or None
        More inputs for each word, which stand behind its vector.
    """

    vocabulary: int
    pad_id: int
    dimension: int
    classes: int
    prefix_of: NDArray[np.int64] | None = None
    ratios: LogCountRatios | None = None

    @property
    def counted(self) -> int:
        """Numbers of the ratios of a word."""
        return 0 if self.ratios is None else self.ratios.size

    @property
    def input(self) -> int:
        """Size of a word's vector with its ratios."""
        return self.dimension + self.counted


class Network(TextNetwork):
    """A network with word vectors of its own; a family adds `pooled`.

    Parameters
    ----------
    config : TrainConfig
    sizes : Sizes
    pooled_size : int
        Features that `pooled` returns for a review.
    """

    prefix_of: Tensor

    def __init__(self, config: TrainConfig, sizes: Sizes, pooled_size: int) -> None:
        super().__init__()
        self.config, self.pad_id, self.class_count = config, sizes.pad_id, sizes.classes
        # padding_idx: the row of padding is zero and gets no gradient.
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.dimension, padding_idx=sizes.pad_id)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.prefixes = None
        if sizes.prefix_of is not None:
            self.register_buffer("prefix_of", torch.from_numpy(sizes.prefix_of), persistent=False)
            count = int(sizes.prefix_of.max()) + 1
            self.prefixes = nn.Embedding(count, sizes.dimension, padding_idx=0)
            nn.init.uniform_(self.prefixes.weight, -0.1, 0.1)
        with torch.no_grad():
            for table in (self.embedding, self.prefixes):
                if table is not None:
                    table.weight[table.padding_idx].zero_()  # type: ignore[index]
        # Frozen vectors are no parameters of the optimizer, and DDP does not wait for them.
        if config.vector_rate == 0:
            for table in (self.embedding, self.prefixes):
                if table is not None:
                    table.weight.requires_grad = False
        self.ratios, self.counted = sizes.ratios, sizes.counted
        self.head = Head(config, pooled_size, sizes.classes)
        self.register_load_state_dict_pre_hook(_rename_former)

    @abstractmethod
    def pooled(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Return what the head reads (B, P) of word vectors (B, T, D)."""

    def vectors(self, ids: Tensor, folds: Tensor | None = None) -> Tensor:
        """Return word vectors (B, T, D); with `prefix_letters`, the sum of the word's and its prefix's.

        Behind them are the log-count ratios, if the configuration has them.
        """
        vectors = self.embedding(ids)
        if self.prefixes is not None:
            vectors = vectors + self.prefixes(self.prefix_of[ids])
        if self.ratios is not None:
            vectors = torch.cat([vectors, self.ratios(ids, folds)], -1)
        return vectors

    def from_vectors(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits (B, C), and (B, 8) or None, of word vectors (B, T, D)."""
        p = self.config.input_dropout
        if self.training and p:
            # One mask for all tokens of a review (Gal and Ghahramani 2016, arXiv 1512.05287, section 4): with a mask
            # for each token, the dropped features could be read off its neighbors.
            mask = F.dropout(vectors.new_ones(len(vectors), 1, vectors.shape[2]), p)  # (B, 1, D)
            vectors = vectors * mask
        return self.head(self.pooled(vectors, lengths))

    def pool(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return maximum, mean, or both of states (B, T, H) over the real tokens: (B, H) or (B, 2H)."""
        pooling = self.config.pooling
        parts = []
        if pooling in ("max", "max_mean"):
            parts.append(masked_max(states, lengths))
        if pooling in ("mean", "max_mean"):
            parts.append(masked_mean(states, lengths))
        return torch.cat(parts, -1)


def _rename_former(module: nn.Module, weights: dict[str, Tensor], *rest: object) -> None:
    """Give weights of runs of earlier versions their present names."""
    for name in [name for name in weights if name.startswith("stems.")]:
        weights[name.replace("stems.", "prefixes.")] = weights.pop(name)
