from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UserError
from shared.text.batching import bucketed_batches
from shared.torch.sampler import Batches, Loader, Shard, Shuffled, evaluation_shards


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 4), st.integers(0, 3))
def test_processes_share_each_batch_and_an_epoch_meets_no_example_twice(count, size, world, epoch):
    size = min(size, count)
    order = Shuffled(count, size, seed=5)
    met = []
    for step in range(order.steps(epoch)):
        shares = [order.shard(epoch, step, rank, world) for rank in range(world)]
        real = np.concatenate([s.indices for s in shares if s.is_real])
        alone = order.shard(epoch, step, 0, 1).indices
        assert sorted(real) == sorted(alone)
        assert len(alone) == size
        assert all(len(s.indices) for s in shares)
        met.extend(alone)
    assert len(set(met)) == len(met) == count // size * size


def test_batch_does_not_depend_on_what_was_asked_before():
    once = Shuffled(50, 8, seed=1)
    before = [once.shard(epoch, step, 0, 2).indices for epoch in range(3) for step in range(6)]
    assert np.array_equal(Shuffled(50, 8, seed=1).shard(2, 4, 0, 2).indices, before[16])


def test_epochs_and_seeds_have_other_orders():
    first = Shuffled(50, 50, seed=1)
    assert not np.array_equal(first.shard(0, 0, 0, 1).indices, first.shard(1, 0, 0, 1).indices)
    other = Shuffled(50, 50, seed=2)
    assert not np.array_equal(first.shard(0, 0, 0, 1).indices, other.shard(0, 0, 0, 1).indices)


def test_batch_with_fewer_examples_than_processes_gives_copies_that_count_for_nothing():
    order = Batches(lambda epoch: [np.array([4])])
    shares = [order.shard(0, 0, rank, 3) for rank in range(3)]
    assert [s.is_real for s in shares] == [True, False, False]
    assert all(list(s.indices) == [4] for s in shares)


def test_batches_by_length_are_a_function_of_the_epoch():
    lengths = np.arange(1, 41)
    make = lambda: Batches(  # noqa: E731
        lambda epoch: bucketed_batches(lengths, batch_size=4, seed=3, epoch=epoch)
    )
    order = make()
    ahead = order.shard(1, 2, 0, 1).indices
    order.shard(0, 0, 0, 1)
    assert np.array_equal(make().shard(1, 2, 0, 1).indices, ahead)
    assert order.steps(0) == 10


def test_too_few_examples_for_a_batch_is_a_users_error():
    with pytest.raises(UserError, match="--batch-size"):
        Shuffled(7, 8, seed=0)


@given(st.integers(0, 30), st.integers(1, 5), st.integers(1, 7))
def test_evaluation_meets_each_example_exactly_once(count, world, size):
    met = [
        index
        for rank in range(world)
        for shard in evaluation_shards(count, rank, world, batch_size=size)
        for index in shard.indices
    ]
    assert sorted(met) == list(range(count))
    batches = bucketed_batches(np.arange(count) + 1, batch_size=size, shuffle=False)
    met = [
        index
        for rank in range(world)
        for shard in evaluation_shards(batches, rank, world)
        for index in shard.indices
    ]
    assert sorted(met) == list(range(count))


def noisy(shard: Shard) -> tuple:
    return torch.rand(2), np.random.rand(), list(shard.indices)


def shares_of(first: int, end: int) -> list[Shard]:
    order = Shuffled(40, 4, seed=1)
    return [order.shard(2, step, 0, 1) for step in range(first, end)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_the_same_for_any_number_of_workers_and_any_start(workers):
    expected = list(Loader(noisy)(shares_of(0, 10)))
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    got = list(Loader(noisy, workers=workers)(shares_of(6, 10)))
    for (a, b, c), (x, y, z) in zip(got, expected[6:], strict=True):
        assert torch.equal(a, x) and b == y and c == z
    assert torch.equal(
        torch.get_rng_state(), state[0]
    )  # dropout goes on as if nothing had been loaded
    assert np.array_equal(np.random.get_state()[1], state[1])


def test_epochs_draw_other_numbers():
    order = Shuffled(40, 40, seed=1)
    first, second = Loader(noisy)([order.shard(0, 0, 0, 1), order.shard(1, 0, 0, 1)])
    assert not torch.equal(first[0], second[0])


def test_processes_draw_other_numbers():
    order = Shuffled(40, 40, seed=1)
    first, second = Loader(noisy)([order.shard(0, 0, rank, 2) for rank in (0, 1)])
    assert not torch.equal(first[0], second[0]) and first[1] != second[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_users_error_in_fetching_keeps_its_one_line(workers):
    def fails(shard: Shard) -> None:
        raise UserError("a.jpg: is not a picture.")

    with pytest.raises(UserError) as raised:
        list(Loader(fails, workers=workers)(shares_of(0, 2)))
    assert str(raised.value) == "a.jpg: is not a picture."


def batch_of_all_kinds(share):
    return {
        "bytes": torch.arange(5, dtype=torch.uint8), "half": torch.ones(2, 3, dtype=torch.bfloat16),
        "nested": [(torch.tensor(3.0), np.arange(4))], "flags": torch.tensor([True, False]), "value": 1.5,
    }  # fmt: skip


def test_workers_batches_need_no_shared_memory():
    """A container has 64 MB of it; a batch that found no room there was lost, and training waited for ever."""
    (expected,) = Loader(batch_of_all_kinds)(shares_of(0, 1))
    (got,) = Loader(batch_of_all_kinds, workers=1)(shares_of(0, 1))
    tensors = [got["bytes"], got["half"], got["nested"][0][0], got["flags"]]
    assert not any(tensor.is_shared() for tensor in tensors)
    for name in ("bytes", "half", "flags"):
        assert got[name].dtype == expected[name].dtype and torch.equal(got[name], expected[name])
    assert torch.equal(got["nested"][0][0], torch.tensor(3.0)) and got["value"] == 1.5


def killed_in_the_third_batch(share):
    if share.step == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return share.step


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_worker_that_is_killed_ends_training_with_advice():
    with pytest.raises(UserError, match="--workers 0"):
        list(Loader(killed_in_the_third_batch, workers=2)(shares_of(0, 8)))


def process_and_much(share):
    return os.getpid(), torch.zeros(2_000_000 if share.step > 1 else 1)  # more than a pipe holds


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_worker_that_is_killed_while_it_sends_does_not_end_the_update_that_runs():
    signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)  # to wait for the rest of what it sent would be for ever
    try:
        batches = Loader(process_and_much, workers=2)(shares_of(0, 8))
        worker, _ = next(batches)
        time.sleep(1)  # until its pipe is full
        os.kill(worker, signal.SIGKILL)
        time.sleep(0.1)  # the update: nothing may be raised here
        with pytest.raises(UserError, match="--workers 0"):
            list(batches)
    finally:
        signal.alarm(0)


def fail(number, frame):
    pytest.fail("waits for ever")  # an Exception, the DataLoader would take for its own


def process_of(share):
    return os.getpid()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to other processes")
def test_worker_outlives_the_signals_that_ask_a_whole_job_to_stop():
    batches = Loader(process_of, workers=1)(shares_of(0, 8))
    worker = next(batches)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        os.kill(worker, number)
    assert list(batches) == [worker] * 7
