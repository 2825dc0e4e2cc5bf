import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from toy_task import ToyConfig

from shared.command.config import parse
from shared.errors import UserError
from shared.torch.config import TrainOptions
from shared.torch.device import make_accelerator
from shared.torch.loop import Training
from shared.torch.processes import TrialRun, start_run
from shared.torch.range_test import find_learning_rate, range_test, smoothed, suggest
from shared.torch.sampler import Shuffled

CURVATURE = np.array([4.0, 1.0, 0.25])
LIMIT = 2 / 4.0
"""Gradient descent on a quadratic is stable below 2 over its largest curvature."""
RATES = np.geomspace(1e-4, 1e2, 120).tolist()


class Quadratic(nn.Module):
    """L(w) = sum_i c_i w_i^2 / 2, from w = 1."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.others = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self) -> torch.Tensor:
        weights = torch.cat([self.first, self.others])
        return (torch.from_numpy(CURVATURE) * weights**2).sum() / 2


def training(
    run: Any, groups: Callable[[Quadratic, float], list[dict]] | None = None, **changes: Any
) -> Training:
    config = ToyConfig(device="cpu", examples=24, batch_size=8, **changes)
    model, rate = Quadratic(), config.learning_rate
    chosen = groups(model, rate) if groups else [{"params": model.parameters(), "lr": rate}]

    def loss_fn(wrapped: nn.Module, batch: Any) -> tuple[torch.Tensor, int]:
        return wrapped() * len(batch), len(batch)

    return Training(
        accelerator=make_accelerator(config), run=run, config=config, model=model,
        optimizers=[torch.optim.SGD(chosen, lr=rate)], order=Shuffled(24, 8, 1),
        fetch=lambda shard: torch.from_numpy(shard.indices), loss_fn=loss_fn,
    )  # fmt: skip


@pytest.fixture
def trial(tmp_path: Path):
    options = TrainOptions(out=str(tmp_path / "curve"), find_learning_rate=True, quiet=True)
    with TrialRun("toy", options, quiet=options.quiet) as run:
        yield run


def descent(rates: list[float], factors: np.ndarray) -> list[float]:
    """Return the losses of gradient descent with a rate for each update, computed by hand."""
    weights, losses = np.ones(3), []
    for rate in rates:
        losses.append(float((CURVATURE * weights**2).sum() / 2))
        weights = weights - rate * factors * CURVATURE * weights
    return losses


def test_each_update_has_the_rate_that_its_loss_is_listed_with(trial: TrialRun) -> None:
    """Over many epochs of three batches, whatever the schedule."""
    losses = range_test(training(trial, schedule="one_cycle"), RATES)
    assert losses == pytest.approx(descent(RATES, np.ones(3))[: len(losses)], rel=1e-9)


def test_other_learning_rates_keep_their_ratio(trial: TrialRun) -> None:
    def groups(model: Quadratic, rate: float) -> list[dict]:
        return [{"params": [model.first], "lr": rate / 10}, {"params": [model.others], "lr": rate}]

    losses = range_test(training(trial, groups), RATES)
    expected = descent(RATES, np.array([0.1, 1, 1]))
    assert losses == pytest.approx(expected[: len(losses)], rel=1e-9)


def test_test_ends_soon_after_the_stable_limit_and_suggests_rates_below_it(trial: TrialRun) -> None:
    losses = range_test(training(trial), RATES)
    assert LIMIT < RATES[len(losses) - 1] < 30 * LIMIT
    suggestion = suggest(RATES[: len(losses)], losses)
    assert suggestion.steepest is not None and suggestion.below_minimum is not None
    assert LIMIT / 100 < suggestion.steepest < LIMIT
    assert LIMIT / 100 < suggestion.below_minimum < LIMIT


def test_losses_that_are_not_finite_end_the_test(trial: TrialRun) -> None:
    losses = range_test(training(trial), [0.01, 0.01, 1e200, 1e200, 1e200, 1e200])
    assert len(losses) == 3
    assert np.isfinite(losses).all()


def test_nothing_is_suggested_where_the_loss_does_not_fall() -> None:
    rates = np.geomspace(1e-7, 1, 50).tolist()
    for losses in ([1.0] * 50, np.linspace(1, 3, 50).tolist()):
        assert suggest(rates, losses).steepest is None
    assert suggest(rates[:3], [3.0, 2.0, 1.0]).steepest is None  # too few


def test_suggestions_lie_where_the_curve_says() -> None:
    """The loss falls by a sigmoid around 1e-3 and rises beyond 0.1."""
    rates = np.geomspace(1e-7, 10, 400)
    losses = 2 - np.tanh(np.log10(rates) + 3) + np.maximum(0, np.log10(rates) + 1)
    suggestion = suggest(rates.tolist(), losses.tolist())
    assert 5e-4 < suggestion.steepest < 5e-3
    assert 0.005 < suggestion.below_minimum < 0.05


def test_average_of_equal_losses_is_their_value_from_the_start() -> None:
    assert smoothed([3.0] * 5) == pytest.approx([3.0] * 5)


def test_curve_is_written_and_no_run_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    options = TrainOptions(
        find_learning_rate=True, range_rates=(1e-4, 100.0), range_steps=60, out="curve"
    )
    config = ToyConfig(device="cpu")
    with start_run(make_accelerator(config), "toy", config, options) as run:
        assert isinstance(run, TrialRun)
        find_learning_rate(training(run), run)
    assert not run.path.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve"]
    names = [f"learning-rate.{ending}" for ending in ("html", "json", "png")]
    assert sorted(path.name for path in (tmp_path / "curve").iterdir()) == names
    written = json.loads((tmp_path / "curve" / names[1]).read_text())
    assert len(written["rates"]) == len(written["losses"]) == len(written["smoothed"]) < 60
    rate = written["suggestion"]["steepest"]
    said = capsys.readouterr().out
    assert f"Suggested: --learning-rate {rate:.2g} (steepest descent)" in said
    assert "still falls" not in said


def test_range_that_ends_while_the_loss_falls_is_said_to_be_too_short(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = TrainOptions(
        find_learning_rate=True, range_rates=(1e-3, 0.1), range_steps=30, out=str(tmp_path / "c")
    )
    config = ToyConfig(device="cpu")
    with start_run(make_accelerator(config), "toy", config, options) as run:
        find_learning_rate(training(run), run)
    assert "The loss still falls at 0.1, the last one: raise the end of --range-rates." in (
        capsys.readouterr().out
    )


def test_loss_that_is_not_finite_at_once_is_the_users(tmp_path: Path) -> None:
    options = TrainOptions(out=str(tmp_path / "curve"), find_learning_rate=True, quiet=True)
    with TrialRun("toy", options, quiet=options.quiet) as run:
        ours = training(run)
        with torch.no_grad():
            ours.model.first.fill_(float("inf"))
        with pytest.raises(UserError, match=r"learning rate 1e-07\. Lower --range-rates"):
            find_learning_rate(ours, run)
    assert not (tmp_path / "curve").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--find-learning-rate", "--range-rates", "1,0.1"], "two rising numbers"),
        (["--find-learning-rate", "--range-rates", "1"], r"is \[1\], expected a list of 2, each a"),
        (["--find-learning-rate", "--range-steps", "2"], ">= 10"),
        (["--find-learning-rate", "--resume", "--out", "x"], "false with --find-learning-rate"),
        (["--range-steps", "20"], "find-learning-rate"),
    ],
)
def test_options_that_make_no_sense_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse("toy train", "", [TrainOptions], words)


def test_options_of_the_range_are_read(tmp_path: Path) -> None:
    words = ["--find-learning-rate", "--range-rates", "1e-5,10", "--range-steps", "40"]
    (options,) = parse("toy train", "", [TrainOptions], words)
    assert options.range_rates == (1e-5, 10.0)
    assert options.range_steps == 40
