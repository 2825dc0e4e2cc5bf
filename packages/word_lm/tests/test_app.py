"""The page of `app`: what its functions answer, without a server. tests/app looks at all pages in a browser."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from shared.errors import UserError
from word_lm import load
from word_lm.commands.app import continued, page_of


def test_answers_are_those_of_the_model(small_run: Path) -> None:
    model = load(small_run)
    text, words = continued(model, "the", 12, 0.8, 3)
    assert text == str(model.generate("the", 12, temperature=0.8, seed=3))
    for word, probability in model.next_words("the", 10):
        assert f">{html.escape(word)}</th>" in words
        assert f">{100 * probability:.1f} %<" in words


def test_empty_prompt_starts_a_line(small_run: Path) -> None:
    text, _ = continued(load(small_run), "", 5, 0.0, 1)
    assert text


def test_setting_out_of_range_is_the_users(small_run: Path) -> None:
    with pytest.raises(UserError, match="temperature"):
        continued(load(small_run), "the", 5, -1.0, 1)


def test_page_answers(small_run: Path) -> None:
    pytest.importorskip("gradio", reason="the extra `app` is not installed")
    page = page_of(load(small_run))
    (answer,) = (f.fn for f in page.fns.values() if f.api_name == "continue")
    assert answer("the", 5, 1.0, 1) == continued(load(small_run), "the", 5, 1.0, 1)
