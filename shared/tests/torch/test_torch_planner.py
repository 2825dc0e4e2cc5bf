"""`--minutes`: what is planned before the first update, and how the plan follows the pace of the machine."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable

import pytest
import torch
from toy_task import Killed, ToyConfig, everything, is_same, train

from shared.errors import UserError
from shared.testing import records_of
from shared.torch import plan as plan_module
from shared.torch.plan import Costs, Pace, Plan, evaluation_interval, stage_ends, steps_that_fit
from shared.torch.planner import Planner
from shared.torch.timing import time_stages

MINUTES = 0.04


class Machine:
    """Trains on a made-up clock, as the loop does: updates, evaluations, a proposal taken up one update late."""

    def __init__(
        self,
        step_seconds: Callable[[float, float], float],
        *,
        seconds: float,
        timed: Costs,
        evaluate_every: int = 0,
        epoch_steps: int = 400,
        evaluation: Callable[[float], float] = lambda now: 0.0,
        after: float = 0.0,
    ) -> None:
        every = evaluation_interval(evaluate_every, epoch_steps, timed)
        between = every or epoch_steps
        left = seconds - after * timed.evaluation
        total = steps_that_fit(left, timed.mean_step_seconds(0), timed.evaluation, between, between)
        self.plan, self.now, self.replans = Plan(total, every), 0.0, 0
        pace, step, proposed = Pace(timed, seconds, after), 0, None
        pace.start(0.0)
        while step < self.plan.total_steps:
            progress = self.plan.progress(step)
            self.now += step_seconds(self.now, progress)
            step += 1
            pace.updated(progress, self.now)
            if proposed is not None:
                self.plan = self.plan.replaced(step, proposed)
                self.replans += 1
            if step % between == 0 or step == self.plan.total_steps:
                took = evaluation(self.now)
                self.now += took
                pace.evaluated(took, self.now)
            until = between - step % between
            proposed = pace.proposal(self.plan, step, until, between, self.now)
        self.now += after * evaluation(self.now)
        self.steps = step


ONE = Costs(((1.0, 0.1),), 0.0)
WITH_EVALUATION = Costs(((1.0, 0.1),), 2.0)


def test_quiet_machine_keeps_its_first_plan() -> None:
    machine = Machine(lambda now, progress: 0.1, seconds=480, timed=ONE)
    assert (machine.steps, machine.replans) == (4800, 0)
    assert machine.now == pytest.approx(480)


@pytest.mark.parametrize(
    "step_seconds",
    [
        pytest.param(lambda now, progress: 0.01, id="timed beside other programs, quiet since"),
        pytest.param(lambda now, progress: 1.0, id="quiet when timed, slow since"),
        pytest.param(lambda now, progress: 0.1 if now < 300 else 0.4, id="slow at the end"),
        pytest.param(lambda now, progress: 0.4 if now < 300 else 0.1, id="slow at first"),
        pytest.param(lambda now, progress: 0.1 if now % 60 < 40 else 0.5, id="slow now and then"),
        pytest.param(lambda now, progress: 0.1 * (1 + now / 240), id="slower and slower"),
    ],
)
@pytest.mark.parametrize("timed", [ONE, WITH_EVALUATION], ids=["alone", "evaluated"])
def test_run_ends_within_five_percent_of_its_time_whatever_the_machine_does(
    step_seconds: Callable[[float, float], float], timed: Costs
) -> None:
    def evaluation(now: float) -> float:
        return timed.evaluation * step_seconds(now, 0.0) / 0.1

    machine = Machine(step_seconds, seconds=480, timed=timed, evaluation=evaluation, after=1.0)
    assert 0.95 * 480 <= machine.now <= 1.05 * 480
    assert machine.replans < 60


def test_stages_that_take_longer_are_planned_for_and_are_no_change_of_pace() -> None:
    costs = Costs(((0.25, 0.05), (0.75, 0.1), (1.0, 0.4)), 0.0)
    assert costs.mean_step_seconds(0) == pytest.approx(0.1625)
    assert costs.mean_step_seconds(0.75) == pytest.approx(0.4)
    assert costs.mean_step_seconds(0.5) == pytest.approx(0.25)
    machine = Machine(lambda now, progress: costs.step_seconds(progress), seconds=600, timed=costs)
    assert machine.replans == 0
    assert machine.now == pytest.approx(600, rel=0.01)
    slower = Machine(
        lambda now, progress: 2 * costs.step_seconds(progress), seconds=600, timed=costs
    )
    assert 0.95 * 600 <= slower.now <= 1.05 * 600


def test_replaced_plan_keeps_the_progress_and_ends_at_one() -> None:
    plan = Plan(100, 0)
    assert plan.position(30) == (
        30.0,
        100.0,
    )  # whole numbers: learning rates are those of `--steps 100`
    longer = plan.replaced(30, 300)
    assert longer.progress(30) == pytest.approx(0.3)
    assert longer.progress(31) - longer.progress(30) == pytest.approx(0.7 / 270)
    assert longer.progress(300) == pytest.approx(1.0)
    assert longer.replaced(200, 250).progress(250) == pytest.approx(1.0)
    assert plan.replaced(30, 7).total_steps == 30  # the time is over: no update more


def test_fitting_steps_leave_time_for_every_evaluation() -> None:
    for between, first in ((7, 7), (7, 3), (1000, 1000)):
        for seconds in (0.5, 3.0, 20.0, 99.9):
            fitting = steps_that_fit(seconds, 0.1, 1.0, between, first)

            def cost(steps: int, between: int = between, first: int = first) -> float:
                due = set(range(first, steps + 1, between)) | {steps}
                return 0.1 * steps + 1.0 * len(due)

            assert fitting == 0 or cost(fitting) <= seconds + 1e-9
            assert cost(fitting + 1) > seconds - 1e-9


def test_evaluations_are_stretched_to_a_tenth_of_the_time() -> None:
    assert (
        evaluation_interval(10, 400, WITH_EVALUATION) == 180
    )  # 18 s of training to 2 s of evaluation
    assert evaluation_interval(0, 400, WITH_EVALUATION) == 0


def test_each_stage_is_warmed_with_the_batches_it_is_timed_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from contextlib import contextmanager

    now, met = [0.0], set()
    monkeypatch.setattr("shared.torch.timing.time.monotonic", lambda: now[0])

    @contextmanager
    def attempt(progress: float, count: int):
        sizes = iter(range(count))

        def update() -> None:
            key = (progress > 0.5, next(sizes))
            now[0] += (2.0 if progress > 0.5 else 1.0) + (0 if key in met else 50.0)  # compiles
            met.add(key)

        yield update

    stages = time_stages(attempt, lambda progress: progress >= 0.5, 6, allowed=200)
    assert stages == ((0.5, 1.0), (1.0, 2.0))


def test_stages_are_found_in_order() -> None:
    assert stage_ends(lambda progress: 1) == [(1.0, 1)]
    assert stage_ends(lambda progress: progress >= 0.25) == [(0.25, False), (1.0, True)]


def test_minutes_become_a_number_of_steps_that_is_recorded_and_repeats_the_run(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Pace, "TOLERANCE", 1e9)  # the plan stays
    config = ToyConfig(
        device="cpu", log_every=1, minutes=MINUTES, schedule="linear", evaluate_every=1
    )
    timed = train(tmp_path / "timed", config)
    records = records_of(tmp_path / "timed")
    assert records[0] == {
        "step": 0,
        "planned_steps": timed.outcome.steps,
        "evaluate_every": timed.training.plan.evaluate_every,
    }
    assert timed.outcome.steps > 8
    assert records[-2]["learning_rate"] == pytest.approx(0.05 / timed.outcome.steps)
    by_number = train(
        tmp_path / "steps",
        schedule="linear",
        steps=timed.outcome.steps,
        evaluate_every=timed.training.plan.evaluate_every,
    )
    assert is_same(by_number.model.state_dict(), timed.model.state_dict())
    with pytest.raises(Killed):  # after the timing, whose updates are undone
        train(tmp_path / "killed", config, kill_at=timed.outcome.steps // 3)
    planned = records_of(tmp_path / "killed")[0]["planned_steps"]
    again = train(tmp_path / "killed", config, resume=True)
    assert again.outcome.steps == planned


def slowed(monkeypatch: pytest.MonkeyPatch, seconds: float, after: int) -> None:
    """Make every update of the toy from the `after`-th on take so much longer."""
    from shared.torch.loop import Training

    real = Training._update

    def update(self: Training, batches):
        if self.at.step >= after:
            time.sleep(seconds)
        return real(self, batches)

    monkeypatch.setattr(Training, "_update", update)


def test_plan_that_was_changed_is_replayed_by_a_resumed_run_to_the_same_bits(tmp_path, monkeypatch):
    slowed(monkeypatch, 0.02, after=30)
    config = ToyConfig(
        device="cpu", log_every=1, minutes=0.05, schedule="cosine", checkpoint_every=20,
        checkpoint_epochs=(4, 6), dropout=0.3,
    )  # fmt: skip
    whole = train(tmp_path / "whole", config)
    records = records_of(tmp_path / "whole")
    plans = {r["step"]: r["planned_steps"] for r in records if "planned_steps" in r}
    assert len(plans) > 1 and list(plans.values())[-1] == whole.outcome.steps
    # Back to the checkpoint of an epoch, from before the plan was changed for the last time.
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    for folder in (tmp_path / "again" / "checkpoints").iterdir():
        if folder.name != "epoch-0004":
            shutil.rmtree(folder)
    assert max(plans) > 24
    monkeypatch.setattr(plan_module.Pace, "proposal", lambda *a: 1 / 0)  # none is made anew
    resumed = train(tmp_path / "again", config, resume=True)
    assert is_same(everything(resumed), everything(whole))
    assert records_of(tmp_path / "again") == records


def test_plan_is_looked_at_after_the_evaluation_that_is_due(tmp_path, monkeypatch):
    """Before it, its time would count as time for updates: a steady machine would change its plan, and change back."""
    events: list[object] = []
    monkeypatch.setattr(Planner, "_costs", lambda *a: Costs(((1.0, 0.5),), 0.0))
    monkeypatch.setattr(Pace, "evaluated", lambda *a: events.append("evaluated"))
    monkeypatch.setattr(
        Pace, "proposal", lambda self, plan, step, until, *a: events.append((step, until))
    )
    done = train(tmp_path / "a", ToyConfig(device="cpu", minutes=0.1))
    epoch = done.training.epoch_steps(0)
    assert done.outcome.steps > epoch
    assert events[events.index((epoch, epoch)) - 1] == "evaluated"


@pytest.mark.parametrize("seconds", [0.0, 0.03])
def test_time_is_kept_within_five_percent_where_updates_get_slower(seconds, tmp_path, monkeypatch):
    slowed(monkeypatch, seconds, after=40)
    done = train(tmp_path / "a", ToyConfig(device="cpu", log_every=50, minutes=0.1))
    first = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[0])
    until = first["timing"][
        "seconds"
    ]  # when the six seconds, which began before all preparation, are over
    assert done.outcome.seconds == pytest.approx(until, abs=0.05 * 6)


def test_time_in_which_nothing_useful_fits_is_refused_with_the_least_that_does(tmp_path):
    with pytest.raises(
        UserError, match=r"--minutes is 0.0001, .*less than 6 updates.*Take 0\.\d or more"
    ):
        train(tmp_path / "a", ToyConfig(device="cpu", minutes=0.0001))


def test_machine_that_gets_slow_at_once_leaves_as_many_updates_as_are_of_use(tmp_path, monkeypatch):
    slowed(monkeypatch, 0.2, after=2)  # the time is over after a few of them
    done = train(tmp_path / "a", ToyConfig(device="cpu", minutes=0.02, batch_size=2))
    assert done.outcome.steps == plan_module.LEAST_STEPS < done.training.epoch_steps(0)
    assert "may take longer than --minutes" in (tmp_path / "a" / "log.txt").read_text()


def test_run_that_is_mostly_evaluation_says_so(tmp_path, monkeypatch):
    from shared.torch.loop import Training

    real = Training.figures

    def slow(self, evaluate):
        time.sleep(0.9)
        return real(self, evaluate)

    monkeypatch.setattr(Training, "figures", slow)
    train(tmp_path / "a", ToyConfig(device="cpu", minutes=MINUTES))
    assert "% of them are for updates" in (tmp_path / "a" / "log.txt").read_text()
    monkeypatch.setattr(Training, "figures", real)
    train(tmp_path / "b", ToyConfig(device="cpu", minutes=MINUTES))
    assert "for updates" not in (tmp_path / "b" / "log.txt").read_text()


def test_evaluation_is_timed_by_its_part_where_there_is_one(tmp_path):
    parts = []

    def part(model):
        parts.append(model)
        time.sleep(0.1)
        return {"valid_loss": -1.0}

    config = ToyConfig(device="cpu", minutes=MINUTES)
    done = train(tmp_path / "a", config, evaluate_part=(part, 0.25))
    assert len(parts) == 1 and -1.0 not in done.outcome.history
    first = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["timing"]["evaluation"] == pytest.approx(0.4, abs=0.2)


def test_random_states_after_the_timing_are_those_before_it(tmp_path):
    seen = []

    def sgd(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer.register_step_pre_hook(lambda *_: seen.append(torch.get_rng_state()))
        return [optimizer]

    train(tmp_path / "a", ToyConfig(device="cpu", minutes=MINUTES), make_optimizers=sgd)
    tried = next(n for n in range(1, len(seen)) if torch.equal(seen[n], seen[0]))
    assert tried >= 2


class Clock:
    """Stands in for the module `time`: it goes on only when the test says so, and a little at each look at it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


