from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from shared.text.batching import batchify, bucketed_batches, pad, padding_fraction

SEQUENCES = st.lists(st.lists(st.integers(0, 9), max_size=7), max_size=9)
LENGTHS = st.lists(st.integers(0, 40), max_size=120)


@settings(deadline=None)
@given(SEQUENCES, st.booleans(), st.none() | st.integers(0, 9))
def test_pad_keeps_every_token_and_fills_the_rest(sequences, front, length):
    padded, lengths = pad(sequences, pad_id=-1, front=front, length=length)
    width = length if length is not None else max(map(len, sequences), default=0)
    assert padded.shape == (len(sequences), width)
    for row, count, sequence in zip(padded.tolist(), lengths, sequences, strict=True):
        cut = sequence[:width]
        filler = [-1] * (width - len(cut))
        assert count == len(cut)
        assert row == (filler + cut if front else cut + filler)


def test_pad_takes_numpy_sequences_and_keeps_real_pad_ids_apart_by_length():
    padded, lengths = pad([np.array([0, 0, 5], dtype=np.int32), np.array([7], dtype=np.int32)])
    assert padded.tolist() == [[0, 0, 5], [7, 0, 0]]
    assert lengths.tolist() == [3, 1]


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 5), st.booleans(), st.integers(1, 4))
def test_every_index_is_in_exactly_one_batch(lengths, batch_size, epoch, shuffle, pool):
    for size in ({"batch_size": batch_size}, {"batch_tokens": 10 * batch_size}):
        batches = bucketed_batches(lengths, **size, epoch=epoch, shuffle=shuffle, pool=pool)
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        assert all(len(batch) for batch in batches)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9))
def test_only_one_batch_is_short(lengths, batch_size):
    sizes = [len(batch) for batch in bucketed_batches(lengths, batch_size=batch_size, pool=2)]
    assert sum(size != batch_size for size in sizes) <= 1
    assert len(sizes) == -(-len(lengths) // batch_size)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=80),
    st.integers(1, 200),
    st.booleans(),
)
def test_token_budget_counts_the_padding_of_all_sequences(lengths, budget, shuffle):
    table = np.array(lengths, dtype=np.int64).reshape(-1, 2)
    for batch in bucketed_batches(table, batch_tokens=budget, shuffle=shuffle):
        assert len(batch) == 1 or len(batch) * table[batch].max(axis=0).sum() <= budget


def test_token_budget_is_used_up():
    batches = bucketed_batches([10] * 50, batch_tokens=100, shuffle=False)
    assert [len(batch) for batch in batches] == [10] * 5


def test_order_depends_on_seed_and_epoch_and_nothing_else():
    lengths = np.random.default_rng(0).integers(1, 50, 500)

    def order(**options):
        return np.concatenate(bucketed_batches(lengths, batch_size=8, **options)).tolist()

    assert order(seed=3, epoch=2) == order(seed=3, epoch=2)
    assert order(seed=3, epoch=2) != order(seed=3, epoch=1)
    assert order(seed=3, epoch=2) != order(seed=2, epoch=2)


def test_batches_come_in_shuffled_order_of_length():
    lengths = np.arange(1000)
    longest = [lengths[batch].max() for batch in bucketed_batches(lengths, batch_size=10)]
    rises = np.diff(longest) > 0
    assert 0.3 < rises.mean() < 0.7


def test_evaluation_order_falls_so_that_the_largest_batch_comes_first():
    lengths = np.random.default_rng(0).integers(1, 50, 100)
    batches = bucketed_batches(lengths, batch_size=8, shuffle=False)
    flat = lengths[np.concatenate(batches)]
    assert (np.diff(flat) <= 0).all()


def test_bucketing_leaves_little_padding():
    lengths = np.random.default_rng(0).poisson(14, 20_000)
    chance = [np.arange(start, start + 32) for start in range(0, 20_000, 32)]
    assert padding_fraction(chance, lengths) > 0.3
    assert padding_fraction(bucketed_batches(lengths, batch_size=32), lengths) < 0.02


def test_pairs_are_bucketed_by_both_lengths():
    rng = np.random.default_rng(0)
    pairs = np.stack([rng.poisson(14, 20_000), rng.poisson(8, 20_000)], axis=1)
    by_both = bucketed_batches(pairs, batch_size=32)
    by_first = bucketed_batches(pairs[:, 0], batch_size=32)
    assert padding_fraction(by_both, pairs) < 0.5 * padding_fraction(by_first, pairs)


def test_padding_fraction_of_a_known_batch():
    assert padding_fraction([np.array([0, 1]), np.array([2])], [1, 3, 5]) == pytest.approx(2 / 11)
    assert padding_fraction([], []) == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 2, "batch_tokens": 3},
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_tokens": 0},
        {"batch_size": 2, "pool": 0},
    ],
)
def test_sizes_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="batch"):
        bucketed_batches([1, 2], **options)


def test_negative_lengths_are_refused():
    with pytest.raises(ValueError, match="lengths"):
        bucketed_batches([1, -2], batch_size=1)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 9))
def test_batchify_columns_read_on_from_each_other(count, batch_size):
    if count < batch_size:
        count = batch_size
    ids = np.arange(count, dtype=np.int32)
    columns, dropped = batchify(ids, batch_size)
    assert columns.shape == (count // batch_size, batch_size)
    assert columns.T.ravel().tolist() == list(range(count - dropped))
    assert 0 <= dropped < batch_size
    assert columns.flags.c_contiguous


def test_batchify_of_too_short_a_text_says_so():
    with pytest.raises(UserError, match="3 tokens is too short for 4 columns"):
        batchify(np.arange(3), 4)
