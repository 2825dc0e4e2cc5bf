"""The training text in columns (batchify) and segments of `bptt` words, as pytorch/examples reads it.

Shapes: N tokens of the text, B columns, T tokens in a segment. Column b of segment s continues column b of segment
s - 1, so with a carried state each column is one long text.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import UserError
from shared.random_streams import Stream, seed_sequence
from shared.text.batching import batchify
from shared.torch.sampler import Shard

_STANDARD_DEVIATION, _HALVED = 5.0, 0.05
"""AWD-LSTM's segment lengths: their standard deviation in tokens, and the probability that their mean is halved."""


class Segments:
    """The order of training batches (an `Order` of `shared.torch.sampler`), and the batches themselves.

    Every epoch reads the columns from top to bottom. The last segment may be shorter than `bptt`, as in
    pytorch/examples. With several processes, process r reads columns r, r + world, r + 2 * world, ...

    Parameters
    ----------
    ids : int array (N,)
    batch_size : int
        B, over all processes.
    bptt : int
        T.
    vary : bool
        Draw the lengths of segments at random around T, for each epoch.
    seed : int
        Seed of the lengths.

    Raises
    ------
    UserError
        The text is too short for the columns.

    References
    ----------
    Merity et al. 2017, arXiv 1708.02182, section 4.1 (variable length back-propagation sequences).
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
        """Return a segment's length divided by `bptt`, a factor on the learning rate.

        The loss is the mean over a segment, so a word of a short segment would count more than one of a long segment;
        scaling the learning rate by the length corrects this (Merity et al. 2017, section 4.1). 1 with fixed lengths.
        """
        first, end = self._bounds(epoch, step)
        return float((end - first) / self.bptt) if self.vary else 1.0

    def shard(self, epoch: int, step: int, rank: int, world: int) -> Shard:
        """Return the columns of a batch that a process reads."""
        own = np.arange(rank, self.batch_size, world)
        if not len(own):
            raise UserError(
                f"--batch-size {self.batch_size} is less than the {world} processes. Take {world} or more."
            )
        return Shard(epoch, step, rank, world, own)

    def fetch(self, shard: Shard) -> dict[str, Tensor | bool]:
        """Return a batch: `inputs` and `targets`, int64 (T, B), one word apart; `is_first` of its epoch or not."""
        first, end = self._bounds(shard.epoch, shard.step)
        part = torch.from_numpy(self.columns[first : end + 1, shard.indices].astype(np.int64))
        return {"inputs": part[:-1], "targets": part[1:], "is_first": shard.step == 0}

    def _bounds(self, epoch: int, step: int) -> tuple[int, int]:
        """Return the row of a segment's first input, and that of its last target."""
        starts = self._starts(epoch)
        end = starts[step + 1] if step + 1 < len(starts) else len(self.columns) - 1
        return int(starts[step]), int(end)

    def _starts(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows at which the segments of an epoch start, a pure function of (seed, epoch)."""
        last = len(self.columns) - 1
        if not self.vary:
            return np.arange(0, last, self.bptt)
        if self._cut[0] != epoch:
            random = np.random.default_rng(seed_sequence(self.seed, Stream.ORDER, epoch))
            at_most = last // max(1, self.bptt // 4) + 2
            means = np.where(random.random(at_most) < _HALVED, self.bptt / 2, self.bptt)
            lengths = np.maximum(
                random.normal(means, _STANDARD_DEVIATION).astype(np.int64), min(5, self.bptt)
            )
            starts = np.concatenate([[0], np.cumsum(lengths)])
            self._cut = (epoch, starts[starts < last])
        return self._cut[1]
