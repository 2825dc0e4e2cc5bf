from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from shared.command.options import SampleOptions
from shared.data.samples import data_or_sample, sample_notice, write_sample
from shared.errors import UserError


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.txt").write_text("made up")


def test_sample_is_used_only_where_there_is_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DLTASKS_DATA", raising=False)
    monkeypatch.setattr("shared.data.datasets.cache_root", lambda: tmp_path)
    folder, is_sample = data_or_sample("books", None, write)
    assert is_sample
    assert (folder / "a.txt").read_text() == "made up"
    assert tmp_path not in folder.parents
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "b.txt").touch()
    assert data_or_sample("books", None, write) == (tmp_path / "books", False)
    with pytest.raises(UserError, match="not found"):
        data_or_sample("books", str(tmp_path / "nowhere"), write)


def test_sample_is_written_to_a_new_folder_only_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_sample(SampleOptions(), "book", write, "`book train --data {folder}`.") == 0
    assert capsys.readouterr().out == (
        "The sample is in book-sample. `book train --data book-sample`.\n"
    )
    with pytest.raises(UserError, match="is not empty"):
        write_sample(SampleOptions("book-sample"), "book", write, "")
    for name, typed in (("my book", "my book"), ("-book", "./-book")):
        write_sample(SampleOptions(name), "book", write, "`book train --data {folder}`.")
        command = capsys.readouterr().out.split("`")[1]
        assert shlex.split(command)[-1] == typed


def test_sample_is_known_as_one_wherever_it_lies(tmp_path: Path) -> None:
    write_sample(SampleOptions(str(tmp_path / "s")), "book", write, "")
    moved = (tmp_path / "s").rename(tmp_path / "corpus")
    assert data_or_sample("books", str(moved), write) == (moved, True)
    assert data_or_sample("books", str(moved / "a.txt"), write) == (moved / "a.txt", True)
    (tmp_path / "own.txt").write_text("own")
    assert data_or_sample("books", str(tmp_path / "own.txt"), write)[1] is False


def test_notice_offers_the_real_data_only_where_the_sample_was_not_asked_for() -> None:
    assert sample_notice("book", "book-sample") == "Data: the made-up sample."
    fallback = sample_notice("book", None)
    assert fallback.startswith("No --data given and no downloaded data found")
    assert "`book fetch`" in fallback
