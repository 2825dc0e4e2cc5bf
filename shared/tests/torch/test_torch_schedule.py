from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.torch.config import LoopConfig
from shared.torch.schedule import (
    Moment,
    cosine,
    decay,
    inverse_sqrt,
    linear,
    one_cycle,
    plateau,
    schedule_of,
)


def at(step: int, total: int = 100, **more) -> Moment:
    return Moment(step, total, **more)


def test_linear_rises_to_1_and_falls_towards_its_end():
    factor = linear(0.1, 0.2)
    assert [factor(at(s)) for s in (0, 4, 9, 10)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert factor(at(55)) == pytest.approx(0.6)
    assert factor(at(99)) == pytest.approx(0.2 + 0.8 / 90)


def test_linear_without_warmup_starts_at_1_and_never_reaches_0():
    values = [linear()(at(s, 4)) for s in range(4)]
    assert values == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_cosine_is_halfway_in_the_middle():
    assert [cosine()(at(s)) for s in (0, 50)] == pytest.approx([1.0, 0.5])
    assert cosine(0.0, 0.1)(at(25)) == pytest.approx(0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)


def test_one_cycle_starts_low_peaks_and_ends_at_nothing():
    factor = one_cycle(0.3, 0.04)
    assert [factor(at(s)) for s in (0, 15, 30)] == pytest.approx([0.04, 0.52, 1.0])
    assert factor(at(99)) < 0.001
    named = schedule_of(LoopConfig(schedule="one_cycle"))
    assert [named(at(s)) for s in (0, 15, 30)] == pytest.approx([0.04, 0.52, 1.0])


def test_decay_goes_by_epochs():
    values = [decay(0.1, 30)(at(0, epoch=e)) for e in (0, 29, 30, 60, 89)]
    assert values == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_inverse_sqrt_peaks_at_the_end_of_the_rise():
    factor = inverse_sqrt(0.1)
    assert [factor(at(s)) for s in (4, 9, 39)] == pytest.approx([0.5, 1.0, 0.5])
    assert inverse_sqrt(0.0)(at(3)) == pytest.approx(0.5)


def test_plateau_quarters_at_every_evaluation_that_is_no_better_as_the_examples_do():
    history = [5.0, 4.0, 4.0, 3.9, 4.2, 4.1]
    best, rate, expected = None, 1.0, []
    for value in history:  # the loop of pytorch/examples word_language_model
        if best is None or value < best:
            best = value
        else:
            rate /= 4.0
        expected.append(rate)
    got = [plateau(0.25)(at(0, history=history[: n + 1])) for n in range(len(history))]
    assert got == expected


@given(
    st.sampled_from(["linear", "cosine", "one_cycle"]),
    st.floats(0, 0.9),
    st.floats(0, 1),
    st.integers(200, 5000),
)
def test_courses_have_no_jumps_and_stay_between_0_and_1(name, warmup, final, total):
    config = LoopConfig(schedule=name, warmup=warmup, final_factor=final)
    factor = schedule_of(config)
    values = [factor(at(step, total)) for step in range(total)]
    assert all(0 < value <= 1 + 1e-12 for value in values)
    rise = max(1, (warmup or 0.3) * total)
    fall = total - rise
    steepest = max(1 / rise, 1 / max(fall, 1)) * math.pi / 2 + 1e-9
    jumps = [abs(a - b) for a, b in zip(values[1:], values[:-1], strict=True)]
    assert max(jumps) <= steepest


@pytest.mark.parametrize("name", LoopConfig.__annotations__ and ["constant", "decay", "plateau"])
def test_named_schedules_start_at_the_full_rate(name):
    assert schedule_of(LoopConfig(schedule=name))(at(0)) == 1.0
