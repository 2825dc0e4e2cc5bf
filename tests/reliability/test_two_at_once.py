"""Two trainings that are started at once: into one folder one of them works; into two folders both do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from attempts import Attempts, attempt
from comparing import differences
from trainings import each_training

from shared.files import whole_folder

pytest.importorskip("fcntl", reason="no file locks on this system")


@each_training
@pytest.mark.parametrize("more", [(), ("--resume",)], ids=["new", "resume"])
def test_of_two_trainings_into_one_folder_one_works_and_one_is_refused(
    more: tuple[str, ...], attempts: Attempts, tmp_path: Path
) -> None:
    whole, run = attempts.whole, tmp_path / "run"
    if more and attempts.training.goes_on:
        attempts.stopped(run)
    words = attempts.words(run, *more)
    works, refused = sorted(attempt(attempts.module, words, words), key=lambda end: end.code)
    assert (works.code, works.error) == (0, "")
    assert refused.is_told, refused
    assert "another run is writing" in refused.error or "is not empty" in refused.error
    assert differences(whole, run, attempts.training.tolerance) == []


@each_training
def test_two_trainings_into_two_folders_with_nothing_cached_both_work(
    attempts: Attempts, tmp_path: Path
) -> None:
    whole, runs = attempts.whole, [tmp_path / "one", tmp_path / "two"]
    shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)
    for outcome in attempt(attempts.module, *(attempts.words(run) for run in runs)):
        assert (outcome.code, outcome.error) == (0, "")
    for run in runs:
        assert differences(whole, run, attempts.training.tolerance) == []


def test_folder_that_another_process_has_made_meanwhile_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is with packed pictures, where two processes make the same ones."""
    target, real, times = tmp_path / "packed", Path.rename, 0

    def rename_a_moment_late(self: Path, to: Any) -> Path:
        nonlocal times
        if Path(to) == target and times < 3:
            times += 1
            target.mkdir()
            (target / "theirs").write_text("whole")
        return real(self, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename_a_moment_late)
        with whole_folder(target) as aside:
            (aside / "ours").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]
    assert [path.name for path in target.iterdir()] == ["ours"]
    assert times == 3
