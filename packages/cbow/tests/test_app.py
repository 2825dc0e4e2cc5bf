"""The page of `app`: what its functions answer, without a server. tests/app looks at all pages in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbow import load
from cbow.commands.app import analogy, neighbors, page_of, word_map_drawing
from shared.errors import UserError


def test_answers_are_those_of_the_model(small_run: Path) -> None:
    vectors = load(small_run)
    word, other = vectors.neighbors(vectors.tokens[30], 1)[0][0], vectors.tokens[31]
    for (nearest, cosine), row in zip(
        vectors.neighbors(word, 12), neighbors(vectors, f" {word} ").split("<tr>")[1:], strict=True
    ):
        assert f">{nearest}<" in row and f">{cosine:.3f}<" in row
    answers = analogy(vectors, word, other, vectors.tokens[32])
    assert answers.index(vectors.analogy(word, other, vectors.tokens[32])[0][0]) > 0


def test_map_has_a_point_with_its_word_for_each_word(small_run: Path) -> None:
    assert word_map_drawing(load(small_run), 20).count("<title>") == 20


@pytest.mark.parametrize("word, message", [("", "Type one"), ("qqqq", "No vector for 'qqqq'")])
def test_words_without_a_vector_are_the_users(small_run: Path, word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        neighbors(load(small_run), word)


def test_page_has_a_tab_for_each_use(small_run: Path) -> None:
    pytest.importorskip("gradio", reason="the extra `app` is not installed")
    page = page_of(load(small_run), small_run)
    names = {function.api_name for function in page.fns.values()}
    assert names >= {"neighbors", "analogy", "map"}
