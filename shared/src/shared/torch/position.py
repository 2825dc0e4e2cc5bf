"""Position and result of a training run. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Position:
    """How far training is: all state that is neither in the model, nor the optimizers, nor the task's own.

    Parameters
    ----------
    step : int
        Updates done.
    epoch, epoch_step : int
        Passes over the data done, and updates done of the present one.
    epochs : float
        Passes over the data done, with the part of the present one.
    history : list of float
        The metric of every evaluation so far.
    seconds : float
        Spent on training, evaluations included, over all resumptions.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    epochs: float = 0.0
    history: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def advance(self, epoch_steps: int) -> bool:
        """Note one more update of an epoch that has `epoch_steps`; return whether it ended the epoch."""
        self.step += 1
        self.epoch_step += 1
        is_epoch_end = self.epoch_step == epoch_steps
        if is_epoch_end:
            self.epoch, self.epoch_step = self.epoch + 1, 0
        self.epochs = self.epoch + self.epoch_step / epoch_steps
        return is_epoch_end

    def outcome(self, seconds: float, *, highest: bool) -> Outcome:
        """Return the result of a run that ends here.

        Parameters
        ----------
        seconds : float
            Spent on training.
        highest : bool
            Higher metrics are better.
        """
        history = self.history
        return Outcome(
            steps=self.step,
            epochs=self.epoch,
            best=history[best_index(history, highest=highest)] if history else None,
            history=tuple(history),
            seconds=seconds,
        )


@dataclass(frozen=True)
class Outcome:
    """Result of a training run.

    Parameters
    ----------
    steps, epochs : int
        Updates and whole passes over the data that were done.
    best : float or None
        The metric of the best evaluation.
    history : tuple of float
        The metric of every evaluation.
    seconds : float
        Spent on training, evaluations included, over all resumptions.
    """

    steps: int
    epochs: int
    best: float | None
    history: tuple[float, ...]
    seconds: float


def best_index(history: Sequence[float], *, highest: bool) -> int:
    """Return the index of the best value, the first of equals.

    Parameters
    ----------
    history : sequence of float
        Not empty.
    highest : bool
        Higher is better.
    """
    return history.index(max(history) if highest else min(history))


def is_stalled(history: Sequence[float], patience: int | None, *, highest: bool) -> bool:
    """Return whether none of the last `patience` values is a new best."""
    if patience is None or not history:
        return False
    return len(history) - 1 - best_index(history, highest=highest) >= patience


def starts_averaging(history: Sequence[float], window: int | None, *, highest: bool) -> bool:
    """Return whether averaging of the weights starts (NT-ASGD): the metric has not improved for `window` evaluations.

    Parameters
    ----------
    history : sequence of float
        The metric of every evaluation, the newest last.
    window : int or None
        >= 1; None: never.
    highest : bool
        Higher is better.

    References
    ----------
    Merity et al. 2017, arXiv 1708.02182, algorithm 1, as in their code (`--nonmono`): the newest value is worse than
    the best of all values before it but the `window` last of those.
    """
    if window is None or len(history) < window + 2:
        return False
    *earlier, newest = history
    compared = earlier[:-window]
    return newest < max(compared) if highest else newest > min(compared)
