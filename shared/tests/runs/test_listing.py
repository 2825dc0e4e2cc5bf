from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shared.errors import UserError
from shared.runs.listing import newest_run, runs_in
from shared.runs.run_directory import RunDirectory


def make_run(folder: Path, started: str, **facts: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "environment.json").write_text(json.dumps({"started": started, **facts}))
    return folder


def test_newest_run_of_a_folder_is_the_one_that_was_started_last(tmp_path: Path) -> None:
    late = make_run(tmp_path / "runs" / "word_lm" / "a", "2026-01-02")
    early = make_run(tmp_path / "runs" / "word_lm" / "b", "2026-01-01")
    (tmp_path / "runs" / "word_lm" / "notes").mkdir()
    assert runs_in(late.parent) == [early, late]
    assert newest_run(late.parent, "word-lm") == late
    assert newest_run(tmp_path / "runs", "word-lm") == late
    assert newest_run(early, "word-lm") == early
    assert RunDirectory.read(tmp_path / "runs", task="word-lm").path == late
    assert newest_run(tmp_path / "nothing", "word-lm") == tmp_path / "nothing"


def test_runs_of_other_tasks_are_not_meant_and_those_without_a_checkpoint_come_last(
    tmp_path: Path,
) -> None:
    ours = make_run(tmp_path / "a", "2026-01-01", task="word_lm")
    (ours / "checkpoints" / "best").mkdir(parents=True)
    killed = make_run(tmp_path / "c2", "2026-01-03", task="word_lm")
    (killed / "checkpoints" / ".best.8f3k2_ab").mkdir(
        parents=True
    )  # while its first one was written
    older = make_run(tmp_path / "b", "2026-01-02", command=["word-lm", "train"])
    strange = make_run(tmp_path / "c", "2026-01-03", command=["__main__.py", "train"])
    theirs = make_run(tmp_path / "d", "2026-01-04", task="esim")
    old_theirs = make_run(tmp_path / "e", "2026-01-05", command=["imdb-sentiment", "train"])
    assert runs_in(tmp_path) == [ours, older, strange, killed, theirs, old_theirs]
    assert runs_in(tmp_path, "word-lm") == [ours, older, strange, killed]
    assert newest_run(tmp_path, "word-lm") == ours
    (strange / "checkpoints" / "best").mkdir(parents=True)
    assert newest_run(tmp_path, "word-lm") == strange
    with pytest.raises(UserError, match="d: is a run of esim, expected one of word-lm"):
        RunDirectory.read(theirs, task="word-lm")


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may read everything")
def test_folder_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "2026")
    locked = make_run(tmp_path / "b", "2027")
    locked.chmod(0)
    try:
        assert runs_in(tmp_path) == [run]
    finally:
        locked.chmod(0o700)


def test_folder_of_another_user_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "a", "2026")
    real = Path.is_file

    def refused(path: Path) -> bool:
        if path.parent.name == "b":
            raise PermissionError(13, "Permission denied")
        return real(path)

    make_run(tmp_path / "b", "2027")
    monkeypatch.setattr(Path, "is_file", refused)
    assert runs_in(tmp_path) == [run]
