"""Inputs are drawn until they tell apart all ways that a check knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shared.teaching import wire
from shared.teaching.assignment import Assignment, Check, Score
from shared.teaching.compare import Way, close, judge
from shared.teaching.student import LocalStudent

WAYS = (Way(0, None, lambda x: abs(x)), Way(1, "size_sign", lambda x: x))


def assignment_of(draws: list[int]) -> Assignment:
    """Return an assignment to write `size(x)`, which is |x|; each draw of its check is appended to `draws`."""

    def check(student, random, most) -> dict[str, Score]:
        draws.append(int(random.integers(-3, 3)))
        return {"size": judge(student, "size", [(draws[-1],)], WAYS, most["size"])}

    def never_telling(student, random, most) -> dict[str, Score]:
        draws.append(1)
        return {"never": judge(student, "size", [(1,)], WAYS, most["never"])}

    checks = (Check(("size",), check), Check(("never",), never_telling))
    return Assignment("size", Path(), (), checks, {})


@pytest.mark.parametrize("seed", range(8))
def test_inputs_on_which_a_mistake_passes_for_right_are_drawn_again(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Assignment, "points", {"size": 1.0, "never": 1.0})
    draws: list[int] = []
    assignment = assignment_of(draws)
    for code, points in ((abs, 1.0), (lambda x: x, 0.0)):
        draws.clear()
        scores = assignment.run(assignment.checks[0], LocalStudent({"size": code}), seed)
        assert scores["size"].points == points
        assert draws[-1] < 0 and all(number >= 0 for number in draws[:-1])


def test_check_whose_inputs_never_tell_apart_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Assignment, "points", {"size": 1.0, "never": 1.0})
    draws: list[int] = []
    assignment = assignment_of(draws)
    scores = assignment.run(assignment.checks[1], LocalStudent({"size": np.abs}), 0)
    assert scores["never"].points == 1 and len(draws) == 20


@pytest.mark.parametrize("expected", [0, True, None, "a", [0, 0]])
def test_an_object_or_an_array_in_place_of_a_value_is_wrong(expected: object) -> None:
    """An object that stays in the worker is known by its number, which is no value of the student's."""
    for answer in (wire.Handle(0), wire.Handle(1), np.zeros(3), np.ones(3), 10**400):
        assert not close(answer, expected)
