"""What "the same batches" means, from the strictest to the loosest.

1. `bucket_iterator_batches`: the same batches in the same order, shuffled or not, epoch after epoch.
2. `bucketed_batches` without shuffle: the same order of examples backwards (longest first), equal lengths aside; the
   same batches backwards where all batches are full. Where one is short, torchtext's has the longest examples, ours the
   shortest, and the cuts between differ.
3. `bucketed_batches` with shuffle, examples of one pool, all batches full: the same set of batches.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from torchtext.data import BPTTIterator, BucketIterator, Dataset, Example, Field, interleave_keys

from shared.text.batching import batchify, bucketed_batches, padding_fraction
from shared.torchtext.adapter import from_field
from shared.torchtext.rules import bucket_iterator_batches

LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=60)
CHOICE = st.sampled_from([None, True, False])


def iterator(keys, batch_size, **options):
    """Return torchtext's iterator over examples that know their own place."""
    place = Field(sequential=False, use_vocab=False)
    fields = [("place", place), ("key", None)]
    examples = []
    for number, key in enumerate(keys):
        example = Example()
        example.place, example.key = number, key
        examples.append(example)
    return BucketIterator(
        Dataset(examples, fields), batch_size, sort_key=lambda example: example.key, **options
    )


def places(batches):
    return [batch.place.tolist() for batch in batches]


def listed(batches):
    return [batch.tolist() for batch in batches]


@given(LENGTHS, st.integers(1, 9), st.booleans(), CHOICE, CHOICE, CHOICE, st.integers(0, 99))
def test_reproduced_epochs_are_those_of_the_iterator(
    lengths, batch_size, train, shuffle, sort, within, seed
):
    options = {"train": train, "shuffle": shuffle, "sort": sort, "sort_within_batch": within}
    random.seed(seed)
    theirs = iterator(lengths, batch_size, **options)
    rng = random.Random(seed)
    for _ in range(3):
        ours = bucket_iterator_batches(lengths, batch_size, rng=rng, **options)
        assert listed(ours) == places(theirs)


@pytest.mark.parametrize("within", [False, True])
def test_reproduction_holds_across_pools(within):
    lengths = np.random.default_rng(0).integers(1, 40, 730).tolist()  # pools of 300
    random.seed(5)
    theirs = iterator(lengths, 3, sort_within_batch=within)
    rng = random.Random(5)
    for _ in range(2):
        ours = bucket_iterator_batches(lengths, 3, sort_within_batch=within, rng=rng)
        assert listed(ours) == places(theirs)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
def test_reproduction_takes_any_sort_key(pairs):
    keys = [interleave_keys(*pair) for pair in pairs]
    assert listed(bucket_iterator_batches(keys, 4, train=False)) == places(
        iterator(keys, 4, train=False)
    )


@given(LENGTHS, st.integers(1, 9))
def test_evaluation_order_is_torchtexts_backwards(lengths, batch_size):
    theirs = places(iterator(lengths, batch_size, train=False, sort_within_batch=False))
    backwards = [place for batch in theirs for place in batch][::-1]
    # Handed over backwards, equal lengths come in the same order too.
    ours = bucketed_batches(lengths[::-1], batch_size=batch_size, shuffle=False)
    assert [len(lengths) - 1 - place for batch in ours for place in batch] == backwards
    plain = np.concatenate(bucketed_batches(lengths, batch_size=batch_size, shuffle=False))
    assert [lengths[place] for place in plain] == [lengths[place] for place in backwards]


@given(LENGTHS, st.integers(1, 9))
def test_full_evaluation_batches_are_torchtexts_backwards(lengths, batch_size):
    lengths = lengths[: len(lengths) // batch_size * batch_size]
    assume(lengths)
    theirs = places(iterator(lengths, batch_size, train=False))
    ours = bucketed_batches(lengths[::-1], batch_size=batch_size, shuffle=False)
    assert [[len(lengths) - 1 - place for place in batch] for batch in ours] == theirs[::-1]


@given(st.integers(1, 12), st.integers(1, 9), st.randoms(use_true_random=False))
def test_shuffled_batches_of_one_pool_are_the_same_set(count, batch_size, shuffler):
    lengths = list(range(count * batch_size))
    shuffler.shuffle(lengths)
    theirs = places(iterator(lengths, batch_size, sort_within_batch=True))
    ours = bucketed_batches(lengths, batch_size=batch_size)
    assert {tuple(batch) for batch in listed(ours)} == {tuple(batch) for batch in theirs}


def test_training_iterator_buckets_only_when_told_to_and_ours_always():
    lengths = np.random.default_rng(0).poisson(14, 3200)
    shares = {
        within: padding_fraction(
            [np.array(batch) for batch in places(iterator(lengths, 32, sort_within_batch=within))],
            lengths,
        )
        for within in (None, True)
    }
    ours = padding_fraction(bucketed_batches(lengths, batch_size=32), lengths)
    assert shares[None] > 0.3
    assert shares[True] == pytest.approx(ours, abs=0.005)
    assert ours < 0.05


@pytest.mark.parametrize("batch_first", [False, True])
def test_columns_of_a_language_model_are_those_of_bptt_iterator(batch_first):
    text = Field(batch_first=batch_first)
    words = [f"word{number % 17}" for number in range(60)]
    text.build_vocab([words])
    example = Example()
    example.text = words
    theirs = BPTTIterator(Dataset([example], [("text", text)]), batch_size=4, bptt_len=6)
    columns, dropped = batchify(from_field(text).vocabulary.ids(words), 4)
    assert dropped == 0
    start = 0
    for batch in theirs:
        size = min(6, len(columns) - 1 - start)
        given_text = batch.text.t() if batch_first else batch.text
        given_target = batch.target.t() if batch_first else batch.target
        assert given_text.tolist() == columns[start : start + size].tolist()
        assert given_target.tolist() == columns[start + 1 : start + 1 + size].tolist()
        start += size
    assert start == len(columns) - 1


def test_shuffle_without_rng_and_sizes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="rng"):
        bucket_iterator_batches([1, 2], 1)
    with pytest.raises(ValueError, match="batch_size is 0"):
        bucket_iterator_batches([1, 2], 0, train=False)
