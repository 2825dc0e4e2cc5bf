"""Character n-grams: which ones get a row, and whose sum a word is."""

from __future__ import annotations

import numpy as np

from cbow.model.subwords import find_subwords


def names(subwords, word):
    return [subwords.ngrams[row - len(subwords.offsets) + 1] for row in subwords.of(word)[1:]]


def test_only_ngrams_that_two_words_share_get_a_row():
    found = find_subwords(["<unk>", "walk", "talk", "sea"], 3, 4)
    assert found.ngrams == ["alk", "lk>", "alk>"]
    assert names(found, 1) == names(found, 2) == ["alk", "lk>", "alk>"]
    assert names(found, 3) == []
    assert found.size == 4 + 3


def test_a_words_own_row_comes_first():
    found = find_subwords(["<unk>", "walk", "talk", "sea"], 3, 4)
    assert [found.of(word)[0] for word in range(4)] == [0, 1, 2, 3]
    assert found.rows.dtype == np.int32 and found.offsets.tolist() == [0, 1, 5, 9, 10]


def test_marks_tell_the_two_ends_of_a_word_from_its_middle():
    found = find_subwords(["or", "for", "ore"], 2, 2)
    assert names(found, 0) == ["<o", "or", "r>"]
    assert names(found, 1) == ["or", "r>"]
    assert names(found, 2) == ["<o", "or"]


def test_an_ngram_that_occurs_twice_in_a_word_counts_once():
    found = find_subwords(["banana", "ananas"], 3, 3)
    assert names(found, 0) == ["ana", "nan"]


def test_the_unknown_word_has_no_ngrams():
    assert names(find_subwords(["<unk>", "unk", "unki"], 3, 3), 0) == []
    assert names(find_subwords(["unk", "unki"], 3, 3, unknown="unk"), 0) == []


def test_words_are_never_shorter_than_what_they_share():
    found = find_subwords(["a", "b", "a1"], 3, 5)
    assert found.ngrams == []
    assert found.rows.tolist() == [0, 1, 2]
