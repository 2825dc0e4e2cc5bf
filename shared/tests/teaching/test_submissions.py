"""Submissions as course systems deliver them."""

from __future__ import annotations

import contextlib
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from shared.errors import UserError
from shared.teaching.assignment import COMMON
from shared.teaching.loading import load, place
from shared.teaching.submissions import (
    MOST_BYTES,
    UnreadableError,
    find_submissions,
    left_out,
    read_code,
    student_id,
)


def write_notebook(path: Path, *cells: object) -> None:
    book = {"cells": [{"cell_type": "code", "source": cell} for cell in cells], "nbformat": 4}
    path.write_text(json.dumps(book), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Wang Wei_123456_assignsubmission_file_", "123456"),
        ("wangwei_48211_1932245_cbow", "48211"),
        ("3200105678_王伟_作业二", "3200105678"),
        ("hw2-3200105678", "3200105678"),
        ("alice", "alice"),
        ("alice smith", "alice-smith"),
        ("a\x1b[31mb\n\udcff", "a-31mb"),
        ("第" * 83, "第" * 66),  # names of files are 255 bytes at most
        ("7" * 250, "7" * 200),
    ],
)
def test_ids_are_found_in_the_names_that_course_systems_give(name: str, expected: str) -> None:
    assert student_id(name) == expected


def test_notebooks_files_archives_and_folders_are_read(tmp_path: Path) -> None:
    write_notebook(
        tmp_path / "10001_a.ipynb",
        ["x = 1\n", "y = 2"],
        "%matplotlib inline\nz = 3\n!pip install x",
    )
    (tmp_path / "10002.PY").write_text("\ufeffx = 1\r\n", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "10003_c_hw.zip", "w") as archive:
        archive.writestr("hw/solution.py", "x = 4")
        archive.writestr("hw/test_visible.py", "raise SystemExit")
        archive.writestr("__MACOSX/hw/._solution.py", "\0")
    (tmp_path / "10004").mkdir()
    write_notebook(tmp_path / "10004" / "book.IPYNB", "x = 5")
    found = {s.student: s for s in find_submissions(tmp_path)}
    assert [s.problem for s in found.values()] == [None] * 4
    values: dict[str, dict] = {}
    for student, submission in found.items():
        values[student] = {}
        exec(submission.code, values[student])
    assert (values["10001"]["y"], values["10001"]["z"]) == (2, 3)
    assert [values[s]["x"] for s in ("10002", "10003", "10004")] == [1, 4, 5]


def test_files_that_are_no_submission_are_named(tmp_path: Path) -> None:
    for name in ("10001.py", "10002_li.rar", "10003_report.pdf", ".DS_Store", "__MACOSX"):
        (tmp_path / name).write_text("", encoding="utf-8")
    assert [s.student for s in find_submissions(tmp_path)] == ["10001"]
    assert left_out(tmp_path) == ["10002_li.rar", "10003_report.pdf"]


def test_names_that_cannot_be_printed_are_written_to_pages_and_terminals(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    os.mkdir(folder + b"/10001")
    for name in (b"10001/a\xff.ipynb", b"10001/b\x1b[31m.ipynb", b"10002\xff\n.pdf"):
        with open(folder + b"/" + name, "wb") as file:
            file.write(b"{}")
    (submission,) = find_submissions(tmp_path)
    assert submission.problem is not None
    assert submission.problem.values["names"] == "a\ufffd.ipynb, b\ufffd[31m.ipynb"
    assert left_out(tmp_path) == ["10002\ufffd\ufffd.pdf"]


def test_pipe_is_no_submission(tmp_path: Path) -> None:
    (tmp_path / "10001.py").touch()
    os.mkfifo(tmp_path / "10002.py")
    assert [s.student for s in find_submissions(tmp_path)] == ["10001"]
    assert left_out(tmp_path) == ["10002.py"]


def test_folder_of_grades_among_the_submissions_is_none(tmp_path: Path) -> None:
    (tmp_path / "10001.py").touch()
    (tmp_path / "grades").mkdir()
    found = find_submissions(tmp_path, out=tmp_path / "x" / ".." / "grades")
    assert [s.student for s in found] == ["10001"]


def test_line_of_one_file_of_several_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "10001.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hw/a.py", "x = 1\ny = 2")
        archive.writestr("hw/b.py", "z = 3\n\nw = 1 / 0\nv = (\n")
    code = read_code(path)
    namespace, problems = load("", code)
    assert [namespace[name] for name in "xyz"] == [1, 2, 3]
    assert [place(code, problem["line"]) for problem in problems] == [
        {"file": "hw/b.py", "line": 4},
        {"file": "hw/b.py", "line": 3},
    ]
    assert place(code, 1 + code[: code.index("y = 2")].count("\n")) == {
        "file": "hw/a.py",
        "line": 2,
    }
    assert place("x = 1\n", 1) == {}


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archive_that_is_unpacked_at_once_is_not_read(tmp_path: Path, compression: int) -> None:
    path = tmp_path / "10001.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a.py", b"#" * (40 << 20))
    tracemalloc.start()
    with pytest.raises(UnreadableError, match="compression"):
        read_code(path)
    assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    tracemalloc.stop()


def test_one_file_in_place_of_a_folder_is_told_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "10001.zip", "w") as archive:
        archive.writestr("a.py", "x = 1")
    with pytest.raises(UserError, match=r"10001\.zip: is a file\. .*--single"):
        find_submissions(tmp_path / "10001.zip")
    with pytest.raises(UserError, match="gone: is not there"):
        find_submissions(tmp_path / "gone")


def test_one_id_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "10001_a.py").write_text("")
    (tmp_path / "10001_b.py").write_text("")
    with pytest.raises(UserError, match="10001"):
        find_submissions(tmp_path)


@pytest.mark.parametrize("name", ["../out.py", "/tmp/out.py", "a/../../out.py"])
def test_archive_never_writes_anywhere(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / "1.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "x = 1")
    before = sorted(tmp_path.rglob("*"))
    with contextlib.suppress(UnreadableError):
        read_code(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "make",
    [
        "bomb",
        "many",
        "damaged",
        "damaged inside",
        "not a notebook",
        "binary",
        "link",
        "two notebooks",
        "nothing",
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(tmp_path: Path, make: str) -> None:
    path = tmp_path / "1.zip"
    if make == "bomb":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.py", b"#" * (MOST_BYTES + 10))
    elif make == "many":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in "abc":
                archive.writestr(f"{name}.py", b"#" * (MOST_BYTES // 2))
    elif make == "damaged inside":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.py", "x = 1\n" * 100)
        data = bytearray(path.read_bytes())
        data[34:40] = b"\xff" * 6  # behind the header of 30 bytes and the name of 4
        path.write_bytes(data)
    elif make == "damaged":
        path.write_bytes(b"PK\3\4 and no more")
    elif make == "not a notebook":
        path = tmp_path / "1.ipynb"
        path.write_text('{"cells": 3}')
    elif make == "binary":
        path = tmp_path / "1.py"
        path.write_bytes(b"\xff\xfe\x00")
    elif make == "link":
        path = tmp_path / "1.py"
        path.symlink_to("/etc/passwd")
    elif make == "two notebooks":
        path = tmp_path / "1"
        path.mkdir()
        write_notebook(path / "a.ipynb", "")
        write_notebook(path / "b.ipynb", "")
    else:
        path = tmp_path / "1"
        path.mkdir()
    with pytest.raises(UnreadableError) as caught:
        read_code(path)
    assert "\n" not in str(caught.value)
    said = caught.value.remark
    assert COMMON[said.key]["zh"].format(**said.values).startswith("无法读取：")
