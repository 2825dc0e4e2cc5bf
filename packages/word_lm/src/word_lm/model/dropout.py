"""Variational dropout: one mask over a whole segment, for features and for words.

Shapes: T time, B columns, F features, V words, E size of a word vector.

References
----------
Gal and Ghahramani 2016, arXiv 1512.05287 (variational dropout); Merity et al. 2017, arXiv 1708.02182, sections 4.2 and
4.3 (variational and embedding dropout).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LockedDropout(nn.Module):
    """Drop features of (T, B, F) with one mask per column, the same at every time step.

    Parameters
    ----------
    p : float
        Dropout probability, 0 to below 1.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, states: Tensor) -> Tensor:
        """Return (T, B, F)."""
        if not self.training or not self.p:
            return states
        return states * F.dropout(torch.ones_like(states[:1]), self.p)  # mask (1, B, F)


def drop_words(vectors: Tensor, ids: Tensor, vocabulary_size: int, p: float) -> Tensor:
    """Set the vectors of randomly chosen words to zero, wherever these words stand in the batch.

    Parameters
    ----------
    vectors : float tensor (T, B, E)
    ids : int64 tensor (T, B)
        The words that the vectors belong to.
    vocabulary_size : int
        V.
    p : float
        Probability that a word is dropped, 0 to below 1; the others are scaled by 1 / (1 - p).

    Returns
    -------
    float tensor (T, B, E)
    """
    mask = F.dropout(torch.ones(vocabulary_size, device=ids.device), p)  # (V,)
    return vectors * mask[ids].unsqueeze(-1)
