"""The verb `compare`, and the links between pages."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from shared.command.options import CompareOptions
from shared.errors import UserError
from shared.pages import compare
from shared.pages.compare import curves_of, differing_settings, read_runs
from shared.pages.links import link_page, link_runs, relative_url
from shared.pages.report import Report
from shared.runs.run_directory import RunDirectory

pytestmark = pytest.mark.long


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a made-up task."""

    rate: float = 0.1
    """Rate."""
    workers: int = 0
    """Workers."""
    data: str | None = None
    """Data."""


def make_run(
    folder: Path,
    settings: Settings,
    accuracy: float | None,
    task: str = "a_task",
    data: object = None,
) -> Path:
    with RunDirectory.start("a_task", settings, out=str(folder), resume=False, quiet=True) as run:
        for epoch in (1, 2):
            run.metrics.add(epoch, epoch=epoch, valid_accuracy=0.1 * epoch, train_loss=1 / epoch)
        run.metrics.add(3, epoch=1, valid_accuracy=0.9)  # another model of the same run
        if accuracy is not None:
            metrics = {"test_accuracy": accuracy, "chosen_on": "valid", "valid_loss": 0.5}
            run.write_summary(
                {"task": task, "recipe": None, "data": data, "seconds": 12.3, "metrics": metrics}
            )
            Report("a-task: x").save(run.path / "report.html")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs" / "one", Settings(), 0.75)
    make_run(tmp_path / "runs" / "two", Settings(rate=0.2, workers=4), 0.8)
    make_run(tmp_path / "runs" / "unfinished", Settings(rate=0.3), None)
    (tmp_path / "runs" / "notes").mkdir()
    return tmp_path / "runs"


def test_table_has_the_settings_that_differ_and_the_figures(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.run("a_task", CompareOptions((str(runs),))) == 0
    printed = capsys.readouterr().out
    lines = [line.split("  ") for line in printed.splitlines()]
    assert re.search(r"^one +75\.00 % +0\.5 +12\.3", printed, re.MULTILINE)
    assert re.search(r"^unfinished +– +– +–$", printed, re.MULTILINE)
    assert re.search(r"^rate +0\.1 +0\.2 +0\.3$", printed, re.MULTILINE)
    assert not any(line[0] in ("workers", "data") for line in lines)
    page = (runs / "compare.html").read_text(encoding="utf-8")
    assert 'href="two/report.html"' in page
    assert "unfinished/report.html" not in page
    assert page.count("<svg") == 2


def test_curves_stop_where_a_second_model_begins(runs: Path) -> None:
    found = curves_of(read_runs([str(runs)], "a-task", "a_task"))
    assert list(found) == ["valid_accuracy", "train_loss"]
    assert found["valid_accuracy"]["one"] == ([1, 2], [10.0, 20.0])


def test_runs_on_other_files_under_the_same_path_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"name": "a.txt", "sha256": "1234567890"}
    split = {"name": "a.txt", "sha256": {"train": "abcdefghij", "val": "klmnopqrst"}}
    make_run(tmp_path / "runs" / "one", Settings(), 0.75, data=small)
    make_run(tmp_path / "runs" / "two", Settings(), 0.75, data=small)
    make_run(tmp_path / "runs" / "unfinished", Settings(), None)
    assert compare.run("a_task", CompareOptions((str(tmp_path / "runs"),))) == 0
    assert "checksum" not in capsys.readouterr().out
    make_run(tmp_path / "runs" / "zwei", Settings(), 0.75, data=split)
    assert compare.run("a_task", CompareOptions((str(tmp_path / "runs"),))) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("files"))
    one = "a.txt (12345678)"
    assert re.split("  +", line) == ["files (checksum)", one, one, "–", "a.txt (abcdefgh klmnopqr)"]


def test_runs_whose_last_folders_agree_have_names_that_tell_them_apart(tmp_path: Path) -> None:
    folders = ("old/a/laptop", "new/a/laptop", "new/b/laptop", "other")
    paths = [make_run(tmp_path / folder, Settings(), 0.75) for folder in folders]
    names = [run.name for run in read_runs([str(path) for path in paths], "a-task", "a_task")]
    assert names == ["old/a/laptop", "new/a/laptop", "b/laptop", "other"]
    assert len(curves_of(read_runs([str(p) for p in paths], "a-task", "a_task"))["train_loss"]) == 4


