from __future__ import annotations

import numpy as np
import pytest

from shared.torch.word_vectors import cooccurrence_vectors


def test_words_that_stand_near_the_same_words_get_similar_vectors() -> None:
    random = np.random.default_rng(0)
    sentences = []
    for _ in range(1500):  # 2 and 3 stand among 5..9, 4 among 10..14
        word = int(random.integers(2, 5))
        near = random.integers(5, 10, 4) if word < 4 else random.integers(10, 15, 4)
        sentences.append(np.array([*near[:2], word, *near[2:]], dtype=np.int32))
    vectors = cooccurrence_vectors(sentences, 17, 4, seed=1, window=8, deviation=0.1)
    assert vectors.shape == (17, 4) and vectors.dtype == np.float32

    def alike(a: int, b: int) -> float:
        return float(
            vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])
        )

    assert alike(2, 3) > 0.9 > 0.5 > alike(2, 4)
    assert np.array_equal(
        vectors, cooccurrence_vectors(sentences, 17, 4, seed=1, window=8, deviation=0.1)
    )
    assert vectors.std() == pytest.approx(0.1, rel=0.5)
    assert np.isfinite(vectors).all()


@pytest.mark.filterwarnings("error")
def test_words_without_neighbors_have_random_vectors() -> None:
    sentences = [np.array([word], dtype=np.int32) for word in range(2, 5)]
    for words in (sentences, [np.array([2, 2, 2], dtype=np.int32)]):  # or only themselves as such
        vectors = cooccurrence_vectors(words, 5, 40, seed=1, window=8, deviation=0.1)
        assert vectors.std() == pytest.approx(0.1, rel=0.3) and abs(vectors.mean()) < 0.03
        assert np.abs(vectors).sum(1).min() > 1


def test_vectors_are_the_truncated_svd_of_the_positive_pmi_of_a_window() -> None:
    random = np.random.default_rng(1)
    sentences = [random.integers(2, 12, random.integers(3, 14)).astype(np.int32) for _ in range(60)]
    counts = np.zeros((12, 12))
    for sentence in sentences:
        for i, word in enumerate(sentence):
            for j, other in enumerate(sentence):
                if 0 < abs(i - j) <= 8:
                    counts[word, other] += 1 / abs(i - j)
    of_word = counts.sum(1)
    context = of_word**0.75 / (of_word**0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(counts / (of_word[:, None] * context))
    information = np.nan_to_num(np.maximum(information, 0), posinf=0, neginf=0)
    left, singular, _ = np.linalg.svd(information)
    expected = (left * singular) @ left.T
    vectors = cooccurrence_vectors(sentences, 12, 12, seed=1, window=8, deviation=0.1).astype(
        np.float64
    )
    vectors[:2] = 0  # words of no sentence are random
    vectors = vectors @ vectors.T
    np.testing.assert_allclose(
        vectors / np.abs(vectors).max(), expected / np.abs(expected).max(), atol=1e-3
    )
