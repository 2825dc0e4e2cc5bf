"""Random numbers that depend on a seed and on what they are for, and on nothing else.

    random = np.random.default_rng(seed_sequence(seed, Stream.ORDER, epoch))

numpy fills a short list of numbers up with zeros, so `[seed]`, `[seed, 0]` and `[seed, 0, 0]` are one stream. A spawn
key keeps them apart. Initial weights have the stream of the seed alone, without a key.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for; changing a number changes the results of every run."""

    DROPOUT = 1
    """What the model draws in training, by process."""
    BATCH = 2
    """What fetching a batch draws, such as augmentation, by epoch, step and process."""
    ORDER = 3
    """The order of the training data, by epoch."""


def seed_sequence(seed: int, *key: int) -> np.random.SeedSequence:
    """Return the seeds of one stream.

    Parameters
    ----------
    seed : int
        >= 0.
    *key : int
        A `Stream` and what further tells streams apart, each >= 0; none for the initial weights.
    """
    return np.random.SeedSequence(seed, spawn_key=key)