def test_settings_that_change_no_figure_do_not_count(runs: Path) -> None:
    assert differing_settings(read_runs([str(runs)], "a-task", "a_task")) == ["rate"]


def test_json_has_an_object_a_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (str(runs / "two"), str(runs / "one"))
    assert compare.run("a_task", CompareOptions(words, json=True)) == 0
    two, one = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert two == {
        "run": str(runs / "two"),
        "settings": {"rate": 0.2},
        "metrics": {"test_accuracy": 0.8, "valid_loss": 0.5},
        "seconds": 12.3,
    }
    assert one["settings"] == {"rate": 0.1}
    assert not (runs / "compare.html").exists()


def test_run_with_a_damaged_summary_is_shown_without_figures(runs: Path) -> None:
    (runs / "one" / "summary.json").write_text("{")
    one, *_ = read_runs([str(runs)], "a-task", "a_task")
    assert (one.name, one.summary, one.metrics) == ("one", None, {})


def test_what_is_no_run_and_other_tasks_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"notes: is not a run and holds none"):
        read_runs([str(runs / "notes")], "a-task", "a_task")
    make_run(tmp_path / "other", Settings(), 0.5, task="another")
    with pytest.raises(UserError, match="is a run of another, expected one of a_task"):
        read_runs([str(tmp_path / "other")], "a-task", "a_task")


def links_in(page: Path) -> list[str]:
    (nav,) = re.findall(r"<nav>(.*?)</nav>", page.read_text(encoding="utf-8"))
    return re.findall(r'href="([^"]+)"', nav)


def test_links_work_whatever_the_names_hold(tmp_path: Path) -> None:
    names = ["a b", "50% #1?", "电影", os.fsdecode(b"caf\xe9")] if os.name != "nt" else ["a b"]
    for name in [*names, "plain"]:
        make_run(tmp_path / name, Settings(), 0.5)
    link_runs(tmp_path)
    targets = {unquote_to_bytes(link) for link in links_in(tmp_path / "plain" / "report.html")}
    assert targets == {os.fsencode(f"../{name}/report.html") for name in names}


def test_page_on_another_drive_is_linked_by_its_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_drive(path: Path, start: Path) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    assert relative_url(tmp_path / "a b.html", Path("/runs")) == (tmp_path / "a b.html").as_uri()


def test_pages_link_to_their_sisters_and_back(runs: Path, tmp_path: Path) -> None:
    Report("another: x").save(make_run(runs / "foreign", Settings(), 0.5) / "report.html")
    page = runs / "one" / "report.html"
    before = page.read_text(encoding="utf-8")
    link_runs(runs)
    assert links_in(page) == ["../two/report.html"]
    compare.run("a_task", CompareOptions((str(runs / "one"), str(runs / "two"))))
    link_runs(runs, up=[("Demo & index", tmp_path / "index.html")])
    expected = ["../../index.html", "../compare.html", "../two/report.html"]
    assert links_in(page) == expected
    for link in expected[1:]:
        assert (page.parent / link).is_file()
    after = re.sub(r"<nav>.*?</nav>", "<nav></nav>", page.read_text(encoding="utf-8"))
    assert after == before
    assert "Demo &amp; index" in page.read_text(encoding="utf-8")


def test_other_pages_of_a_run_link_to_its_report_and_back(runs: Path, tmp_path: Path) -> None:
    attention = Report("a-task: attention").save(runs / "one" / "attention.html")
    Report("dltasks").save(tmp_path / "index.html")
    link_page(attention)
    assert links_in(attention) == ["report.html"]
    expected = ["../../index.html", "attention.html", "../two/report.html"]
    assert links_in(runs / "one" / "report.html") == expected
    elsewhere = Report("a-task: attention").save(tmp_path / "else" / "attention.html")
    link_page(elsewhere)
    assert links_in(elsewhere) == []
