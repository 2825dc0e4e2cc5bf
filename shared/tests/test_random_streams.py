from __future__ import annotations

from itertools import product

from shared.random_streams import Stream, seed_sequence


def test_no_two_uses_of_a_seed_have_the_same_random_numbers() -> None:
    """Initial weights, dropout of each rank, fetching of each batch, order of each epoch; of neighboring seeds too."""
    few = range(3)
    keys = [
        (),
        *((Stream.DROPOUT, rank) for rank in few),
        *((Stream.BATCH, *key) for key in product(few, few, few)),
        *((Stream.ORDER, epoch) for epoch in few),
    ]
    states = {
        tuple(seed_sequence(seed, *key).generate_state(4))
        for seed in (0, 1, 2**32 - 1, 2**32)  # the last is 0, 1 as words
        for key in keys
    }
    assert len(states) == 4 * len(keys)


def test_initial_weights_have_the_stream_of_the_seed_alone() -> None:
    import numpy as np

    assert list(seed_sequence(7).generate_state(3)) == list(
        np.random.SeedSequence(7).generate_state(3)
    )
