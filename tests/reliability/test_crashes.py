"""Killed just before any one of the changes that it makes to its folder, a run goes on.

Random moments seldom meet the millisecond in which a checkpoint is being replaced. Here every such place is met: the
child counts its own changes and kills itself before the one it is told.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from attempts import Attempts, Outcome, attempt
from comparing import differences
from demo_run import STEPS
from harm import Harm
from trainings import each_training


@dataclass(frozen=True)
class Crash:
    """A made-up run that was killed before its change of some number, and then resumed."""

    change: int
    outcome: Outcome
    run: Path


@pytest.fixture(scope="module")
def crashes(tmp_path_factory: pytest.TempPathFactory) -> list[Crash]:
    """Return the runs that were killed before their 1st, 2nd, ... change; the last one came to its end."""
    found: list[Crash] = []
    killed = None
    while killed is None or killed.code:
        run = tmp_path_factory.mktemp("crash") / "run"
        change = len(found) + 1
        (killed,) = attempt("demo_run", [run], harm=Harm(folder=str(run), change=change))
        assert killed.code in (0, -signal.SIGKILL), killed
        (resumed,) = attempt("demo_run", [run])
        found.append(Crash(change, resumed, run))
    assert len(found) > 20 * STEPS
    return found


def test_run_crashed_anywhere_is_resumed_and_ends_the_same(crashes: list[Crash]) -> None:
    whole, problems = crashes[-1].run, []
    for crash in crashes:
        if (crash.outcome.code, crash.outcome.error) == (0, ""):
            found = differences(whole, crash.run)
        else:
            found = [str(crash.outcome)]
        problems += [f"before change {crash.change}: {line}" for line in found]
    assert not problems, "\n".join(problems)


def test_crashed_run_goes_on_from_what_it_had_saved(crashes: list[Crash]) -> None:
    """Not from an older checkpoint, and not from the start, because the newest was just being replaced."""
    problems = []
    for crash in crashes:
        saved, log = 0, crash.run / "log.txt"
        for line in log.read_text().splitlines() if log.exists() else ():
            words = line.split()
            if words[0] == "saved":
                saved = int(words[1])
            elif words[0] == "began" and int(words[-1]) < saved:
                problems.append(f"before change {crash.change}: {saved} was saved, but {line}")
    assert not problems, "\n".join(problems)


def test_run_that_was_resumed_keeps_nothing_half_written(crashes: list[Crash]) -> None:
    """A half-written checkpoint is as large as a whole one: killed every hour, a run would fill the disk."""
    problems = []
    for crash in crashes:
        hidden = sorted(path.name for path in crash.run.rglob(".*") if path.name != ".lock")
        if crash.outcome.code == 0 and hidden:
            problems.append(f"before change {crash.change}: {', '.join(hidden)}")
    assert not problems, "\n".join(problems)


@each_training
def test_training_crashed_in_its_file_work_goes_on_and_ends_the_same(
    attempts: Attempts, tmp_path: Path
) -> None:
    """The first changes are those of the made-up run. Each crash goes on from the one before."""
    whole, problems = attempts.whole, []
    run = tmp_path / "run-1"
    for change in [*range(12, 100, 9), 0]:
        outcome = attempts.train(run, "--resume", folder=str(run), change=change)
        if change and outcome.code == -signal.SIGKILL:
            continue
        if (outcome.code, outcome.error) == (0, ""):
            found = differences(whole, run, attempts.training.tolerance)
        else:
            found = [str(outcome)]
        problems += [f"last killed before change {change}: {line}" for line in found]
        run = tmp_path / f"run-{change + 1}"
    assert not problems, "\n".join(problems)
    assert (tmp_path / "run-1" / "summary.json").exists()


@each_training
def test_page_of_a_run_that_was_killed_while_it_was_made_is_made_by_resume(
    attempts: Attempts, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    page = str(run / "report.html")
    killed = attempts.train(run, is_without_page=False, folder=page, change=1)
    assert killed.code == -signal.SIGKILL and (run / "summary.json").exists()
    outcome = attempts.train(run, "--resume", is_without_page=False)
    assert (outcome.code, outcome.error) == (0, "")
    assert (run / "report.html").is_file()
    assert not list(run.glob("*.ids"))  # of cbow, 4 bytes a token
