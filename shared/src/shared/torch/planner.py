"""Decides how many updates a run has: from `epochs` or `steps`, or from `minutes` by timing and following the pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from torch import nn

from shared.command.clock import seconds_after
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory
from shared.torch.averaging import WeightAverage
from shared.torch.config import LoopConfig
from shared.torch.journal import Journal
from shared.torch.meter import Meter
from shared.torch.plan import (
    LEAST_STEPS,
    LEAST_UPDATING,
    Costs,
    Pace,
    Plan,
    evaluation_interval,
    refusal,
    steps_that_fit,
)
from shared.torch.position import Position
from shared.torch.processes import from_first
from shared.torch.sampler import Order
from shared.torch.timing import Snapshot, time_stages

MOST_TIMING = 30.0
"""Seconds of a `--minutes` run at most that go to timing updates, which are undone; less of a short one."""
MOST_TIMING_FRACTION = 0.03


class Planned(Protocol):
    """What a planner reads and sets of `shared.torch.loop.Training`."""

    accelerator: Any
    run: RunDirectory
    config: LoopConfig
    model: nn.Module
    optimizers: Sequence[Any]
    order: Order
    evaluate: Callable[[nn.Module], Mapping[str, Any]] | None
    evaluate_part: tuple[Callable[[nn.Module], Mapping[str, Any]], float] | None
    stage: Callable[[float], Hashable] | None
    evaluations_after: float
    state: Any
    at: Position
    plan: Plan
    average: WeightAverage | None
    meter: Meter
    journal: Journal
    bar: Any

    def seconds(self) -> float:
        """Return the seconds spent on training."""

    def epoch_steps(self, epoch: int) -> int:
        """Return the number of updates in an epoch."""

    def attempt(self, progress: float, count: int) -> AbstractContextManager[Callable[[], object]]:
        """Give a function that makes one of the first `count` updates, as at a progress."""

    def figures(self, evaluate: Callable[[nn.Module], Mapping[str, Any]]) -> dict[str, Any]:
        """Evaluate."""

    def say(self, text: str) -> None:
        """Log a line."""


class Planner:
    """Keeps `training.plan`.

    Parameters
    ----------
    training : Training
    began : float
        `time.monotonic()` of when `config.minutes` began.
    """

    def __init__(self, training: Planned, began: float) -> None:
        self._training, self._began = training, began
        self._pace: Pace | None = None
        # Read before the journal drops the records past the checkpoint: a resumed run replays its plans, and makes no
        # others up to where it was stopped.
        records = training.run.metrics.records()
        self._reached = max((r["step"] for r in records), default=0)
        records = [r for r in records if "planned_steps" in r]
        self._records, self._reached = from_first(training.accelerator, (records, self._reached))
        self._replays: dict[int, int] = {}
        self._is_proposed = False

    def start(self) -> None:
        """Fix the plan before the first update, or restore it."""
        training, config = self._training, self._training.config
        if training.epoch_steps(0) < 1:
            raise UserError(
                f"--accumulation {config.accumulation} is more than the batches of an epoch, {training.order.steps(0)}."
            )
        if config.minutes is not None:
            if not self._records:
                self._records = [self._time(config.minutes)]
            self._restore()
        elif not training.plan.total_steps:
            total = config.steps or sum(training.epoch_steps(e) for e in range(config.epochs))
            training.plan = Plan(total, config.evaluate_every)
        training.bar.reset(total=training.plan.total_steps)
        training.bar.update(training.at.step)

    def updated(self, progress: float) -> None:
        """Note an update that was made at a progress."""
        if self._pace is not None:
            self._pace.updated(progress, self._training.seconds())

    def propose(self) -> None:
        """Propose another plan where the time demands it; an evaluation that is due now must have been made."""
        training, pace, at = self._training, self._pace, self._training.at
        if pace is None or not training.accelerator.is_main_process:
            return
        if self._is_proposed or at.step <= self._reached:
            return
        size = training.epoch_steps(at.epoch)
        every = training.plan.evaluate_every
        until = every - at.step % every if every else size - at.epoch_step
        total = pace.proposal(training.plan, at.step, until, every or size, training.seconds())
        if total is not None:
            total = max(total, self._least())  # rather late than of no use
            total = None if total == training.plan.total_steps else total
        # It goes round the processes with the next update's sums, so all of them change plans together.
        training.meter.propose(total)
        self._is_proposed = total is not None

    def evaluated(self, seconds: float) -> None:
        """Note what an evaluation took, with the checkpoint it led to."""
        if self._pace is not None:
            self._pace.evaluated(seconds, self._training.seconds())

    def replan(self) -> None:
        """Take up a plan that was proposed, or that an earlier process of this run took up at this step."""
        training = self._training
        proposed = training.meter.proposal()
        total = self._replays.get(training.at.step, proposed)
        if total is None:
            return
        self._is_proposed = False
        before = training.plan.total_steps
        training.plan = training.plan.replaced(training.at.step, total)
        self._write(training.at.step)
        total = training.plan.total_steps  # not below the updates done
        training.bar.total = total
        training.say(f"the pace has changed: {total} steps planned now, {before} before")
        if total == self._least():
            training.say("Fewer would be of no use: the run may take longer than --minutes.")

    def _least(self) -> int:
        """Return the least number of updates that is of any use."""
        return min(LEAST_STEPS, self._training.epoch_steps(0))

    def _restore(self) -> None:
        """Take the plan, the costs and what is to be replayed from the records of this run."""
        training, first = self._training, self._records[0]
        if not training.plan.total_steps:
            training.plan = Plan(first["planned_steps"], first["evaluate_every"])
        self._replays = {
            r["step"]: r["planned_steps"] for r in self._records if r["step"] > training.at.step
        }
        if "timing" in first:  # runs of earlier versions kept their first plan
            timing = first["timing"]
            stages = tuple((end, seconds) for end, seconds in timing["stages"])
            costs = Costs(stages, timing["evaluation"])
            self._pace = Pace(costs, timing["seconds"], training.evaluations_after)
            self._pace.start(training.seconds())

    def _time(self, minutes: float) -> dict:
        """Try some updates and an evaluation, undo them, and record the plan that ends in time."""
        training, deadline = self._training, self._began + 60 * minutes - seconds_after()
        costs = from_first(training.accelerator, self._costs(deadline))
        size, step_seconds = training.epoch_steps(0), costs.mean_step_seconds(0)
        every = evaluation_interval(training.config.evaluate_every, size, costs)
        between = every or size
        after = training.evaluations_after * costs.evaluation
        left = deadline - time.monotonic() - after
        total = from_first(
            training.accelerator,
            steps_that_fit(left, step_seconds, costs.evaluation, between, between),
        )
        least = self._least()
        if total < least:
            spent = 60 * minutes - left + costs.evaluation
            needed = from_first(training.accelerator, spent + least * step_seconds)
            raise UserError(refusal(minutes, needed, least))
        training.plan = Plan(total, every)
        timing = {
            "stages": costs.stages,
            "evaluation": costs.evaluation,
            "seconds": deadline - time.monotonic() + training.seconds(),
        }
        timing = from_first(training.accelerator, timing)
        self._write(0, timing=timing)
        training.say(f"{minutes:g} minutes are time for {total} steps")
        updating = total * step_seconds / (60 * minutes)
        if updating < LEAST_UPDATING:
            training.say(
                f"Only {updating:.0%} of them are for updates, the rest for loading, timing and evaluating; "
                "more minutes are better used."
            )
        return {"step": 0, "planned_steps": total, "evaluate_every": every, "timing": timing}

    def _costs(self, deadline: float) -> Costs:
        training, config = self._training, self._training.config
        size = training.epoch_steps(0)
        training.plan = Plan(size, 0)  # for the schedule
        before = Snapshot([training.model, *training.optimizers, training.average, training.state])
        stages = time_stages(
            training.attempt,
            training.stage or (lambda progress: None),
            size,
            allowed=min(MOST_TIMING, MOST_TIMING_FRACTION * (deadline - time.monotonic())),
            least=4 if config.compile else 2,
            agree=partial(from_first, training.accelerator),
        )
        evaluation = 0.0
        if training.evaluate is not None:
            evaluate, fraction = training.evaluate_part or (training.evaluate, 1.0)
            for _ in range(2 if config.compile else 1):  # the first one compiles
                began = time.monotonic()
                training.figures(evaluate)
                evaluation = (time.monotonic() - began) / fraction
        before.restore()
        training.meter.forget()
        training.plan = Plan(0, 0)
        return Costs(stages, evaluation)

    def _write(self, step: int, **more: object) -> None:
        plan = self._training.plan
        self._training.journal.add(
            step, planned_steps=plan.total_steps, evaluate_every=plan.evaluate_every, **more
        )
