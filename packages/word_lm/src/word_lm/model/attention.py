"""Attention to what came before, with a memory of keys and values.

Shapes: T new words, P words remembered, B columns, E width, A heads, D = E / A.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalAttention(nn.Module):
    """Several heads of scaled dot-product attention; a word sees itself, words before it and the memory.

    Parameters
    ----------
    width : int
        E.
    heads : int
        A, a divisor of E.
    dropout : float
        Of the attention weights.
    bias : bool
    rotary : bool
        Turn queries and keys by their places, and bring them to unit length first, so that scores depend on distance.

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762; Su et al. 2021, arXiv 2104.09864, equation 34 (rotary positions); Henry et
    al. 2020, arXiv 2010.04245 (normalised queries and keys).
    """

    def __init__(self, width: int, heads: int, dropout: float, *, bias: bool, rotary: bool) -> None:
        super().__init__()
        self.heads, self.dropout, self.rotary = heads, dropout, rotary
        self.inward = nn.Linear(width, 3 * width, bias=bias)
        self.outward = nn.Linear(width, width, bias=bias)
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
            True where a word may look.

        Returns
        -------
        float tensor (T, B, E)
        past : two float tensors (P + T, B, E)
        """
        query, key, value = self.inward(states).chunk(3, dim=-1)
        keys = torch.cat([past[0].to(key.dtype), key])
        values = torch.cat([past[1].to(value.dtype), value])
        q, k, v = self._by_head(query), self._by_head(keys), self._by_head(values)  # (B, A, ., D)
        if self.rotary:
            first = len(keys) - len(
                query
            )  # only distances count, so places start at the memory's first word
            q = turned(F.normalize(q.float(), dim=-1), first) * self.scale
            k = turned(F.normalize(k.float(), dim=-1), 0)
            q, k = q.to(v.dtype), k.to(v.dtype)
        scale = 1.0 if self.rotary else None
        share = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=share, scale=scale)
        return self.outward(seen.permute(2, 0, 1, 3).flatten(2)), (keys, values)

    def _by_head(self, states: Tensor) -> Tensor:
        time, batch, width = states.shape
        return states.view(time, batch, self.heads, width // self.heads).permute(1, 2, 0, 3)


def turned(vectors: Tensor, first: int) -> Tensor:
    """Turn pairs of features by angles that grow with the place.

    Parameters
    ----------
    vectors : float tensor (B, A, T, D)
    first : int
        Place of the first one.
    """
    time, size = vectors.shape[-2:]
    half = size // 2
    rates = 10000.0 ** (-torch.arange(half, device=vectors.device) / max(1, half))
    angles = torch.arange(first, first + time, device=vectors.device)[:, None] * rates  # (T, D / 2)
    cos, sin = angles.cos(), angles.sin()
    a, b = vectors[..., :half], vectors[..., half : 2 * half]
    return torch.cat([a * cos - b * sin, a * sin + b * cos, vectors[..., 2 * half :]], dim=-1)


def causal_mask(time: int, past: int, memory: int, device: torch.device) -> Tensor:
    """Return which words may look where.

    Parameters
    ----------
    time, past : int
        T and P.
    memory : int
        A word sees this many before it, wherever a segment was cut.

    Returns
    -------
    bool tensor (T, P + T)
    """
    own = torch.arange(past, past + time, device=device)[:, None]
    other = torch.arange(past + time, device=device)
    return (other <= own) & (other >= own - memory)
