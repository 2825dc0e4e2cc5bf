"""What training starts from and ends with, and which settings fit together."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from cbow import CBOW
from cbow.config import TrainConfig
from cbow.model import reference
from cbow.model.subwords import find_subwords
from cbow.model.vectors import joined
from cbow.model.weights import (
    final_vectors,
    first_weights,
    initial_weights,
    subwords_of,
    word_inputs,
)
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

TOKENS = ["<unk>", "walk", "walks", "talk", "sea"]
VOCABULARY = Vocabulary(TOKENS, [1, 5, 4, 3, 2])
BOTH = TrainConfig(objective="negative", dimension=3, window=2, positions=True, subword_max=4)


def weights(config):
    subwords = subwords_of(config, VOCABULARY)
    U, _ = first_weights(config, VOCABULARY, subwords)
    return subwords, U, np.random.default_rng(5).normal(size=(config.dimension, len(TOKENS)))


def test_first_weights_are_the_assignments_numbers():
    np.random.seed(7)
    U, V = initial_weights(4, 3, 7)
    np.testing.assert_array_equal(U, np.random.uniform(-1, 1, (4, 3)))
    np.testing.assert_array_equal(V, np.random.uniform(-1, 1, (3, 4)))


def test_word2vecs_first_weights_are_small_inputs_and_no_outputs():
    U, V = initial_weights(400, 5, 7, "word2vec")
    assert 0.09 < np.abs(U).max() <= 0.1
    assert V.shape == (5, 400) and not V.any()


def test_input_tables_have_a_row_for_each_word_and_ngram():
    subwords, U, _ = weights(BOTH)
    assert subwords.size > len(TOKENS)
    assert U.shape == (4 * subwords.size, 3)
    assert len(np.unique(U, axis=0)) == len(U)  # each drawn by itself


def test_a_words_input_is_the_sum_of_its_rows_of_each_table_side_by_side():
    subwords, U, _ = weights(BOTH)
    found = word_inputs(U, 4, subwords)
    assert found.shape == (5, 4 * 3)
    for word in range(5):
        for table in range(4):
            rows = subwords.of(word) + table * subwords.size
            expected = U[rows].sum(axis=0)
            np.testing.assert_allclose(found[word, 3 * table : 3 * table + 3], expected)


def test_vectors_are_the_input_rows_or_with_the_output_added_or_beside_them():
    config = TrainConfig(dimension=3, output_weight=0.5)
    _, U, V = weights(config)

    def vectors(kind):
        return final_vectors(replace(config, vectors=kind), VOCABULARY, None, U, V).matrix

    np.testing.assert_allclose(vectors("input"), U, rtol=1e-6)
    np.testing.assert_allclose(vectors("input+output"), U + V.T, rtol=1e-5)
    np.testing.assert_array_equal(vectors("joined"), joined([U, V.T], [1, 0.5]))


def test_joined_vectors_of_positions_and_ngrams_hold_every_table_and_the_output():
    config = replace(BOTH, vectors="joined", output_weight=0.6)
    subwords, U, V = weights(config)
    found = final_vectors(config, VOCABULARY, subwords, U, V)
    assert found.tokens == TOKENS and found.matrix.shape == (5, 4 * 3 + 3)
    lengths = np.linalg.norm(found.matrix[:, :12], axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.matrix[:, 12:], axis=1), 0.6, rtol=1e-6)


def test_without_ngrams_a_vocabulary_has_none():
    assert subwords_of(TrainConfig(), VOCABULARY) is None
    assert subwords_of(BOTH, VOCABULARY).ngrams == find_subwords(TOKENS, 3, 4).ngrams


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"positions": True}, "--positions is True, expected False with --objective softmax"),
        ({"subword_max": 5}, "--subword-max is 5, expected 0 with --objective softmax"),
        (
            {"objective": "negative", "architecture": "skipgram", "positions": True},
            "--positions is True, expected False with --architecture skipgram",
        ),
        ({"twin": True}, "--twin is True, expected False without --subword-max"),
        (
            {"objective": "negative", "subword_min": 4, "subword_max": 3},
            "--subword-max is 3, expected 0 or at least --subword-min",
        ),
        ({"subword_min": 0}, "--subword-min is 0, expected >= 1"),
        (
            {"objective": "negative", "cbow_gradient": "coursework"},
            "--cbow-gradient is coursework, expected true or word2vec with --objective negative",
        ),
        (
            {"objective": "hierarchical", "vectors": "joined"},
            "--vectors is joined, expected input with --objective hierarchical",
        ),
        (
            {"objective": "negative", "positions": True, "vectors": "input+output"},
            "--vectors is input+output, expected input or joined with --positions",
        ),
        ({"output_weight": -1.0}, "--output-weight is -1.0, expected a number >= 0"),
        ({"twin_weight": 0.0}, "--twin-weight is 0.0, expected a number > 0"),
    ],
)
def test_settings_that_make_no_sense_together_are_named(settings, message):
    with pytest.raises(UserError, match=re.escape(message)):
        TrainConfig(**settings)


def test_a_model_of_a_notebook_trains_and_comes_back_from_disk(tmp_path):
    lines = [line.split() for line in ("i want to go", "he want to go", "i want to eat")] * 5
    model = CBOW(Vocabulary.build(word for line in lines for word in line), dimension=8, seed=42)
    losses = model.train(lines, window=3, learning_rate=1.0, epochs=5)
    assert len(losses) == 5 and losses[-1] < losses[0]
    assert model.most_similar_tokens("i", 2)[0][0] == "i"
    model.save(tmp_path / "model")
    again = CBOW.load(tmp_path / "model")
    np.testing.assert_array_equal(again.U, model.U)
    assert again.similarity("i", "he") == model.similarity("i", "he")


def test_one_step_is_the_references_step():
    vocabulary = Vocabulary(TOKENS, [1, 5, 4, 3, 2])
    model = CBOW(vocabulary, dimension=4, seed=3)
    U, V = model.U.astype(np.float64), model.V.astype(np.float64)
    loss = model.train_one_step(["walk", "sea", "walk"], "talk", learning_rate=0.5)
    assert loss == pytest.approx(reference.step(U, V, [1, 4, 1], 3, 0.5), rel=1e-6)
    np.testing.assert_allclose(model.U, U, atol=1e-6)
    np.testing.assert_allclose(model.V, V, atol=1e-6)


def test_text_in_place_of_words_and_an_empty_context_change_no_weight():
    model = CBOW(Vocabulary(["<unk>", "a", "b"], [1, 2, 1]), dimension=2)
    before = model.U.tobytes(), model.V.tobytes()
    with pytest.raises(UserError, match="The context is empty"):
        model.train_one_step([], "a", 0.1)
    with pytest.raises(
        UserError, match=r"'a b' is a text. Expected its words, such as \['a', 'b'\]"
    ):
        model.train_one_step("a b", "a", 0.1)
    with pytest.raises(UserError, match="is a text"):
        model.train(["a b"], window=1, learning_rate=0.1)
    assert (model.U.tobytes(), model.V.tobytes()) == before


def test_text_without_two_tokens_in_a_line_cannot_train_a_notebooks_model():
    model = CBOW(VOCABULARY, dimension=2)
    with pytest.raises(UserError, match="No line has two tokens"):
        model.train([["walk"], []], window=2, learning_rate=0.1)