@pytest.mark.parametrize("verb", ["train", "study"])
def test_minutes_of_a_command_hold_its_start_and_its_page(verb, tmp_path, monkeypatch):
    from types import ModuleType

    from shared.command import cli, clock
    from shared.torch import loop, meter, planner, timing

    made_up = Clock()
    for module in (clock, loop, planner, timing, meter):
        monkeypatch.setattr(module, "time", made_up)
    real = loop.Training._update

    def update(self: loop.Training, batches):
        made_up.now += 0.05
        return real(self, batches)

    monkeypatch.setattr(loop.Training, "_update", update)
    folder = tmp_path / "run"

    def run() -> int:
        made_up.now += 10  # imports and data
        began = clock.began()
        train(folder, log_every=50, minutes=0.5, started=began)
        made_up.now += 2  # the page
        return 0

    package = ModuleType("toy_package")
    monkeypatch.setattr(
        cli, "_dispatch", lambda *given: run() if given[4][0] == verb else pytest.fail(verb)
    )
    before = made_up.now
    assert cli.run_verbs(package.__name__, "0", "", (), [verb]) == 0
    taken = made_up.now - before
    # The minutes of a verb that trains several models are those of each training.
    expected = 30 if verb == "train" else 10 + 30 + 2
    assert taken == pytest.approx(expected, rel=0.05)
    assert clock.began() == pytest.approx(made_up.now) and clock.seconds_after() == 0
