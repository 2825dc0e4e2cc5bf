"""LoRA: a frozen linear layer with a small learned change of low rank.

Shapes: I inputs, O outputs, R rank.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SCALE = 2.0
"""The change counts this much (alpha / R), whatever the rank."""
QUERY_AND_VALUE = ("query", "value", "q_lin", "v_lin", "q_proj", "v_proj")
"""What these two layers of attention are called in BERT, DistilBERT and others."""


class LowRankLinear(nn.Module):
    """x W^T + b + SCALE x A^T B^T, with W and b as they were and only A (R, I) and B (O, R) learned.

    B begins as zero, so that the layer begins as the one it was made of.

    References
    ----------
    Hu et al. 2021, arXiv 2106.09685, equation 3.
    """

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.low_rank_a = nn.Parameter(torch.empty(rank, base.in_features))
        self.low_rank_b = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.low_rank_a, a=math.sqrt(5))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs (..., O) of inputs (..., I)."""
        change = nn.functional.linear(
            nn.functional.linear(inputs, self.low_rank_a), self.low_rank_b
        )
        return self.base(inputs) + SCALE * change

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return one plain layer that does the same."""
        self.base.weight += SCALE * self.low_rank_b @ self.low_rank_a
        return self.base


def add_low_rank(encoder: nn.Module, rank: int) -> int:
    """Freeze an encoder, and give its query and value layers a learned change; return how many there are."""
    for weight in encoder.parameters():
        weight.requires_grad = False
    found = [
        (parent, name, layer)
        for parent in encoder.modules()
        for name, layer in parent.named_children()
        if name in QUERY_AND_VALUE and isinstance(layer, nn.Linear)
    ]
    for parent, name, layer in found:
        setattr(parent, name, LowRankLinear(layer, rank))
    return len(found)


def merge_low_rank(encoder: nn.Module) -> None:
    """Make plain layers of all that `add_low_rank` changed, in place."""
    for parent in list(encoder.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LowRankLinear):
                setattr(parent, name, layer.merged())
