"""LSTM classifiers: torch's LSTM or the hand-written one, pooled over a review's own tokens.

Shapes: B batch, T time in tokens, D size of a word vector, H hidden size, W ways (1, or 2 with a backward one),
C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.model.lstm import HandwrittenLSTM, by_place, reversed_places
from imdb_sentiment.model.network import Network, Words
from shared.torch.masking import mask_from_lengths


class MirroredLSTM(HandwrittenLSTM):
    """What `nn.LSTM` makes of packed sequences, by torch's kernel for sequences of one length.

    That kernel is several times as fast as the one for packed ones on a CPU. The backward way gets each review
    turned round within its own length, so neither way reads padding before it is done.
    """

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read reviews; see `HandwrittenLSTM.forward`. The final c is NaN: the kernel tells it after padding only."""
        size = inputs.shape[1]
        is_real = mask_from_lengths(lengths, size)[:, :, None]  # (B, T, 1)
        mirrored = reversed_places(lengths, size)
        last = (lengths - 1).to(inputs.device)[:, None]  # (B, 1)
        zeros = inputs.new_zeros(1, inputs.shape[0], self.hidden_size)
        final_h: list[Tensor] = []
        outputs = inputs
        for layer in range(self.num_layers):
            outputs = self.dropout(outputs) if layer else outputs
            found = []
            for way in range(self.ways):
                read = by_place(outputs, mirrored) if way else outputs
                kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                weights = [self._weight(kind, layer, way) for kind in kinds]
                state = (zeros, zeros)
                states, _, _ = torch.lstm(
                    read, state, weights, True, 1, 0.0, self.training, False, True
                )  # (B, T, H)
                final_h.append(by_place(states, last)[:, 0])
                found.append(by_place(states, mirrored) if way else states)
            outputs = torch.cat(found, -1).masked_fill(~is_real, 0.0)
        h = torch.stack(final_h)
        return outputs, (h, torch.full_like(h, torch.nan))


class RecurrentClassifier(Network):
    """Word vectors, LSTM layers, pooling, classes.

    With `padding: front` it is the coursework's: every place is read, padding too, and `last_place` takes the state at
    the last one, where the backward way has read a single word.
    """

    def __init__(self, config: TrainConfig, words: Words) -> None:
        ways = 2 if config.bidirectional else 1
        parts = 2 if config.pooling == "max_mean" else 1
        super().__init__(config, words, parts * ways * config.hidden_size)
        kind = MirroredLSTM if config.model == "lstm" else HandwrittenLSTM
        self.lstm = kind(
            words.dimension,
            config.hidden_size,
            config.layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
        )

    def pooled(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Return what the head reads, (B, parts W H), of word vectors (B, T, D)."""
        if self.config.padding == "front":
            lengths = torch.full_like(lengths, vectors.shape[1])
        outputs, (h, _) = self.lstm(vectors, lengths)
        if self.config.pooling == "last_place":
            return outputs[:, -1]
        if self.config.pooling == "last":
            return torch.cat(tuple(h[-self.lstm.ways :]), -1)
        return self.pool(outputs, lengths)
