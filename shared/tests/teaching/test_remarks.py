"""Remarks name what a student can find in the file."""

from __future__ import annotations

import pytest

from shared.teaching.assignment import Score
from shared.teaching.student import Failure


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("KeyError", "'train'"),
        ("NameError", "name 'train' is not defined"),
        ("AttributeError", "'CBOW' object has no attribute 'train'"),
    ],
)
def test_what_is_missing_is_told_by_its_name_alone(error: str, text: str) -> None:
    score = Score(3.0)
    score.fail(Failure(error, text))
    assert [(r.key, r.values) for r in score.remarks] == [("missing", {"name": "train"})]
