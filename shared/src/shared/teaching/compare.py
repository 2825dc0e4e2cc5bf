"""Comparing a student's answers with what each known way to do a part would give.

    WAYS = (
        Way(0, None, lambda x: softmax(x)),
        Way(1, "softmax_base_2", lambda x: softmax_base_2(x)),
    )
    score = judge(student, "softmax", cases, WAYS, most)

The first way that explains all answers decides; where none does, the TODO's points are lost with a remark of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from shared.teaching import wire
from shared.teaching.assignment import AnyStudent, Indistinct, Score, must_tell_apart
from shared.teaching.student import CallFailed, Calls, Failure


@dataclass(frozen=True)
class Way:
    """One way to do a part.

    Parameters
    ----------
    cost : float
        Points it loses; 0 for what is right, and for accepted variants.
    remark : str or None
        Key of what is said of it.
    run : callable
        Takes the arguments of a case and returns what this way gives. Where it raises (IndexError, ValueError, ...),
        the student's code must fail too.
    """

    cost: float
    remark: str | None
    run: Callable[..., Any]


def judge(
    student: AnyStudent,
    name: str,
    cases: Sequence[Sequence[Any]],
    ways: Sequence[Way],
    most: float,
    *,
    ask: Callable[[Calls, Sequence[Any]], Any] | None = None,
    stand_ins: Mapping[str, Callable[..., Any]] | None = None,
    unknown: str | None = None,
    tolerance: float = 1e-5,
) -> Score:
    """Score a function by all its answers.

    Parameters
    ----------
    student : Student or LocalStudent
    name : str
        Name of the function.
    cases : sequence of argument lists
    ways : sequence of Way
        The right one first.
    most : float
        Points of the TODO.
    ask : callable, optional
        Takes the calls and a case, and returns the answer; default: call the function.
    stand_ins : mapping, optional
        Functions in place of the student's.
    unknown : str, optional
        Remark where no way explains the answers; default: `<name>_value`.
    tolerance : float
        How far equal numbers may be apart, relative and absolute.

    Raises
    ------
    CallFailed
        No case gave an answer.
    Indistinct
        Two ways that differ in points or remark give the same in all cases, and other inputs may be drawn.
    """
    if must_tell_apart.get():
        _require_apart(name, cases, ways, tolerance)
    answers: list[Any] = []
    first: Failure | None = None
    for case in cases:
        try:
            with student.check(stand_ins or {}) as calls:
                answers.append(ask(calls, case) if ask else calls.value(name, *case))
        except CallFailed as failed:
            if failed.failure.error in ("Timeout", "Died") or failed.failure.is_gap:
                raise
            first = first or failed.failure
            answers.append(failed.failure)
    if first is not None and all(isinstance(answer, Failure) for answer in answers):
        raise CallFailed(first)
    score = Score(most)
    for way in ways:
        if all(
            _fits(way, case, answer, tolerance) for case, answer in zip(cases, answers, strict=True)
        ):
            score.points = max(0.0, most - way.cost)
            if way.remark:
                score.note(way.remark)
            return score
    score.points = 0.0
    if first is not None:
        line = "?" if first.line is None else first.line
        score.note("exception", error=first.error, text=first.text, line=line)
    score.note(unknown or f"{name}_value")
    return score


def _require_apart(
    name: str, cases: Sequence[Sequence[Any]], ways: Sequence[Way], tolerance: float
) -> None:
    given = [[_given(way, case) for case in cases] for way in ways]
    for (one, first), (other, second) in combinations(zip(ways, given, strict=True), 2):
        is_same = (one.cost, one.remark) == (other.cost, other.remark)
        if not is_same and all(
            a is b if b is _EXCEPTION or a is _EXCEPTION else close(a, b, tolerance)
            for a, b in zip(first, second, strict=True)
        ):
            raise Indistinct(f"{name}: {one.remark} and {other.remark}")


_EXCEPTION = object()


def _given(way: Way, case: Sequence[Any]) -> Any:
    """Return what a way gives, `_EXCEPTION` where it ends in one."""
    try:
        return way.run(*case)
    except (ArithmeticError, IndexError, ValueError, KeyError, TypeError):
        return _EXCEPTION


def _fits(way: Way, case: Sequence[Any], answer: Any, tolerance: float) -> bool:
    expected = _given(way, case)
    if expected is _EXCEPTION:  # and so must the student's
        return isinstance(answer, Failure)
    return not isinstance(answer, Failure) and close(answer, expected, tolerance)


def close(answer: Any, expected: Any, tolerance: float = 1e-5) -> bool:
    """Whether two plain values are equal, numbers and arrays up to a tolerance; tensors count as arrays."""
    if isinstance(answer, wire.Tensor):
        answer = answer.array
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu().numpy()
    if isinstance(expected, (list, tuple)) and not _is_numbers(expected):
        return (
            isinstance(answer, (list, tuple))
            and len(answer) == len(expected)
            and all(close(a, e, tolerance) for a, e in zip(answer, expected, strict=True))
        )
    if isinstance(expected, dict):
        return (
            isinstance(answer, dict)
            and answer.keys() == expected.keys()
            and all(close(answer[key], expected[key], tolerance) for key in expected)
        )
    if expected is None or isinstance(expected, (str, bool)):
        if isinstance(answer, wire.Handle) or (isinstance(answer, np.ndarray) and answer.size != 1):
            return False
        return bool(answer == expected) and (answer is None) == (expected is None)
    array = numbers(answer)
    wanted = np.asarray(expected, dtype=np.float64)
    return (
        array is not None
        and array.shape == wanted.shape
        and bool(np.allclose(array, wanted, rtol=tolerance, atol=tolerance, equal_nan=True))
    )


def numbers(value: Any) -> np.ndarray | None:
    """Return a value as an array of floats, or None if it is none."""
    if isinstance(value, wire.Tensor):
        value = value.array
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        return (
            None
            if value is None or isinstance(value, (str, wire.Handle))
            else np.asarray(value, dtype=np.float64)
        )
    except (TypeError, ValueError, OverflowError):
        return None


def _is_numbers(values: Sequence[Any]) -> bool:
    return bool(values) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
    )
