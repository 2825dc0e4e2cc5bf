"""A convolutional classifier: filters over neighbouring words, the strongest answer of each anywhere in the review.

Shapes: B batch, T time in tokens, D size of a word vector, H filters of each width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.model.network import Network, Words
from shared.torch.masking import mask_from_lengths


class ConvolutionalClassifier(Network):
    """Filters of several widths, pooled over a review's own tokens.

    References
    ----------
    Kim 2014, arXiv 1408.5882.
    """

    def __init__(self, config: TrainConfig, words: Words) -> None:
        parts = 2 if config.pooling == "max_mean" else 1
        size = parts * config.hidden_size * len(config.widths)
        super().__init__(config, words, size)
        self.filters = nn.ModuleList(
            nn.Linear(width * words.dimension, config.hidden_size) for width in config.widths
        )

    def pooled(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Return what the head reads, (B, parts widths H), of word vectors (B, T, D)."""
        is_real = mask_from_lengths(lengths, vectors.shape[1])[:, :, None]
        vectors = vectors.masked_fill(~is_real, 0.0)  # a filter reads over a review's end
        found = []
        for width, filters in zip(self.config.widths, self.filters, strict=True):
            # A window begins at each of the review's tokens, so that one of a single word has one too.
            padded = nn.functional.pad(vectors, (0, 0, 0, width - 1))
            windows = torch.cat(
                [padded[:, place : place + vectors.shape[1]] for place in range(width)], -1
            )  # (B, T, width D)
            found.append(torch.relu(filters(windows)))
        return self.pool(torch.cat(found, -1), lengths)
