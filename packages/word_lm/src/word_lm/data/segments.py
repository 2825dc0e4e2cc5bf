"""The training text laid out in columns and dealt out in segments.

Shapes: N tokens of the text, B columns, T time in tokens of a segment. Column b of segment s goes on where column b of
segment s - 1 ended, so a state carried over makes each column one long text.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import UserError
from shared.text.batching import batchify
from shared.torch.sampler import Share

_SPREAD, _HALF = 5.0, 0.05
"""Of AWD-LSTM's segment lengths: standard deviation in tokens, and how often the mean is half."""


class Segments:
    """The course of the training text: an `Order` of `shared.torch.sampler`, and what it deals out.

    Every epoch reads the columns from top to bottom. The last segment may be shorter than `bptt`, as in
    pytorch/examples. Several processes share the columns, every `world`-th each.

    Parameters
    ----------
    ids : int array (N,)
    batch_size : int
        B, over all processes.
    bptt : int
        T.
    vary : bool
        Draw the lengths around T, anew for each epoch.
    seed : int
        Of those draws.

    Raises
    ------
    UserError
        The text is too short for the columns.

    References
    ----------
    Merity et al. 2017, arXiv 1708.02182, section 4.1 (lengths that vary).
    """

    def __init__(
        self,
        ids: NDArray[np.int32],
        batch_size: int,
        bptt: int,
        *,
        vary: bool = False,
        seed: int = 1,
    ) -> None:
        if len(ids) < 2 * batch_size:
            raise UserError(
                f"A training text of {len(ids)} tokens is too short for --batch-size {batch_size}. "
                f"Expected 2 tokens a column or more: take --batch-size {max(1, len(ids) // 2)} or less, or more text."
            )
        self.columns, self.dropped = batchify(ids, batch_size)
        self.batch_size, self.bptt, self.vary, self.seed = batch_size, bptt, vary, seed
        self._cut: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    def steps(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        return len(self._starts(epoch))

    def rate_factor(self, epoch: int, step: int) -> float:
        """Return a segment's length as a share of `bptt`.

        An update is made by a segment's mean, so that a word of a short one would count more than one of a long one.
        Where lengths vary, learning rates times this make them even (Merity et al. 2017, section 4.1).
        """
        first, end = self._bounds(epoch, step)
        return float((end - first) / self.bptt) if self.vary else 1.0

    def share(self, epoch: int, step: int, rank: int, world: int) -> Share:
        """Return which columns a process gets of a batch."""
        own = np.arange(rank, self.batch_size, world)
        if not len(own):
            raise UserError(
                f"--batch-size {self.batch_size} is less than the {world} processes. Take {world} or more."
            )
        return Share(epoch, step, rank, world, own)

    def fetch(self, share: Share) -> dict[str, Tensor | bool]:
        """Return a batch: `inputs` and `targets`, int64 (T, B), one word apart; `is_first` of its epoch or not."""
        first, end = self._bounds(share.epoch, share.step)
        part = torch.from_numpy(self.columns[first : end + 1, share.indices].astype(np.int64))
        return {"inputs": part[:-1], "targets": part[1:], "is_first": share.step == 0}

    def _bounds(self, epoch: int, step: int) -> tuple[int, int]:
        """Return where a segment starts, and where its last target is."""
        starts = self._starts(epoch)
        end = starts[step + 1] if step + 1 < len(starts) else len(self.columns) - 1
        return int(starts[step]), int(end)

    def _starts(self, epoch: int) -> NDArray[np.int64]:
        """Return where the segments of an epoch start, a pure function of (seed, epoch)."""
        last = len(self.columns) - 1
        if not self.vary:
            return np.arange(0, last, self.bptt)
        if self._cut[0] != epoch:
            random = np.random.default_rng([self.seed, epoch])
            most = last // max(1, self.bptt // 4) + 2
            means = np.where(random.random(most) < _HALF, self.bptt / 2, self.bptt)
            lengths = np.maximum(random.normal(means, _SPREAD).astype(np.int64), min(5, self.bptt))
            starts = np.concatenate([[0], np.cumsum(lengths)])
            self._cut = (epoch, starts[starts < last])
        return self._cut[1]
