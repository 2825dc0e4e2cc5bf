"""A convolutional classifier: filters over adjacent words, max-pooled over the review.

Shapes: B batch, T time in tokens, D dimension of a word vector, H filters of each width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.model.network import Network, Sizes
from shared.torch.masking import mask_from_lengths


class ConvolutionalClassifier(Network):
    """Filters of several widths, pooled over the real tokens of a review.

    References
    ----------
    Kim 2014, arXiv 1408.5882, equations 2 to 4.
    """

    def __init__(self, config: TrainConfig, sizes: Sizes) -> None:
        parts = 2 if config.pooling == "max_mean" else 1
        pooled_size = parts * config.hidden_size * len(config.widths)
        super().__init__(config, sizes, pooled_size)
        self.filters = nn.ModuleList(
            nn.Linear(width * sizes.input, config.hidden_size) for width in config.widths
        )

    def pooled(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Return the features (B, parts widths H) that the head reads, of word vectors (B, T, D)."""
        is_real = mask_from_lengths(lengths, vectors.shape[1])[:, :, None]
        vectors = vectors.masked_fill(~is_real, 0.0)  # a filter reads past the end of a review
        features = []
        for width, filters in zip(self.config.widths, self.filters, strict=True):
            # A window starts at each token of the review, so that a review of one word has one too.
            padded = nn.functional.pad(vectors, (0, 0, 0, width - 1))
            windows = torch.cat(
                [padded[:, offset : offset + vectors.shape[1]] for offset in range(width)], -1
            )  # x_{i:i+h-1}, (B, T, width D)
            features.append(torch.relu(filters(windows)))  # eq. 2 and 3, (B, T, H)
        return self.pool(torch.cat(features, -1), lengths)  # eq. 4
