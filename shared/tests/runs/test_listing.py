from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shared.runs.listing import newest_run, runs_in
from shared.runs.run_directory import RunDirectory


def make_run(folder: Path, started: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "environment.json").write_text(json.dumps({"started": started}))
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
