"""Causal multi-head attention with a cache of keys and values.

Shapes: T new words, P words in the cache, B columns, E model width, A heads, D = E / A.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalAttention(nn.Module):
    """Scaled dot-product attention with several heads; a word attends to itself, to words before it and to the cache.

    Parameters
    ----------
    width : int
        E.
    heads : int
        A, a divisor of E.
    dropout : float
        Dropout probability of the attention weights.
    bias : bool
    rotary : bool
        Use rotary position embeddings, and normalize queries and keys to unit length before (QK-norm), so that scores
        depend on relative positions.

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762, equation 1 and section 3.2.2; Su et al. 2021, arXiv 2104.09864, equation 34
    (rotary position embedding); Henry et al. 2020, arXiv 2010.04245 (QK-norm).
    """

    def __init__(self, width: int, heads: int, dropout: float, *, bias: bool, rotary: bool) -> None:
        super().__init__()
        self.heads, self.dropout, self.rotary = heads, dropout, rotary
        self.in_proj = nn.Linear(width, 3 * width, bias=bias)
        self.out_proj = nn.Linear(width, width, bias=bias)
        if rotary:
            self.scale = nn.Parameter(torch.full((heads, 1, 1), math.sqrt(width / heads)))

    def forward(
        self, states: Tensor, past: tuple[Tensor, Tensor], mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attend.

        Parameters
        ----------
        states : float tensor (T, B, E)
        past : two float tensors (P, B, E)
            Keys and values of the words before.
        mask : bool tensor (T, P + T)
            True where a word may attend.

        Returns
        -------
        float tensor (T, B, E)
        past : two float tensors (P + T, B, E)
        """
        query, key, value = self.in_proj(states).chunk(3, dim=-1)  # (T, B, E) each
        keys = torch.cat([past[0].to(key.dtype), key])  # (P + T, B, E)
        values = torch.cat([past[1].to(value.dtype), value])
        q, k, v = self._by_head(query), self._by_head(keys), self._by_head(values)  # (B, A, ., D)
        if self.rotary:
            # Scores depend on distances only, so positions may be counted from the first word of the cache.
            first = len(keys) - len(query)
            q = rotate(F.normalize(q.float(), dim=-1), first) * self.scale  # g * q / |q|
            k = rotate(F.normalize(k.float(), dim=-1), 0)  # k / |k|
            q, k = q.to(v.dtype), k.to(v.dtype)
        # softmax(Q K^T / sqrt(D)) V, equation 1; with QK-norm the learned scale g replaces 1 / sqrt(D).
        attended = F.scaled_dot_product_attention(
            *(q, k, v),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            scale=1.0 if self.rotary else None,
        )  # (B, A, T, D)
        return self.out_proj(attended.permute(2, 0, 1, 3).flatten(2)), (keys, values)

    def _by_head(self, states: Tensor) -> Tensor:
        """Return (B, A, ., D) of (., B, E)."""
        time, batch, width = states.shape
        return states.view(time, batch, self.heads, width // self.heads).permute(1, 2, 0, 3)


def rotate(vectors: Tensor, first: int) -> Tensor:
    """Apply rotary position embedding: rotate pairs of features by angles proportional to the position.

    Parameters
    ----------
    vectors : float tensor (B, A, T, D)
    first : int
        Position of the first one.

    References
    ----------
    Su et al. 2021, arXiv 2104.09864, equation 34; features i and i + D / 2 make a pair.
    """
    time, size = vectors.shape[-2:]
    half = size // 2
    frequencies = 10000.0 ** (-torch.arange(half, device=vectors.device) / half)  # theta_i
    positions = torch.arange(first, first + time, device=vectors.device)
    angles = positions[:, None] * frequencies  # m * theta_i, (T, D / 2)
    cos, sin = angles.cos(), angles.sin()
    a, b = vectors[..., :half], vectors[..., half : 2 * half]
    return torch.cat([a * cos - b * sin, a * sin + b * cos, vectors[..., 2 * half :]], dim=-1)


def causal_mask(
    time: int, past: int, memory: int | None = None, device: torch.device | None = None
) -> Tensor:
    """Return which words may attend to which.

    Parameters
    ----------
    time, past : int
        T and P.
    memory : int, optional
        A word attends to this many words before it at most, wherever segments are cut. Default: to all.
    device : torch.device, optional

    Returns
    -------
    bool tensor (T, P + T)
    """
    query = torch.arange(past, past + time, device=device)[:, None]
    key = torch.arange(past + time, device=device)
    mask = key <= query
    return mask if memory is None else mask & (key >= query - memory)
