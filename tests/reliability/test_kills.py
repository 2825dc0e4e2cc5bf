"""Killed at any moment and started again with the same command, a training ends as one that nothing disturbed.

Every second kill is by SIGTERM. A run is killed and resumed until it comes to its end; then the next one is begun.
"""

from __future__ import annotations

import signal
from pathlib import Path
from random import Random

from attempts import Attempts, Outcome
from comparing import checkpoints, differences
from trainings import each_training

KILLS, TRIES = 20, 60
"""How often a training is to be killed, and the most attempts at it: on a busy machine some end before."""
GOLDEN = 0.618033988749895
"""Its multiples, less their whole parts, fall evenly into 0 to 1, however many they are."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM)


@each_training
def test_killed_at_random_moments_and_resumed_ends_as_if_undisturbed(
    attempts: Attempts, tmp_path: Path
) -> None:
    offset = Random(attempts.training.name).random()
    whole, problems = attempts.whole, []
    run, kills, runs_gone_on_with = tmp_path / "run-1", 0, 0
    latest = attempts.seconds
    for number in range(TRIES + 1):
        is_last = kills == KILLS or number == TRIES
        if is_last:  # this run comes to its end
            outcome = attempts.train(run, "--resume")
        else:
            after = (offset + number * GOLDEN) % 1 * latest
            outcome = attempts.train(run, "--resume", signal=SIGNALS[number % 2], after=after)
        if not is_last and outcome.is_killed:
            kills += 1
            is_begun = bool(checkpoints(run))
            runs_gone_on_with += is_begun and not (run / "summary.json").exists()
            # The machine may be slower, or faster, than when the whole run was timed.
            if attempts.training.goes_on and not is_begun:
                latest *= 1.1
            problems += [] if is_silent_or_says_how_to_go_on(outcome) else [f"killed: {outcome}"]
            continue
        latest *= 0.9
        if (outcome.code, outcome.error) == (0, ""):
            found = differences(whole, run, attempts.training.tolerance)
        else:
            found = [str(outcome)]
        problems += [f"{run.name}: {line}" for line in found]
        if is_last:
            break
        run = tmp_path / f"run-{number + 2}"
    assert not problems, "\n".join(problems)
    assert kills == KILLS
    assert runs_gone_on_with >= 3 or not attempts.training.goes_on


def is_silent_or_says_how_to_go_on(killed: Outcome) -> bool:
    if killed.code < 0:
        return killed.error == ""
    return "--resume" in killed.error and killed.error.count("\n") == 1
