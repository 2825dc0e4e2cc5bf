"""Dropout that stays the same over a whole segment: of features, of words, of weights.

Shapes: T time, B columns, F features, V words, E size of a word vector.

References
----------
Gal and Ghahramani 2016, arXiv 1512.05287 (over time); Merity et al. 2017, arXiv 1708.02182, section 4 (words, weights).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LockedDropout(nn.Module):
    """Drops features of (T, B, F), the same ones at every time step of a column.

    Parameters
    ----------
    share : float
        0 to below 1.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, states: Tensor) -> Tensor:
        """Return (T, B, F)."""
        if not self.training or not self.share:
            return states
        return states * F.dropout(torch.ones_like(states[:1]), self.share)


def drop_words(vectors: Tensor, ids: Tensor, vocabulary_size: int, share: float) -> Tensor:
    """Make some words' vectors zero, wherever these words stand in the batch.

    Parameters
    ----------
    vectors : float tensor (T, B, E)
    ids : int64 tensor (T, B)
        Their words.
    vocabulary_size : int
        V.
    share : float
        Of the vocabulary, 0 to below 1; what is left is scaled up.

    Returns
    -------
    float tensor (T, B, E)
    """
    kept = F.dropout(torch.ones(vocabulary_size, device=ids.device), share)
    return vectors * kept[ids].unsqueeze(-1)
