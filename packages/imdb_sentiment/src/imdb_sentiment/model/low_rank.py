"""LoRA: a frozen linear layer with a trained update of low rank.

Shapes: I inputs, O outputs, R rank.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SCALE = 2.0
"""Factor of the update, alpha / R, whatever the rank."""
QUERY_AND_VALUE = ("query", "value", "q_lin", "v_lin", "q_proj", "v_proj", "q", "v")
"""Names of the query and value layers in BERT, DistilBERT, BART, T5 and others."""


class LowRankLinear(nn.Module):
    """A linear layer with W and b frozen and an update of rank R: y = x W^T + b + SCALE (x A^T) B^T.

    Only A (R, I) and B (O, R) are trained. B starts as zero, so that the layer starts as the one it was made of.

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
        down = nn.functional.linear(inputs, self.low_rank_a)  # (..., R)
        update = nn.functional.linear(down, self.low_rank_b)  # (..., O)
        return self.base(inputs) + SCALE * update  # eq. 3

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return one plain layer that computes the same."""
        self.base.weight += SCALE * self.low_rank_b @ self.low_rank_a
        return self.base


def add_low_rank(encoder: nn.Module, rank: int) -> int:
    """Freeze an encoder and give its query and value layers a trained update; return how many there are."""
    for weight in encoder.parameters():
        weight.requires_grad = False
    layers = [
        (parent, name, layer)
        for parent in encoder.modules()
        for name, layer in parent.named_children()
        if name in QUERY_AND_VALUE and isinstance(layer, nn.Linear)
    ]
    for parent, name, layer in layers:
        setattr(parent, name, LowRankLinear(layer, rank))
    return len(layers)


def merge_low_rank(encoder: nn.Module) -> None:
    """Replace every layer of `add_low_rank` by its merged one, in place."""
    for parent in list(encoder.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LowRankLinear):
                setattr(parent, name, layer.merged())
