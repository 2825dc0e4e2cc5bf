"""Folders that cannot be written: data is only read, caches are done without or named, nothing is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attempts import Attempts
from comparing import differences
from trainings import TASKS, TRAININGS, Training, each_training

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="root's rights can be taken away on Linux only"
)
CACHES = ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "DLTASKS_DATA", "MPLCONFIGDIR")


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take the right to write from a folder and all below it."""
    modes = {path: path.stat().st_mode for path in [folder, *folder.rglob("*")]}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of everything below a folder."""
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


@each_training
def test_data_folder_is_only_read(attempts: Attempts, tmp_path: Path) -> None:
    whole, before = attempts.whole, listing(attempts.data)
    with read_only(attempts.data):
        trained = attempts.train(tmp_path / "run", obeys=True)
        seen = attempts.evaluate(whole, obeys=True)
    assert (trained.code, trained.error, seen.code) == (0, "", 0), (trained, seen)
    assert listing(attempts.data) == before
    assert differences(whole, tmp_path / "run", attempts.training.tolerance) == []


@each_training
def test_run_folder_that_cannot_be_written_is_named_and_what_it_holds_is_kept(
    attempts: Attempts, tmp_path: Path
) -> None:
    run = attempts.stopped(tmp_path / "run")
    before = listing(run)
    with read_only(run):
        outcome = attempts.train(run, "--resume", obeys=True)
    assert outcome.is_told and str(run) in outcome.error, outcome
    assert listing(run).keys() == before.keys()
    outcome = attempts.train(run, "--resume")
    assert (outcome.code, outcome.error) == (0, "")
    assert differences(attempts.whole, run, attempts.training.tolerance) == []


@pytest.mark.parametrize("task", TASKS)
def test_home_and_caches_that_cannot_be_written_are_done_without_or_named(
    task: str, attempts_at: Callable[[Training], Attempts], tmp_path: Path
) -> None:
    """They lie below a file, where not even root can make a folder. Caches are found when a process starts."""
    attempts = attempts_at(next(training for training in TRAININGS if training.task == task))
    below, run = tmp_path / "file", tmp_path / "run"
    below.write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", task, *map(str, attempts.words(run))],
        env={**os.environ, **{name: str(below / name) for name in CACHES}},
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        assert (run / "report.html").is_file()
    else:
        assert done.returncode == 2
        assert str(below) in done.stderr.splitlines()[-1]
        assert "--cache" in done.stderr.splitlines()[-1]
    assert below.read_text() == "mine"
