"""`--minutes N` as a number of steps. Imports no torch.

A short timing at the start fixes how many steps fit; from there the run is as deterministic as one with `--steps`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

# An evaluation of a big set can cost as much as an epoch of a small one. More than this share of the time is not
# spent on evaluating; the steps between evaluations are stretched instead.
MOST_EVALUATION = 0.1


@dataclass(frozen=True)
class Plan:
    """How long a run is, fixed before its first step.

    Parameters
    ----------
    total_steps : int
        Updates in all.
    evaluate_every : int
        Updates between evaluations; 0: at the end of each epoch.
    """

    total_steps: int
    evaluate_every: int


def plan_for(
    seconds: float,
    *,
    step_seconds: float,
    evaluation_seconds: float,
    evaluate_every: int,
    epoch_steps: int,
) -> Plan:
    """Return the longest plan that fits.

    Parameters
    ----------
    seconds : float
        Time left for steps and evaluations, the last evaluation included.
    step_seconds, evaluation_seconds : float
        Measured, each of one, > 0 and >= 0.
    evaluate_every : int
        As configured; 0: at the end of each epoch.
    epoch_steps : int
        Updates in an epoch.
    """
    least = math.ceil((1 / MOST_EVALUATION - 1) * evaluation_seconds / step_seconds)
    between = evaluate_every or epoch_steps
    if between < least:
        between = evaluate_every = least
    # The last evaluation is always made; every other one comes with `between` steps.
    left = seconds - evaluation_seconds
    rounds, rest = divmod(max(0.0, left), between * step_seconds + evaluation_seconds)
    total = int(rounds) * between + min(between, int(rest / step_seconds))
    return Plan(max(1, total), evaluate_every)


def time_steps(
    step: Callable[[], object],
    most: int,
    *,
    allowed: float,
    agree: Callable[[bool], bool] = lambda is_enough: is_enough,
) -> float:
    """Return the seconds that a step takes, the first quarter left out: these allocate and compile.

    Parameters
    ----------
    step : callable
        Makes a step and waits for its end.
    most : int
        Steps to try at most, >= 1.
    allowed : float
        Seconds to spend; seven steps are tried in any case.
    agree : callable
        Makes the same decision of all processes' decisions.
    """
    seconds: list[float] = []
    for number in range(most):
        began = time.monotonic()
        step()
        seconds.append(time.monotonic() - began)
        if number > 5 and agree(sum(seconds) > allowed):
            break
    seconds = seconds[max(3, len(seconds) // 4) :] or seconds[-1:]
    return sum(seconds) / len(seconds)
