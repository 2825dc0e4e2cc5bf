"""The sentences of a batch without their padding: the packed layout that ESIM computes in.

Shapes: B pairs, S = 2 B sentences (premises, then hypotheses), T longest sentence, N real tokens in all.

Sentences are sorted by falling length and laid out time step by time step, as in `torch.nn.utils.rnn.PackedSequence`:
first the first words of all sentences, then the second words of those that have one, and so on. A pair of SNLI has 14
words of premise and 8 of hypothesis; padded to one length, a quarter and more of all work would go into padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Where each token of a batch is stored.

    Parameters
    ----------
    widths : (int, int)
        T of the padded premises and of the padded hypotheses.
    sizes : tuple of int (T,)
        Sentences that have a word at each time step, falling.
    sentence : int64 tensor (N,)
        Sentence of each packed token, 0 to S - 1.
    rows : int64 tensor (N,)
        Row of each packed token in the padded premises and hypotheses, flattened to (B Tp + B Th, ...).
    masks : two bool tensors (B, T)
        True where there is a token.
    lengths : int64 tensor (S,)
    """

    widths: tuple[int, int]
    sizes: tuple[int, ...]
    sentence: Tensor
    rows: Tensor
    masks: tuple[Tensor, Tensor]
    lengths: Tensor

    @classmethod
    def of(
        cls, lengths: tuple[Any, Any], widths: tuple[int, int], device: torch.device | str = "cpu"
    ) -> Packing:
        """Return the packing of a batch.

        Parameters
        ----------
        lengths : two int arrays or CPU tensors (B,)
            Words of each premise and hypothesis, 0 <= length <= T. A sentence without words has no token.
        widths : (int, int)
            T of the padded premises and hypotheses.
        device : torch device
            Where the tensors go.

        Raises
        ------
        ValueError
            A length is out of range, or there are not as many premises as hypotheses.
        """
        pair = [torch.as_tensor(part, dtype=torch.int64).cpu() for part in lengths]
        for part, width in zip(pair, widths, strict=True):
            if part.shape != pair[0].shape or part.ndim != 1:
                raise ValueError("expected as many premise lengths as hypothesis lengths, (B,)")
            if len(part) and not 0 <= int(part.min()) <= int(part.max()) <= width:
                raise ValueError(f"lengths must be from 0 to {width}, got {part.tolist()}")
        both, pairs = torch.cat(pair), len(pair[0])  # (S,)
        order = torch.argsort(both, descending=True, stable=True)
        steps = int(both.max()) if pairs else 0
        time, rank = (torch.arange(steps)[:, None] < both[order]).nonzero(as_tuple=True)  # (N,)
        sentence = order[rank]
        number = torch.arange(pairs)
        first_rows = torch.cat([number * widths[0], pairs * widths[0] + number * widths[1]])  # (S,)
        masks = [
            torch.arange(width) < part[:, None] for part, width in zip(pair, widths, strict=True)
        ]
        parts = (sentence, first_rows[sentence] + time, *masks, both)
        sentence, rows, *masks, both = (_moved(part, torch.device(device)) for part in parts)
        return cls(
            (widths[0], widths[1]),
            tuple(torch.bincount(time, minlength=steps).tolist()),
            sentence,
            rows,
            (masks[0], masks[1]),
            both,
        )

    @property
    def pairs(self) -> int:
        """B."""
        return len(self.lengths) // 2

    def pack(self, premises: Tensor, hypotheses: Tensor) -> Tensor:
        """Return the real tokens (N, ...) of padded premises and hypotheses (B, T, ...)."""
        flat = torch.cat([premises.flatten(0, 1), hypotheses.flatten(0, 1)])  # (B Tp + B Th, ...)
        return _SelectRows.apply(flat, self.rows)

    def pad(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Return packed states (N, H) as padded premises and hypotheses (B, T, H), 0 where there is no token."""
        first, second = (self.pairs * width for width in self.widths)
        flat = packed.new_zeros(first + second, packed.shape[1]).index_copy(0, self.rows, packed)
        premises, hypotheses = flat.split([first, second])
        return (
            premises.view(self.pairs, self.widths[0], -1),
            hypotheses.view(self.pairs, self.widths[1], -1),
        )


def _moved(part: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device in the background: a GPU would be waited for at each copy from pageable memory."""
    if device.type == "cuda" and torch.cuda.is_available():
        part = part.pin_memory()
    return part.to(device, non_blocking=True)


class _SelectRows(torch.autograd.Function):
    """`index_select` of distinct rows: their gradient is copied to its row, where autograd would add it up."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.shape = values.shape
        return values.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return grads[0].new_zeros(ctx.shape).index_copy_(0, rows, grads[0]), None
