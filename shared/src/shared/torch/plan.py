"""How many updates a run has, also where `--minutes N` says how long it may take. Imports no torch.

A `Plan` is fixed before the first update. With `--minutes`, `Pace` follows how fast training really is, and proposes
another plan when the present one would miss the deadline. Each plan is written to `metrics.jsonl` with its step, so a
resumed run replays them and ends with the same bits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

MOST_EVALUATION = 0.1
"""Fraction of the time that is spent on evaluating, at most: the steps between evaluations are stretched for it."""
LEAST_STEPS = 20
"""Updates (or those of one epoch, if these are fewer) below which training is refused as too short."""
LEAST_UPDATING = 0.4
"""Fraction of the time for updates below which a run is told that it is short."""
GRID = 256
"""Points at which a run is asked for its stage."""


@dataclass(frozen=True)
class Plan:
    """How long a run is.

    Parameters
    ----------
    total_steps : int
        Updates in all.
    evaluate_every : int
        Updates between evaluations; 0: at the end of each epoch.
    from_step : int
        The update before which this plan replaced another; 0: it is the first.
    from_progress : float
        How much of the run was done by then, 0 to 1.
    """

    total_steps: int
    evaluate_every: int
    from_step: int = 0
    from_progress: float = 0.0

    def position(self, step: int) -> tuple[float, float]:
        """Return where a schedule stands before an update: its position, and its length in updates.

        With the first plan these are `step` and `total_steps`. A plan that replaces another keeps the progress made,
        so learning rates do not jump; only how fast they change from there.
        """
        length = max(self.total_steps - self.from_step, 1) / (1 - self.from_progress)
        return self.from_progress * length + step - self.from_step, length

    def progress(self, step: int) -> float:
        """Return how much of the run is done before an update, 0 to 1."""
        position, length = self.position(step)
        return min(1.0, position / length)

    def replaced(self, step: int, total_steps: int) -> Plan:
        """Return the plan that continues from `step` with another number of updates in all, at least `step`."""
        # Just below 1, so that a plan which ends where it begins has a length.
        progress = min(self.progress(step), 1 - 1e-9)
        return Plan(max(total_steps, step), self.evaluate_every, step, progress)


@dataclass(frozen=True)
class Costs:
    """What an update and an evaluation take, timed before the first update.

    Parameters
    ----------
    stages : tuple of (float, float)
        For each stage of the run, the progress at which it ends (the last one: 1) and the seconds of an update in it.
    evaluation : float
        Seconds of an evaluation; 0: there is none.
    """

    stages: tuple[tuple[float, float], ...]
    evaluation: float

    def step_seconds(self, progress: float) -> float:
        """Return the seconds of an update at a progress."""
        return next((seconds for end, seconds in self.stages if progress < end), self.stages[-1][1])

    def mean_step_seconds(self, progress: float) -> float:
        """Return the mean seconds of an update over the rest of the run."""
        if progress >= 1:
            return self.stages[-1][1]
        total, start = 0.0, progress
        for end, seconds in self.stages:
            if end > start:
                total += (end - start) * seconds
                start = end
        return total / (1 - progress)


def stage_ends(stage: Callable[[float], Hashable]) -> list[tuple[float, Hashable]]:
    """Return the progress at which each stage of a run ends, and the stage, in order.

    Parameters
    ----------
    stage : callable
        Takes the progress, 0 to below 1, and returns what makes updates take longer or shorter, for example the size
        of the images.
    """
    ends: list[tuple[float, Hashable]] = []
    for point in range(GRID):
        now = stage(point / GRID)
        if ends and ends[-1][1] == now:
            ends.pop()
        ends.append(((point + 1) / GRID, now))
    return ends


def steps_that_fit(
    seconds: float, step_seconds: float, evaluation_seconds: float, between: int, first: int
) -> int:
    """Return the largest number of updates that fits, with an evaluation after the last one; 0 if none does.

    Parameters
    ----------
    seconds : float
        Time left.
    step_seconds, evaluation_seconds : float
        Seconds of one update, > 0, and of one evaluation, >= 0.
    between : int
        Updates between evaluations, >= 1.
    first : int
        Updates until the first of them, >= 1.
    """
    # `rounds` evaluations on the way and one after the last update.
    rounds = (seconds - evaluation_seconds - first * step_seconds) / (
        between * step_seconds + evaluation_seconds
    )
    fitting = 0
    for number in (math.floor(rounds), math.ceil(rounds)):
        number = max(0, number)
        by_time = math.floor((seconds - (number + 1) * evaluation_seconds) / step_seconds)
        fitting = max(fitting, min(first + number * between, by_time))
    return fitting


def evaluation_interval(evaluate_every: int, epoch_steps: int, costs: Costs) -> int:
    """Return the updates between evaluations, more of them where evaluating would take too much of the time.

    Parameters
    ----------
    evaluate_every : int
        As configured; 0: at the end of each epoch.
    epoch_steps : int
    costs : Costs
    """
    least = math.ceil((1 / MOST_EVALUATION - 1) * costs.evaluation / costs.mean_step_seconds(0))
    return least if (evaluate_every or epoch_steps) < least else evaluate_every


class Pace:
    """How fast training is, against the time it was given.

    Parameters
    ----------
    costs : Costs
        Timed before the first update. What is measured here is how much slower or faster than that the machine is now.
    seconds : float
        Time for updates and evaluations, from the first update on.
    after : float
        Evaluations' worth of time to leave for what the task measures after training.
    """

    TOLERANCE = 0.01
    """A plan is replaced when it would miss the deadline by more than this fraction of the time in all, and by more
    than five times this fraction of the time that is left to correct it."""
    SAMPLES = 200
    """Samples of the speed over a run's time."""

    def __init__(self, costs: Costs, seconds: float, after: float = 0.0) -> None:
        self.costs, self.seconds, self.after = costs, seconds, after
        # What the updates so far would have taken at the speed of the timing, and what the evaluations have taken.
        self._expected_seconds = self._evaluating = 0.0
        self._evaluation = costs.evaluation  # at the speed of the timing
        self._samples: deque[tuple[float, float]] = deque(maxlen=self.SAMPLES)
        self._checked = -math.inf

    def start(self, now: float) -> None:
        """Begin to follow, `now` seconds into training."""
        self._samples.append((now, 0.0))

    def updated(self, progress: float, now: float) -> None:
        """Note an update that was made at a progress and ended `now` seconds into training."""
        self._expected_seconds += self.costs.step_seconds(progress)
        if now - self._evaluating - self._samples[-1][0] >= self.seconds / self.SAMPLES:
            self._samples.append((now - self._evaluating, self._expected_seconds))

    def evaluated(self, seconds: float, now: float) -> None:
        """Note an evaluation that ended `now` seconds into training, with the checkpoint it may have led to."""
        self._evaluating += seconds
        self._evaluation = seconds / self._slowdown(self.seconds - now)

    def proposal(
        self, plan: Plan, step: int, until_evaluation: int, between: int, now: float
    ) -> int | None:
        """Return how many updates the run should have in all, or None where the plan will do.

        Parameters
        ----------
        plan : Plan
        step : int
            Updates done.
        until_evaluation, between : int
            Updates until the next evaluation, and between evaluations.
        now : float
            Seconds into training.
        """
        if now - self._checked < self.seconds / self.SAMPLES or len(self._samples) < 4:
            return None
        self._checked = now
        left = self.seconds - now
        slowdown = self._slowdown(left)
        step_seconds = slowdown * self.costs.mean_step_seconds(plan.progress(step))
        evaluation = slowdown * self._evaluation
        left -= self.after * evaluation
        total = step + steps_that_fit(left, step_seconds, evaluation, between, until_evaluation)
        missed = abs(total - plan.total_steps) * step_seconds
        allowed = self.TOLERANCE * max(self.seconds, 5 * (self.seconds - now))
        is_near = missed <= max(allowed, 1.5 * step_seconds)  # a plan consists of whole updates
        return None if is_near else total

    def _slowdown(self, left: float) -> float:
        """Return how many times as long as in the timing things take, over a time as long as what is `left`."""
        if len(self._samples) < 2:
            return 1.0
        end, expected = self._samples[-1]
        begin = next(s for s in self._samples if end - s[0] <= max(left, self.seconds / 20))
        if begin[1] == expected:
            begin = self._samples[-2]
        return (end - begin[0]) / (expected - begin[1])


def refusal(minutes: float, least_seconds: float, steps: int) -> str:
    """Return why training is refused as too short.

    Parameters
    ----------
    minutes : float
        As configured.
    least_seconds : float
        What loading the data, timing, `steps` updates and the evaluations take.
    steps : int
    """
    least = math.ceil(least_seconds / 6) / 10
    return (
        f"--minutes is {minutes:g}, in which less than {steps} updates and an evaluation fit here. "
        f"Take {least:g} or more, or a smaller model or data set."
    )
