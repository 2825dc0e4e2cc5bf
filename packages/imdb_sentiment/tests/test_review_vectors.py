from __future__ import annotations

import numpy as np
import pytest

from imdb_sentiment.data.cooccurrence import SPREAD, TRUSTED, vectors_of


def reviews(seed: int = 0) -> list[np.ndarray]:
    """Words 2 and 3 stand among 10 to 19, words 4 and 5 among 20 to 29."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(300):
        side = int(rng.integers(2))
        words = rng.integers(10 + 10 * side, 20 + 10 * side, 12)
        words[rng.integers(12)] = 2 + 2 * side + rng.integers(2)
        made.append(words.astype(np.int32))
    return made


def test_words_with_like_neighbours_have_like_vectors() -> None:
    found = vectors_of(reviews(), 30, 8, specials=2, seed=1)
    unit = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    assert unit[2] @ unit[3] > 0.8 > 0.3 > abs(unit[2] @ unit[4])
    assert found.dtype == np.float32
    assert not found[:2].any()
    occurring = found[np.concatenate(reviews())]
    assert abs(np.sqrt(np.square(occurring).mean()) - SPREAD) < 1e-6
    assert np.array_equal(found, vectors_of(reviews(), 30, 8, specials=2, seed=1))


def test_rare_words_have_short_vectors() -> None:
    # Word 30 stands as often as `TRUSTED` says, in the places of word 10.
    sequences, left = reviews(), TRUSTED
    for review in sequences:
        places = np.flatnonzero(review == 10)[:left]
        review[places] = 30
        left -= len(places)
    found = vectors_of(sequences, 31, 8, specials=2, seed=1)
    lengths = np.linalg.norm(found, axis=1)
    count = np.bincount(np.concatenate(sequences))[11]
    assert left == 0
    assert lengths[30] / lengths[11] == pytest.approx(0.5 / (count / (count + TRUSTED)))


def test_fewer_words_than_numbers_leave_zeros() -> None:
    found = vectors_of([np.array([2, 3, 2, 3], np.int32)], 4, 10, specials=2, seed=1)
    assert found.shape == (4, 10)
    assert np.isfinite(found).all()
    assert not vectors_of([np.array([1], np.int32)], 4, 10, specials=2, seed=1).any()
