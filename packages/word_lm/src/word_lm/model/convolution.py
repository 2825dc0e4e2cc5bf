"""The gated convolutional model: each word is predicted from a fixed window of words before it.

Shapes: T time, B columns, E size of a word vector, C channels, K kernel size in words.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from word_lm.config import TrainConfig
from word_lm.model.base import LanguageModel, State


class GatedConvolution(LanguageModel):
    """Causal convolutions with gated linear units and residual connections.

    The state of a layer is its last K - 1 inputs, so a text read in pieces gives the same as read at once. With L
    layers the receptive field is L * (K - 1) words before the present one.

    References
    ----------
    Dauphin et al. 2017, arXiv 1612.08083, equation 1. Weights are not normalized as there; inputs are (layer norm).
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size, config.hidden_size)
        self.channels, self.kernel = config.hidden_size, config.kernel
        self.dropout = nn.Dropout(config.dropout)
        self.in_proj = nn.Linear(config.embedding_size, self.channels)
        self.layers = nn.ModuleList(
            _GatedLayer(self.channels, config.kernel, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(self.channels)

    @property
    def receptive_field(self) -> int:
        """Words before the present one that a prediction depends on."""
        return len(self.layers) * (self.kernel - 1)

    def init_state(self, batch: int) -> State:
        """Return zeros (K - 1, B, C) per layer: the padding before a text."""
        before = self.in_proj.weight.new_zeros(self.kernel - 1, batch, self.channels)
        return tuple(before for _ in self.layers)

    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words; see `LanguageModel.encode`."""
        states = self.in_proj(self.dropout(self.embedding(ids)))  # (T, B, C)
        new_state = []
        for layer, past in zip(self.layers, state, strict=True):
            states, new = layer(states, past)
            new_state.append(new)
        raw = self.norm(states)
        return self.dropout(raw), raw, tuple(new_state)


class _GatedLayer(nn.Module):
    """One causal convolution of layer-normalized inputs with a gated linear unit and a residual connection."""

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
        # Window t holds inputs t - K + 1 .. t only: no word after t, so the convolution is causal.
        windows = torch.cat([text[shift : shift + time] for shift in range(self.kernel)], dim=-1)
        # h(X) = (X W + b) * sigmoid(X V + c), equation 1; W and V are the halves of one matrix.
        gated = F.glu(self.convolve(windows))  # (T, B, K * C) to (T, B, C)
        return states + self.dropout(gated), text[time:]
