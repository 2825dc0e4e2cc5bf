"""LSTM classifiers: torch's LSTM or the hand-written one, pooled over the real tokens of a review.

Shapes: B batch, T time in tokens, D dimension of a word vector, H hidden size, K directions (1, or 2 with a backward
one), C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.model.lstm import HandwrittenLSTM, State, reversed_positions, take_positions
from imdb_sentiment.model.network import Network, Sizes
from shared.torch.device import recurrent_dtype
from shared.torch.masking import mask_from_lengths


class ReversingLSTM(HandwrittenLSTM):
    """The function that `nn.LSTM` computes of packed sequences, on torch's kernel for padded batches.

    That kernel is several times as fast as the one for packed sequences on a CPU. The backward direction gets each
    review reversed within its own length, so neither direction reads padding before it is done.
    """

    def forward(
        self, inputs: Tensor, lengths: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Return outputs and final state, see `HandwrittenLSTM.forward`.

        The final c of a padded review is NaN: the kernel returns it after the padding only.
        """
        size = inputs.shape[1]
        is_real = mask_from_lengths(lengths, size)[:, :, None]  # (B, T, 1)
        reverse = reversed_positions(lengths, size)
        last = (lengths - 1).to(inputs.device)[:, None]  # (B, 1)
        is_padded = (lengths < size).to(inputs.device)[:, None]
        dtype, kind = recurrent_dtype(inputs), inputs.device.type
        initial = self._split(state, inputs)
        final_h: list[Tensor] = []
        final_c: list[Tensor] = []
        outputs = inputs
        for layer, (h0, c0) in enumerate(initial):
            outputs = self.dropout(outputs) if layer else outputs
            by_direction = []
            for k in range(self.directions):
                read = take_positions(outputs, reverse) if k else outputs
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                weights = [self._weight(name, layer, k).to(dtype) for name in names]
                start = (h0[k : k + 1].to(dtype), c0[k : k + 1].to(dtype))
                with torch.autocast(kind, enabled=False):
                    states, _, cell = torch.lstm(
                        read.to(dtype), start, weights, True, 1, 0.0, self.training, False, True
                    )  # (B, T, H)
                final_h.append(take_positions(states, last)[:, 0])
                final_c.append(cell[0].masked_fill(is_padded, torch.nan))
                by_direction.append(take_positions(states, reverse) if k else states)
            outputs = torch.cat(by_direction, -1).masked_fill(~is_real, 0.0)
        return outputs, (torch.stack(final_h), torch.stack(final_c))


class CarriedState:
    """The hidden state that `carry_state` passes from batch to batch; checkpoints keep it."""

    def __init__(self) -> None:
        self.state: State | None = None

    def for_batch(self, batch: int, device: torch.device) -> State | None:
        """Return h and c (layers K, B, H) on a device; rows that the last batch did not have are 0."""
        if self.state is None:
            return None
        h, c = (
            torch.nn.functional.pad(
                part[:, :batch].to(device), (0, 0, 0, max(0, batch - part.shape[1]))
            )
            for part in self.state
        )
        return h, c

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` takes."""
        return {} if self.state is None else dict(zip("hc", self.state, strict=True))

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue with a saved state."""
        self.state = (saved["h"], saved["c"]) if saved else None


class RecurrentClassifier(Network):
    """Word vectors, LSTM layers, pooling, classes.

    With `padding: front` it is the coursework's: every position is read, padding too, and `last_position` takes the
    output at the last one, where the backward direction has read a single word.
    """

    def __init__(self, config: TrainConfig, sizes: Sizes) -> None:
        directions = 2 if config.bidirectional else 1
        parts = 2 if config.pooling == "max_mean" else 1
        super().__init__(config, sizes, parts * directions * config.hidden_size)
        family = ReversingLSTM if config.model == "lstm" else HandwrittenLSTM
        self.lstm = family(
            sizes.input,
            config.hidden_size,
            config.layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
        )
        self.carried = CarriedState() if config.carry_state else None

    def pooled(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Return the features (B, parts K H) that the head reads, of word vectors (B, T, D)."""
        if self.config.padding == "front":
            lengths = torch.full_like(lengths, vectors.shape[1])
        is_carried = self.training and self.carried is not None
        state = None
        if is_carried:
            state = self.carried.for_batch(len(vectors), vectors.device)  # type: ignore[union-attr]
        outputs, (h, c) = self.lstm(vectors, lengths, state)
        if is_carried:
            self.carried.state = (h.detach(), c.detach())  # type: ignore[union-attr]
        if self.config.pooling == "last_position":
            return outputs[:, -1]
        if self.config.pooling == "last":
            return torch.cat(tuple(h[-self.lstm.directions :]), -1)
        return self.pool(outputs, lengths)
