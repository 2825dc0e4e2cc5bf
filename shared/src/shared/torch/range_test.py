"""The learning rate range test: raise the learning rate from update to update, watch the loss, suggest a rate.

`train --find-learning-rate` makes it with everything that training has (data, model, optimizers, loss, clipping), for
some hundred updates, and keeps nothing of them but the curve.

References
----------
Smith 2017, arXiv 1506.01186, section 3.3, raises the rate linearly; here it grows exponentially and the loss is
smoothed, as in fastai's `lr_find`.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.files import write_json
from shared.interrupt import StopRequest
from shared.pages.report import Report
from shared.progress import progress_bar
from shared.random_streams import Stream
from shared.torch.config import TrainOptions
from shared.torch.device import seed_everything
from shared.torch.loop import Training
from shared.torch.plan import Plan
from shared.torch.processes import TrialRun

SMOOTHING = 0.9
"""Decay of the moving average of the losses."""
DIVERGED = 4.0
"""The test ends where the smoothed loss is this many times its lowest value."""
FIRST = 0.1
"""Fraction of the updates before which no rate is suggested: the average has to settle."""
LEAST = 0.001
"""Fraction of the loss by which it has to fall."""
NAME = "learning-rate"


@dataclass(frozen=True)
class Suggestion:
    """Two learning rates; None where the loss hardly falls.

    Parameters
    ----------
    steepest : float or None
        Where the smoothed loss falls fastest over the logarithm of the rate.
    below_minimum : float or None
        A tenth of the rate with the lowest smoothed loss.
    """

    steepest: float | None
    below_minimum: float | None


def smoothed(losses: Sequence[float]) -> NDArray[np.float64]:
    """Return the exponential moving average of losses, float64 (N,), each divided by the sum of its weights."""
    averages, average = [], 0.0
    for number, loss in enumerate(losses, start=1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        averages.append(average / (1 - SMOOTHING**number))
    return np.array(averages)


def suggest(rates: Sequence[float], losses: Sequence[float]) -> Suggestion:
    """Return the learning rates that a range test suggests.

    Parameters
    ----------
    rates : sequence of float (N,)
        Rising.
    losses : sequence of float (N,)
        The loss before the update with each rate, finite.
    """
    curve = smoothed(losses)
    first = math.ceil(FIRST * len(curve))
    if len(curve) - first < 3:
        return Suggestion(None, None)
    lowest = first + int(curve[first:].argmin())
    if curve[lowest] > (1 - LEAST) * curve[first]:
        return Suggestion(None, None)
    # Over a tenth of the updates, so that the noise of single batches does not decide.
    half = max(1, len(curve) // 20)
    ends = np.arange(len(curve))
    before, after = np.maximum(ends - half, 0), np.minimum(ends + half, len(curve) - 1)
    logs = np.log(rates)
    slopes = ((curve[after] - curve[before]) / (logs[after] - logs[before]))[first : lowest + 1]
    return Suggestion(rates[first + int(slopes.argmin())], rates[lowest] / 10)


def range_test(training: Training, rates: Sequence[float]) -> list[float]:
    """Make an update with each learning rate until the loss diverges.

    Parameters
    ----------
    training : Training
        Not started. Its model is trained; nothing is logged or saved.
    rates : sequence of float
        For `config.learning_rate`; parameter groups with rates of their own keep their ratio to it.

    Returns
    -------
    list of float
        The mean loss of each batch before its update, up to the last finite one.
    """
    config: Any = training.config
    factor = 1.0
    training.schedule, training.rate_factor = (lambda moment: factor), None
    training.prepare(
        StopRequest()
    )  # not entered: Ctrl-C ends the process, as nothing is to be saved
    training.plan = Plan(len(rates), 0)
    seed_everything(config.seed, Stream.DROPOUT, training.accelerator.process_index)
    size = training.epoch_steps(0)
    if size < 1:
        raise UserError("There are too few training examples for one update.")
    losses: list[float] = []
    left = iter(rates)
    with progress_bar(len(rates), label="range test", unit="step", quiet=training.run.quiet) as bar:
        while part := list(islice(left, size)):
            with training.attempt(0.0, len(part)) as update:
                for rate in part:
                    factor = rate / config.learning_rate
                    loss = update()
                    if not math.isfinite(loss):
                        return losses
                    losses.append(loss)
                    bar.update(1)
                    average = smoothed(losses)
                    if average[-1] > DIVERGED * average.min():
                        return losses
    return losses


def find_learning_rate(training: Training, run: TrialRun) -> None:
    """Make the range test, write its curve (JSON, PNG, HTML page), and say what it suggests.

    Raises
    ------
    UserError
        The loss is not finite at the lowest learning rate; a file cannot be written.
    """
    options: TrainOptions = run.options
    lowest, highest = options.range_rates
    rates = np.geomspace(lowest, highest, options.range_steps).tolist()
    losses = range_test(training, rates)
    if not training.accelerator.is_main_process:
        return
    if not losses:
        raise UserError(
            f"The loss is not a finite number at learning rate {lowest:g}. Lower --range-rates."
        )
    tried = rates[: len(losses)]
    suggestion = suggest(tried, losses)
    page = write_curve(run.task, options.out, tried, losses, suggestion)
    ended = "" if len(losses) == len(rates) else f"; the loss diverges at {tried[-1]:.2g}"
    run.say(f"Learning rates {lowest:g} to {highest:g} in {len(rates)} updates{ended}.")
    run.say(in_words(suggestion))
    is_whole = len(losses) == len(rates)
    if is_whole and suggestion.steepest and smoothed(losses).argmin() == len(losses) - 1:
        run.say(
            f"The loss still falls at {tried[-1]:.2g}, the last one: raise the end of --range-rates."
        )
    run.say(f"The curve is in {page}.")


def in_words(suggestion: Suggestion) -> str:
    """Return what a suggestion means, in a line."""
    if suggestion.steepest is None or suggestion.below_minimum is None:
        return (
            "The loss hardly falls at any of them, so none is suggested. Try other --range-rates."
        )
    return (
        f"Suggested: --learning-rate {suggestion.steepest:.2g} (steepest descent) "
        f"or {suggestion.below_minimum:.2g} (a tenth of the rate with the lowest loss)."
    )


def write_curve(
    task: str,
    out: str | None,
    rates: Sequence[float],
    losses: Sequence[float],
    suggestion: Suggestion,
) -> Path:
    """Write the curve as JSON, PNG and page into a folder, and return the page."""
    stamp = f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    folder = Path(out) if out else Path("runs") / task / f"{NAME}-{stamp}"
    folder.mkdir(parents=True, exist_ok=True)
    curve = smoothed(losses).tolist()
    points = {"rates": list(rates), "losses": list(losses), "smoothed": curve}
    write_json(folder / f"{NAME}.json", {"suggestion": asdict(suggestion)} | points)
    page = Report(f"{task}: learning rate range test", f"{len(losses)} updates")
    if suggestion.steepest is not None:
        page.headline(f"{suggestion.steepest:.2g}", "learning rate of the steepest descent")
        page.facts(
            [("a tenth of the rate with the lowest loss", f"{suggestion.below_minimum:.2g}")]
        )
    # The losses after divergence would press the rest into a line.
    highest = 2 * max(curve[:1] + curve[: int(np.argmin(curve)) + 1])
    kept = [number for number, loss in enumerate(losses) if max(loss, curve[number]) <= highest]
    page.lines(
        "Loss by learning rate",
        "learning rate",
        "loss",
        {
            name: ([rates[i] for i in kept], [values[i] for i in kept])
            for name, values in (("smoothed", curve), ("each batch", losses))
        },
        caption=f"{in_words(suggestion)} Losses above {highest:.3g} are left out.",
        log_x=True,
        png=folder / f"{NAME}.png",
    )
    return page.save(folder / f"{NAME}.html")
