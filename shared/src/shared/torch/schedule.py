"""Learning rates as pure functions of the position of training. Imports no torch.

A schedule takes a `Moment` and returns a factor, by which the loop multiplies the learning rate that each parameter
group was made with. It keeps no state, so a resumed run has the rate that the run without a break would have had.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.torch.config import LoopConfig


@dataclass(frozen=True)
class Moment:
    """Position of training before an update.

    Parameters
    ----------
    step : float
        Updates done so far, 0 <= step < total_steps. Whole numbers, except where `--minutes` has changed the plan.
    total_steps : float
        Updates of the whole run.
    epoch, epoch_step : int
        Passes over the data done so far, and updates of the present one.
    history : sequence of float
        The metric of every evaluation so far, with its sign such that lower is better.
    """

    step: float
    total_steps: float
    epoch: int = 0
    epoch_step: int = 0
    history: Sequence[float] = ()


Schedule = Callable[[Moment], float]


def schedule_of(config: LoopConfig) -> Schedule:
    """Return the schedule that a configuration names."""
    schedules: dict[str, Schedule] = {
        "constant": constant,
        "linear": linear(config.warmup, config.final_factor),
        "cosine": cosine(config.warmup, config.final_factor),
        "one_cycle": one_cycle(config.warmup or 0.3, final_factor=config.final_factor),
        "decay": decay(config.decay_factor, config.decay_epochs),
        "inverse_sqrt": inverse_sqrt(config.warmup),
        "plateau": plateau(config.decay_factor),
    }
    return schedules[config.schedule]


def constant(moment: Moment) -> float:
    """Return 1."""
    return 1.0


def linear(warmup: float = 0.0, final_factor: float = 0.0) -> Schedule:
    """Rise in a line over the first fraction `warmup` of the steps, then fall in a line to `final_factor`."""
    return _warm(warmup, lambda done: 1 + (final_factor - 1) * done)


def cosine(warmup: float = 0.0, final_factor: float = 0.0) -> Schedule:
    """Rise in a line over the first fraction `warmup` of the steps, then fall along half a cosine to `final_factor`.

    References
    ----------
    Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5, one period.
    """
    return _warm(warmup, lambda done: _half_cosine(1.0, final_factor, done))


def one_cycle(
    peak_at: float = 0.3, start_factor: float = 0.04, final_factor: float = 0.0
) -> Schedule:
    """Rise along half a cosine from `start_factor` to 1 at the fraction `peak_at` of the steps, then fall likewise.

    References
    ----------
    Smith and Topin 2018, arXiv 1708.07120; the cosine form is fastai's.
    """

    def factor(moment: Moment) -> float:
        peak = peak_at * moment.total_steps
        if moment.step < peak:
            return _half_cosine(start_factor, 1.0, moment.step / peak)
        return _half_cosine(1.0, final_factor, (moment.step - peak) / (moment.total_steps - peak))

    return factor


def decay(factor: float, every_epochs: int) -> Schedule:
    """Multiply by `factor` after every `every_epochs` epochs."""
    return lambda moment: factor ** (moment.epoch // every_epochs)


def inverse_sqrt(warmup: float) -> Schedule:
    """Rise in a line over the first fraction `warmup` of the steps, then fall with the square root of the step.

    References
    ----------
    Vaswani et al. 2017, arXiv 1706.03762, equation 3, scaled to a peak of 1.
    """

    def factor(moment: Moment) -> float:
        rise = max(1.0, warmup * moment.total_steps)
        now = moment.step + 1
        return min(now / rise, math.sqrt(rise / now))

    return factor


def plateau(factor: float) -> Schedule:
    """Multiply by `factor` after each evaluation that gave no new best.

    With factor 0.25 it is the quartering of pytorch/examples' word_language_model.
    """

    def of_history(moment: Moment) -> float:
        best, cuts = math.inf, 0
        for value in moment.history:
            cuts += value >= best
            best = min(best, value)
        return factor**cuts

    return of_history


def _warm(warmup: float, after: Callable[[float], float]) -> Schedule:
    """Rise over the fraction `warmup`, then follow `after`, which takes how much of the rest is done, 0 to below 1."""

    def factor(moment: Moment) -> float:
        rise = warmup * moment.total_steps
        if moment.step < rise:
            return min(1.0, (moment.step + 1) / rise)  # not 0: the first step should count
        return after((moment.step - rise) / (moment.total_steps - rise))

    return factor


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
