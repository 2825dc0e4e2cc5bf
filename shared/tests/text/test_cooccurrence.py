from __future__ import annotations

import numpy as np
import pytest

from shared.text.cooccurrence import cooccurrence_counts, positive_pmi

sparse = pytest.importorskip("scipy.sparse")


def test_pairs_stay_within_a_sequence_and_near_ones_count_more() -> None:
    near = cooccurrence_counts(
        [np.array([2, 3, 4], np.int32), np.array([5, 0, 2], np.int32)], 6, window=5, specials=2
    ).toarray()
    assert near[2, 3] == near[3, 2] == near[3, 4] == 1
    assert near[2, 4] == 0.5
    assert near[4, 5] == 0  # another sequence
    assert near[5, 2] == 0.5  # over a special, which counts for nothing itself
    assert not near[0].any()


def test_information_is_that_of_its_formula() -> None:
    counts = np.array([[0.0, 4, 1], [4, 0, 1], [1, 1, 0]])
    found = positive_pmi(sparse.csr_matrix(counts)).toarray()
    contexts = counts.sum(1) ** 0.75 / (counts.sum(1) ** 0.75).sum()
    with np.errstate(divide="ignore"):
        expected = np.maximum(0, np.log(counts / counts.sum(1)[:, None] / contexts))
    assert np.allclose(found, expected, atol=1e-6)


def test_pairs_beyond_the_window_do_not_count() -> None:
    near = cooccurrence_counts([np.arange(5, dtype=np.int32)], 5, window=2).toarray()
    assert near[0].tolist() == [0, 1, 0.5, 0, 0]


def test_no_sequences_give_no_counts() -> None:
    assert cooccurrence_counts([], 3, window=5).nnz == 0
    assert positive_pmi(sparse.csr_matrix((3, 3), dtype=np.float32)).nnz == 0
