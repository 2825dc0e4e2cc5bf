"""Batches of sequences, for numpy and for whatever takes numpy arrays.

Shapes: N sequences, B sequences in a batch, T time in tokens, K sequences per example (2 for pairs of sentences).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import UserError
from shared.random_streams import Stream, seed_sequence


def pad(
    sequences: Sequence[Sequence[int] | NDArray[Any]],
    pad_id: int = 0,
    *,
    front: bool = False,
    length: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad sequences to one length.

    Parameters
    ----------
    sequences : sequence of int sequences (B,)
    pad_id : int
        The value of padding positions.
    front : bool
        Padding comes before the sequence, not after it.
    length : int or None
        T, >= 0. None: that of the longest sequence. Longer sequences are truncated.

    Returns
    -------
    padded : int64 array (B, T)
    lengths : int64 array (B,)
        Real tokens of each row. Make masks of these, never of `padded == pad_id`.
    """
    if length is not None:
        sequences = [sequence[:length] for sequence in sequences]
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    if length is None:
        length = int(lengths.max(initial=0))
    padded = np.full((len(sequences), length), pad_id, dtype=np.int64)
    positions = np.arange(length)
    if front:
        is_real = positions >= length - lengths[:, None]  # (B, T)
    else:
        is_real = positions < lengths[:, None]
    if lengths.any():
        padded[is_real] = np.concatenate([sequence for sequence in sequences if len(sequence)])
    return padded, lengths


def bucketed_batches(
    lengths: ArrayLike,
    *,
    batch_size: int | None = None,
    batch_tokens: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
    pool: int = 100,
) -> list[NDArray[np.int64]]:
    """Group examples of similar lengths into batches.

    With `shuffle`, all examples are shuffled and cut into pools; each pool is sorted by length and cut into batches,
    and the batches are shuffled. Without, everything is one pool in falling order of length: for evaluation, with the
    batch that needs most memory first. The result depends on the arguments only, and each index is in one batch.

    Parameters
    ----------
    lengths : int array (N,) or (N, K)
        Tokens of each example, >= 0. Examples are sorted by the first column, then by the others.
    batch_size : int
        Examples in a batch, >= 1; the last batch of the data may have fewer.
    batch_tokens : int
        Instead of `batch_size`: the most tokens in a batch, padding included, >= 1 (for K sequences, the sum over
        them). A single example with more tokens is a batch of its own.
    seed, epoch : int
        Determine the shuffle, >= 0. Every epoch has another order.
    shuffle : bool
    pool : int
        Batches in a pool, >= 1. Larger pools give less padding and less random batches.

    Returns
    -------
    list of int64 arrays
        Indices of the examples of each batch.

    Raises
    ------
    ValueError
        Not exactly one of `batch_size` and `batch_tokens` is given, or a number is out of range.
    """
    table = _as_table(lengths)  # (N, K)
    if (batch_size is None) == (batch_tokens is None):
        raise ValueError("expected one of batch_size and batch_tokens")
    if min(batch_size or 1, batch_tokens or 1, pool) < 1 or 0 in (batch_size, batch_tokens):
        raise ValueError("batch_size, batch_tokens and pool must be 1 or more")
    rng = np.random.default_rng(seed_sequence(seed, Stream.ORDER, epoch))
    count = len(table)
    order = rng.permutation(count) if shuffle else np.arange(count)
    if not shuffle:
        pool_size = max(1, count)
    elif batch_size is not None:
        pool_size = pool * batch_size  # so that only the last batch of the last pool is short
    else:
        mean_tokens = max(1.0, float(table.sum(axis=1).mean())) if count else 1.0
        pool_size = max(1, int(pool * (batch_tokens or 1) / mean_tokens))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, count, pool_size):
        part = order[start : start + pool_size]
        part = part[_by_length(table[part])]
        cuts = (
            list(range(batch_size, len(part), batch_size))
            if batch_size is not None
            else _token_cuts(table[part], batch_tokens or 1)
        )
        batches += np.split(part, cuts)
    if shuffle:
        batches = [batches[index] for index in rng.permutation(len(batches))]
    return batches


def padding_fraction(batches: Sequence[NDArray[np.int64]], lengths: ArrayLike) -> float:
    """Return the fraction of the padded batches that is padding, 0 to 1.

    Parameters
    ----------
    batches : sequence of int arrays
        Indices of the examples of each batch.
    lengths : int array (N,) or (N, K)
    """
    table = _as_table(lengths)
    real = sum(int(table[batch].sum()) for batch in batches)
    padded = sum(len(batch) * int(table[batch].max(axis=0, initial=0).sum()) for batch in batches)
    return 1 - real / padded if padded else 0.0


def batchify(ids: NDArray[Any], batch_size: int) -> tuple[NDArray[Any], int]:
    """Split one long text into columns that a language model reads in parallel.

    The letters a to z with batch size 4::

        a g m s
        b h n t
        c i o u        dropped: y z
        d j p v
        e k q w
        f l r x

    Parameters
    ----------
    ids : int array (N,)
    batch_size : int
        B, >= 1.

    Returns
    -------
    columns : int array (T, B)
        T = N // B. A row is contiguous in memory.
    dropped : int
        Tokens at the end that do not fill a row, N - T * B.

    Raises
    ------
    UserError
        The text has fewer tokens than columns.

    References
    ----------
    `batchify` of pytorch/examples, word_language_model.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
    steps = len(ids) // batch_size
    if steps == 0:
        raise UserError(
            f"A text of {len(ids)} tokens is too short for {batch_size} columns. "
            "Expected at least one token for each. Use a smaller batch size or a longer text."
        )
    used = steps * batch_size
    columns = np.ascontiguousarray(np.asarray(ids)[:used].reshape(batch_size, steps).T)
    return columns, len(ids) - used


def _as_table(lengths: ArrayLike) -> NDArray[np.int64]:
    """Return lengths as (N, K)."""
    table = np.asarray(lengths, dtype=np.int64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.shape[1] == 0 or (table.size and table.min() < 0):
        raise ValueError(f"lengths must be >= 0 and of shape (N,) or (N, K), got {table.shape}")
    return table


def _by_length(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return an order of examples (N, K) in which adjacent ones have similar lengths, longest first.

    The first column descends. Where it is equal, the second ascends and descends alternately, so that it does not jump
    where the first changes: on SNLI's pairs with batches of 32 that leaves 11 % padding, not 15 %. The sort is stable.
    """
    direction = 1 - 2 * (table[:, :1] % 2)
    keys = np.concatenate([-table[:, :1], direction * table[:, 1:]], axis=1)
    return np.lexsort(keys[:, ::-1].T)  # its last key is the first to sort by


def _token_cuts(table: NDArray[np.int64], batch_tokens: int) -> list[int]:
    """Return where to cut sorted examples (N, K) so that no batch needs more than `batch_tokens`."""
    cuts: list[int] = []
    start, longest = 0, [0] * table.shape[1]
    for position, row in enumerate(table.tolist()):
        longest = [max(pair) for pair in zip(longest, row, strict=True)]
        if position > start and (position - start + 1) * sum(longest) > batch_tokens:
            cuts.append(position)
            start, longest = position, row
    return cuts
