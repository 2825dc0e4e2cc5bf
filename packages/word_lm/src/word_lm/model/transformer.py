"""Two Transformers: the coursework's, as pytorch/examples built it, and a modern one.

Shapes: T time, P words in the cache, B columns, E model width, V words.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from word_lm.config import TrainConfig
from word_lm.model.attention import CausalAttention, causal_mask
from word_lm.model.base import LanguageModel, State


class Transformer(LanguageModel):
    """The coursework's Transformer: sinusoidal positions, normalization after each block, always a causal mask.

    It learns positions within one segment only, and each segment starts from an empty state (`carry: false`). To
    generate, words are appended to a cache of keys and values until `memory` words are in it; then the last half of
    them is read again from an empty cache. So the cost of a word does not grow with the text, and positions stay below
    `memory`.

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762; pytorch/examples, word_language_model.
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size, config.embedding_size)
        self.width, self.memory = config.embedding_size, config.memory
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            _PostNormBlock(self.width, config.heads, config.hidden_size, config.dropout)
            for _ in range(config.layers)
        )

    def init_state(self, batch: int) -> State:
        """Return an empty cache: ids (0, B), and keys and values (0, B, E) per layer."""
        empty = next(self.parameters()).new_zeros(0, batch, self.width)
        ids = torch.zeros(0, batch, dtype=torch.int64, device=empty.device)
        return ids, tuple((empty, empty) for _ in self.blocks)

    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words; see `LanguageModel.encode`."""
        before, past = state
        if len(before) and len(before) + len(ids) > self.memory:
            kept = max(0, min(self.memory // 2, self.memory - len(ids)))
            again = before[len(before) - kept :]
            states, cache = self._read(torch.cat([again, ids]), self.init_state(ids.shape[1])[1])
            states, before = states[kept:], again
        else:
            states, cache = self._read(ids, past)
        return states, states, (torch.cat([before, ids]), cache)

    def _read(self, ids: Tensor, past: State) -> tuple[Tensor, State]:
        first, time = len(past[0][0]), len(ids)
        states = self.embedding(ids) * math.sqrt(self.width)  # (T, B, E), section 3.4
        positions = sinusoids(first, time, self.width, ids.device)  # (T, E)
        states = self.dropout(states + positions.to(states.dtype)[:, None])
        mask = causal_mask(time, first, device=ids.device)
        cache = []
        for block, kept in zip(self.blocks, past, strict=True):
            states, new = block(states, kept, mask)
            cache.append(new)
        return states, tuple(cache)


class ModernTransformer(LanguageModel):
    """A Transformer with RMSNorm before each block, rotary positions, squared ReLU, and a memory of past segments.

    In each layer a word attends to the `memory` words before it, wherever segments are cut, so a text read in pieces
    gives the same as read at once.

    References
    ----------
    Zhang and Sennrich 2019, arXiv 1910.07467 (RMSNorm); Dai et al. 2019, arXiv 1901.02860 (memory); So et al. 2021,
    arXiv 2109.08668 (squared ReLU).
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size, config.embedding_size)
        self.width, self.memory = config.embedding_size, config.memory
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            _PreNormBlock(self.width, config.heads, config.hidden_size, config.dropout)
            for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(self.width)

    def init_state(self, batch: int) -> State:
        """Return an empty cache: keys and values (0, B, E) per layer."""
        empty = self.norm.weight.new_zeros(0, batch, self.width)
        return tuple((empty, empty) for _ in self.blocks)

    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words; see `LanguageModel.encode`."""
        mask = causal_mask(len(ids), len(state[0][0]), self.memory, ids.device)
        states = self.dropout(F.rms_norm(self.embedding(ids), (self.width,)))  # (T, B, E)
        cache = []
        for block, kept in zip(self.blocks, state, strict=True):
            states, (keys, values) = block(states, kept, mask)
            cache.append((keys[-self.memory :], values[-self.memory :]))
        raw = self.norm(states)
        return self.dropout(raw), raw, tuple(cache)


def sinusoids(first: int, time: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return the position encodings of positions first .. first + time - 1, float32 (T, E).

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762, section 3.5.
    """
    positions = torch.arange(first, first + time, device=device, dtype=torch.float32)[:, None]
    # PE(pos, 2i) = sin(pos / 10000^(2i / E)), PE(pos, 2i + 1) = cos of the same
    frequencies = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angles = positions * frequencies  # (T, E / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


class _PostNormBlock(nn.Module):
    """Self-attention and a feed-forward layer, each with dropout, residual connection and then layer norm."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = CausalAttention(width, heads, dropout, bias=True, rotary=False)
        nn.init.xavier_uniform_(self.attention.in_proj.weight)
        nn.init.zeros_(self.attention.in_proj.bias)
        nn.init.zeros_(self.attention.out_proj.bias)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, past: State, mask: Tensor) -> tuple[Tensor, State]:
        attended, past = self.attention(states, past, mask)
        states = self.norms[0](states + self.dropout(attended))  # LayerNorm(x + Sublayer(x))
        # FFN(x) = max(0, x W_1 + b_1) W_2 + b_2, equation 2
        inner = self.down(self.dropout(F.relu(self.up(states))))
        return self.norms[1](states + self.dropout(inner)), past


class _PreNormBlock(nn.Module):
    """RMSNorm then self-attention, RMSNorm then a squared-ReLU feed-forward layer, each with a residual connection."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = CausalAttention(width, heads, dropout, bias=False, rotary=True)
        self.up, self.down = (
            nn.Linear(width, inner, bias=False),
            nn.Linear(inner, width, bias=False),
        )
        self.norms = nn.ModuleList([nn.RMSNorm(width), nn.RMSNorm(width)])
        self.dropout = nn.Dropout(dropout)
        # Each residual branch starts at zero, so that activations do not grow with depth.
        nn.init.zeros_(self.attention.out_proj.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, states: Tensor, past: State, mask: Tensor) -> tuple[Tensor, State]:
        attended, past = self.attention(self.norms[0](states), past, mask)
        states = states + self.dropout(attended)  # x + Sublayer(RMSNorm(x))
        # max(0, x W_1)^2 W_2 (So et al. 2021)
        inner = self.down(F.relu(self.up(self.norms[1](states))).square())
        return states + self.dropout(inner), past
