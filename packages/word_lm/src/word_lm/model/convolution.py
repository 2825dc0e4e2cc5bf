"""The gated convolutional model: each word is predicted from a fixed window of words before it.

Shapes: T time, B columns, E size of a word vector, C channels, K words a convolution sees.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from word_lm.config import TrainConfig
from word_lm.model.base import LanguageModel, State


class GatedConvolution(LanguageModel):
    """Layers of causal convolutions, each gated and added to its input.

    The state of a layer is its last K - 1 inputs, so a text read in pieces gives what it gives read at once. With L
    layers a word sees L * (K - 1) words before it.

    References
    ----------
    Dauphin et al. 2017, arXiv 1612.08083, equation 1. Weights are not normalised as there; inputs are.
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size, config.hidden_size)
        self.channels, self.kernel = config.hidden_size, config.kernel
        self.dropout = nn.Dropout(config.dropout)
        self.inward = nn.Linear(config.embedding_size, self.channels)
        self.layers = nn.ModuleList(
            _GatedLayer(self.channels, config.kernel, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(self.channels)

    @property
    def reach(self) -> int:
        """How many words before it a word sees."""
        return len(self.layers) * (self.kernel - 1)

    def init_state(self, batch: int) -> State:
        """Return zeros (K - 1, B, C) per layer: what lies before a text."""
        before = self.inward.weight.new_zeros(self.kernel - 1, batch, self.channels)
        return tuple(before for _ in self.layers)

    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words; see `LanguageModel.encode`."""
        states = self.inward(self.dropout(self.embedding(ids)))
        after = []
        for layer, past in zip(self.layers, state, strict=True):
            states, new = layer(states, past)
            after.append(new)
        raw = self.norm(states)
        return self.dropout(raw), raw, tuple(after)


class _GatedLayer(nn.Module):
    """One causal convolution of normalised inputs; half of its channels gate the other half."""

    def __init__(self, channels: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.kernel = kernel
        self.norm = nn.LayerNorm(channels)
        self.convolve = nn.Linear(kernel * channels, 2 * channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        normed = self.norm(states)
        time = len(states)
        text = torch.cat([past.to(normed.dtype), normed])  # (K - 1 + T, B, C)
        windows = torch.cat([text[shift : shift + time] for shift in range(self.kernel)], dim=-1)
        out = states + self.dropout(F.glu(self.convolve(windows)))
        return out, text[time:]
