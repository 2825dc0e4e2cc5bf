"""Two Transformers: the coursework's, as pytorch/examples built it, and a modern one.

Shapes: T time, P words remembered, B columns, E width, V words.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from word_lm.config import TrainConfig
from word_lm.model.attention import CausalAttention, causal_mask
from word_lm.model.base import LanguageModel, State

_EVERYTHING = 1 << 30


class Transformer(LanguageModel):
    """The coursework's: sinusoidal positions, normalisation after each block, a causal mask always.

    It learns positions of a segment only, and each segment starts anew (`carry: false`). To generate, words are
    appended to a cache of keys and values until `memory` words are in it; then the last half of them is read again
    as a new start. So a word costs the same however long the text, and no place beyond `memory` is asked for.

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
        """Return no words, and no keys and values of them: ids (0, B), per layer two (0, B, E)."""
        empty = next(self.parameters()).new_zeros(0, batch, self.width)
        ids = torch.zeros(0, batch, dtype=torch.int64, device=empty.device)
        return ids, tuple((empty, empty) for _ in self.blocks)

    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words; see `LanguageModel.encode`."""
        before, past = state
        if len(before) and len(before) + len(ids) > self.memory:
            kept = max(0, min(self.memory // 2, self.memory - len(ids)))
            again = before[len(before) - kept :]
            states, after = self._read(torch.cat([again, ids]), self.init_state(ids.shape[1])[1])
            states, before = states[kept:], again
        else:
            states, after = self._read(ids, past)
        return states, states, (torch.cat([before, ids]), after)

    def _read(self, ids: Tensor, past: State) -> tuple[Tensor, State]:
        first, time = len(past[0][0]), len(ids)
        states = self.embedding(ids) * math.sqrt(self.width)
        places = sinusoids(first, time, self.width, ids.device)
        states = self.dropout(states + places.to(states.dtype)[:, None])
        mask = causal_mask(time, first, _EVERYTHING, ids.device)
        after = []
        for block, kept in zip(self.blocks, past, strict=True):
            states, new = block(states, kept, mask)
            after.append(new)
        return states, tuple(after)


class ModernTransformer(LanguageModel):
    """Normalisation before each block (RMSNorm), rotary positions, squared ReLU, and a memory of past segments.

    A word sees the `memory` words before it in each layer, wherever segments are cut, so a text read in pieces gives
    what it gives read at once.

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
        """Return no keys and values: per layer two (0, B, E)."""
        empty = self.norm.weight.new_zeros(0, batch, self.width)
        return tuple((empty, empty) for _ in self.blocks)

    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words; see `LanguageModel.encode`."""
        mask = causal_mask(len(ids), len(state[0][0]), self.memory, ids.device)
        states = self.dropout(F.rms_norm(self.embedding(ids), (self.width,)))
        after = []
        for block, kept in zip(self.blocks, state, strict=True):
            states, (keys, values) = block(states, kept, mask)
            after.append((keys[-self.memory :], values[-self.memory :]))
        raw = self.norm(states)
        return self.dropout(raw), raw, tuple(after)


def sinusoids(first: int, time: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return the position vectors of places first .. first + time - 1, float32 (T, E).

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762, section 3.5.
    """
    places = torch.arange(first, first + time, device=device, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    waves = torch.stack([(places * rates).sin(), (places * rates).cos()], dim=-1)  # (T, E / 2, 2)
    return waves.flatten(1)[:, :width]


class _PostNormBlock(nn.Module):
    """Attention and a ReLU layer, each added to its input and then normalised; dropout reaches all of it."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = CausalAttention(width, heads, dropout, bias=True, rotary=False)
        nn.init.xavier_uniform_(self.attention.inward.weight)
        nn.init.zeros_(self.attention.inward.bias)
        nn.init.zeros_(self.attention.outward.bias)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, past: State, mask: Tensor) -> tuple[Tensor, State]:
        seen, past = self.attention(states, past, mask)
        states = self.norms[0](states + self.dropout(seen))
        worked = self.down(self.dropout(F.relu(self.up(states))))
        return self.norms[1](states + self.dropout(worked)), past


class _PreNormBlock(nn.Module):
    """Attention and a squared-ReLU layer on normalised input, each added to what passes through."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = CausalAttention(width, heads, dropout, bias=False, rotary=True)
        self.up, self.down = (
            nn.Linear(width, inner, bias=False),
            nn.Linear(inner, width, bias=False),
        )
        self.norms = nn.ModuleList([nn.RMSNorm(width), nn.RMSNorm(width)])
        self.dropout = nn.Dropout(dropout)
        # Each block adds nothing at first, so that depth does not blow up what passes through.
        nn.init.zeros_(self.attention.outward.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, states: Tensor, past: State, mask: Tensor) -> tuple[Tensor, State]:
        seen, past = self.attention(self.norms[0](states), past, mask)
        states = states + self.dropout(seen)
        worked = self.down(F.relu(self.up(self.norms[1](states))).square())
        return states + self.dropout(worked), past
