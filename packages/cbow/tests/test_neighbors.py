"""Answers about words: what is listed, and that both forms of it agree."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cbow.model.neighbors import analogy, as_text, neighbors, similarity
from cbow.model.vectors import WordVectors
from shared.errors import UserError


@pytest.fixture
def vectors() -> WordVectors:
    words = ["king", "queen", "man", "woman", "far"]
    return WordVectors(words, np.array([[5, 1, 0], [5, 0, 1], [1, 1, 0], [1, 0, 1], [-1, 0, 0]]))


def test_neighbors_leave_the_word_itself_out(vectors):
    near = neighbors(vectors, ["king", "man"], 2)["neighbors"]
    assert [row["word"] for row in near["king"]] == ["queen", "man"]
    assert list(near) == ["king", "man"] and len(near["man"]) == 2
    assert near["king"][0]["cosine"] == pytest.approx(25 / 26, abs=1e-5)


def test_similarity_answers_the_cosine(vectors):
    answer = similarity(vectors, "king", "queen")
    assert answer["cosine"] == pytest.approx(25 / 26, abs=1e-5)
    assert as_text(answer) == "king queen 0.9615"


def test_analogy_asks_b_minus_a_plus_c():
    words = ["man", "king", "woman", "queen", "girl"]
    rows = [[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1.2], [1, 1, -1.2]]
    vectors = WordVectors(words, np.array(rows))
    answer = analogy(vectors, "man", "king", "woman", 1)
    assert answer["answers"][0]["word"] == "queen"
    assert as_text(answer).startswith("man : king = woman : ?\n")
    assert as_text(answer).endswith("queen")


def test_every_answer_is_plain_json(vectors):
    for answer in (
        neighbors(vectors, ["king"]),
        similarity(vectors, "king", "far"),
        analogy(vectors, "man", "king", "woman"),
    ):
        assert json.loads(json.dumps(answer)) == answer


def test_neighbors_are_laid_out_one_a_line_under_their_word(vectors):
    text = as_text(neighbors(vectors, ["king", "man"], 2))
    assert text.split("\n\n")[0].splitlines() == ["king", "   0.9615  queen", "   0.8320  man"]
    assert text.split("\n\n")[1].splitlines()[0] == "man"


def test_negative_cosines_stay_in_the_column(vectors):
    lines = as_text(neighbors(vectors, ["king"], 4)).splitlines()
    assert (
        lines[-1] == "  -0.9806  far"
        and len({line.index(line.split()[1]) for line in lines[1:]}) == 1
    )


def test_an_unknown_word_is_a_user_error(vectors):
    with pytest.raises(UserError, match="quean"):
        neighbors(vectors, ["quean"])
