"""The page of `app`: what its functions answer, without a server. tests/app looks at all pages in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imdb_sentiment import load
from imdb_sentiment.commands.app import judged, page_of
from shared.errors import UserError

REVIEW = "The acting is brilliant & the story is moving."


def test_answers_are_those_of_the_model(linear_run: Path) -> None:
    model = load(linear_run)
    classes, review = judged(model, REVIEW)
    prediction = model.predict(REVIEW)
    assert prediction.label == "positive"
    first = re.search(r">(\w+)</th>.*?>([\d.]+) %<", classes)
    assert first is not None
    assert first.groups() == ("positive", f"{100 * prediction.probability:.1f}")
    assert re.search('class="for"[^>]*>brilliant</span>', review)
    assert "brilliant</span> &amp; the" in review


def test_empty_review_is_the_users(linear_run: Path) -> None:
    with pytest.raises(UserError, match="The review is empty"):
        judged(load(linear_run), " \n")


def test_page_answers_and_shows_errors_as_messages(linear_run: Path) -> None:
    gradio = pytest.importorskip("gradio", reason="the extra `app` is not installed")
    page = page_of(load(linear_run))
    (answer,) = (f.fn for f in page.fns.values() if f.api_name == "judge_a_review")
    assert "positive" in answer(REVIEW)[0]
    with pytest.raises(gradio.Error, match="The review is empty"):
        answer("")
