"""Row counts that repeat, for the sake of CPUs.

oneDNN makes a program for every shape of a product that it has not met, in about a millisecond: for a small product as
long as the product itself. Where the number of rows is another one in each batch, that would never be done.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

ROWS = 32
"""Row counts are multiples of this."""


def even_rows(rows: Tensor) -> Tensor:
    """Return rows (N, ...) with zeros at the end, up to a multiple of `ROWS`; gradients go to the N rows."""
    return F.pad(rows, (0, 0) * (rows.ndim - 1) + (0, -len(rows) % ROWS))
