"""A full disk costs no more than what was to be written: one line says so, and the run goes on with space.

A limit on the size of a file stands for the disk. It takes the value of each file's size less one byte in turn, so
every file of a run is once the first that does not fit.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from attempts import Attempts, Outcome
from comparing import checkpoints, differences
from trainings import each_that_goes_on, each_training

pytest.importorskip("resource", reason="needs a POSIX system")


def limits_below(folder: Path, most: int) -> list[int]:
    """Return 0 and one byte less than the sizes of the files below a folder, no more than about `most` of them."""
    sizes = sorted({path.stat().st_size for path in folder.rglob("*") if path.is_file()} - {0})
    return [0, *(size - 1 for size in sizes[:: -(-len(sizes) // most)])]


def is_told(outcome: Outcome) -> bool:
    return outcome.is_told and "space" in outcome.error


@each_training
def test_disk_too_full_for_a_file_is_told_in_one_line_and_the_run_goes_on_with_space(
    attempts: Attempts, tmp_path: Path
) -> None:
    run, problems, told = tmp_path / "run", [], 0
    for limit in limits_below(attempts.whole, most=10):
        outcome = attempts.train(run, "--resume", file_size=limit)
        if outcome.code == 0:
            break
        told += is_told(outcome)
        problems += [] if is_told(outcome) else [f"{limit} bytes: {outcome}"]
    outcome = attempts.train(run, "--resume")
    if outcome.code == 0:
        problems += differences(attempts.whole, run, attempts.training.tolerance)
        seen = attempts.evaluate(run)
        problems += [] if seen.code == 0 else [f"cannot be evaluated: {seen}"]
    else:
        problems.append(f"with space: {outcome}")
    assert not problems, "\n".join(problems)
    assert told >= 4


@each_that_goes_on
def test_disk_that_fills_up_later_costs_none_of_what_was_saved(
    attempts: Attempts, tmp_path: Path
) -> None:
    run, problems, told = attempts.stopped(tmp_path / "run"), [], 0
    before = content(run)
    for limit in limits_below(run / "checkpoints", most=4):
        outcome = attempts.train(run, "--resume", file_size=limit)
        if outcome.code == 0:
            break
        told += is_told(outcome)
        problems += [] if is_told(outcome) else [f"{limit} bytes: {outcome}"]
        lost = sorted(name for name in before if content(run).get(name) != before[name])
        problems += [f"{limit} bytes: lost {', '.join(lost)}"] if lost else []
        before = content(run)
    outcome = attempts.train(run, "--resume")
    assert (outcome.code, outcome.error) == (0, "")
    assert problems + differences(attempts.whole, run, attempts.training.tolerance) == []
    assert told >= 2


def content(run: Path) -> dict[str, bytes]:
    """Return the files of a run's checkpoints."""
    files = [path for checkpoint in checkpoints(run) for path in checkpoint.iterdir()]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}
