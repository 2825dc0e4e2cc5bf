"""The page of `app`: what its functions answer, without a server. tests/app looks at all pages in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from esim import load
from esim.commands.app import compared, page_of
from shared.errors import UserError


def test_answers_are_those_of_the_model(small_run: Path) -> None:
    model = load(small_run)
    labels, maps = compared(model, "A dog runs outside.", "An animal runs.")
    expected = model.attention("A dog runs outside.", "An animal runs.")
    for name, probability in expected.probabilities.items():
        assert re.search(rf">{name}<.*?>{100 * probability:.1f} %<", labels)
    assert maps.count("<table") == 2
    assert maps.count('<th scope="row">') == len(expected.premise) + len(expected.hypothesis)


def test_sentence_without_words_is_the_users(small_run: Path) -> None:
    with pytest.raises(UserError, match="The hypothesis '' has no words"):
        compared(load(small_run), "A dog runs.", "")


def test_words_are_escaped(small_run: Path) -> None:
    _, maps = compared(load(small_run), "A <script> runs.", "An animal runs.")
    assert "<script>" not in maps


def test_page_shows_pairs_of_the_data_and_does_without_it(small_run: Path) -> None:
    gradio = pytest.importorskip("gradio", reason="the extra `app` is not installed")
    page = page_of(load(small_run))
    (answer,) = (f.fn for f in page.fns.values() if f.api_name == "compare")
    assert "entailment" in answer("A dog runs.", "An animal runs.")[0]
    with pytest.raises(gradio.Error, match="has no words"):
        answer("", "")
