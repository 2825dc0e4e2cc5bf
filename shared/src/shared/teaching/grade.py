"""Grading a class: every submission in a sandbox, a journal that a killed grading resumes from, and the grades.

The folder of a grading::

    GRADES/results.jsonl   one line a check and submission: the journal
    GRADES/grades.csv      id, points by TODO, total
    GRADES/report.html     for the teacher
    GRADES/students/<id>.html, <id>.json (Gradescope's format); both pages are written by `page`
"""

from __future__ import annotations

import csv
import io
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.files import whole_file
from shared.progress import progress_bar
from shared.teaching.assignment import Assignment, Check, Remark, Score
from shared.teaching.loading import place
from shared.teaching.sandbox import Sandbox
from shared.teaching.student import Failure, LocalStudent, Student
from shared.teaching.submissions import Submission

JOURNAL = "results.jsonl"
GRADES = "grades.csv"
_HEADERS = ("id", "student", "student_id", "student id", "学号")


@dataclass(frozen=True)
class Result:
    """What one student gets.

    Parameters
    ----------
    student : str
    scores : dict
        Score by TODO, in the order of the edition.
    notes : list of Remark
        On the file as a whole.
    """

    student: str
    scores: dict[str, Score]
    notes: list[Remark]

    @property
    def total(self) -> float:
        """Points in all."""
        return sum(score.points for score in self.scores.values())


class Journal:
    """What has been graded, as lines of JSON. A line that was cut off by a crash is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = {}
        data = path.read_bytes() if path.is_file() else b""
        for line in data.split(b"\n"):
            try:
                entry = json.loads(line)
                self._entries[entry["key"]] = entry
            except (ValueError, KeyError, TypeError):
                continue
        if data and not data.endswith(b"\n"):
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def get(self, key: str) -> dict[str, Any] | None:
        """Return an entry."""
        return self._entries.get(key)

    def add(self, key: str, entry: Mapping[str, Any]) -> None:
        """Write an entry; it is on disk when this returns."""
        line = json.dumps({"key": key, **entry}, ensure_ascii=False)
        with self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._entries[key] = {"key": key, **entry}


def grade_class(
    assignment: Assignment,
    submissions: Sequence[Submission],
    sandbox: Sandbox,
    out: Path,
    *,
    seed: int = 0,
    jobs: int = 2,
    quiet: bool = False,
) -> list[Result]:
    """Grade all submissions; what the journal in `out` holds already is not run again.

    Parameters
    ----------
    assignment : Assignment
    submissions : sequence of Submission
    sandbox : Sandbox
    out : Path
        Made if missing.
    seed : int
        Seed of the checks' inputs.
    jobs : int
        Submissions at a time.

    Returns
    -------
    list of Result
        In the order of the submissions.
    """
    out.mkdir(parents=True, exist_ok=True)
    journal = Journal(out / JOURNAL)
    with (
        ThreadPoolExecutor(jobs) as pool,
        progress_bar(
            len(submissions), label=f"grading {assignment.task}", unit="submission", quiet=quiet
        ) as bar,
    ):

        def one(submission: Submission) -> Result:
            result = grade_one(assignment, submission, sandbox, seed=seed, journal=journal)
            bar.update(1)
            return result

        return list(pool.map(one, submissions))


def grade_one(
    assignment: Assignment,
    submission: Submission,
    sandbox: Sandbox | None,
    *,
    seed: int = 0,
    journal: Journal | None = None,
) -> Result:
    """Grade one submission in a worker of its own; without a sandbox in this process, where nothing limits it."""
    scores: dict[str, Score] = {}
    notes: list[Remark] = []
    if submission.problem:
        notes.append(submission.problem)
        return Result(submission.student, _nothing(assignment), notes)
    keys = {
        check: f"{submission.checksum[:32]}-{check.todos[0]}-{assignment.version(check)}-{seed}"
        for check in assignment.checks
    }
    missing: list[Check] = []
    for check, key in keys.items():
        entry = journal.get(key) if journal else None
        if entry is None:
            missing.append(check)
        else:
            scores.update(_scores(entry["scores"]))
            notes = [Remark(key, values) for key, values in entry["notes"]]
    if missing:
        with (
            Student.of_code(sandbox, assignment.given, submission.code)
            if sandbox
            else LocalStudent.of_code(assignment.given, submission.code)
        ) as student:
            notes = [_note(problem) for problem in student.problems]
            if student.lost:
                notes.append(Remark("lost", {"text": student.lost}))
            for check in missing:
                if student.lost:
                    graded = {
                        name: Score(0.0, [Remark("lost", {"text": student.lost})])
                        for name in check.todos
                    }
                else:
                    graded = assignment.run(check, student, seed)
                scores.update(graded)
                if journal:
                    entry = {
                        "student": submission.student,
                        "scores": {
                            name: [s.points, _pairs(s.remarks)] for name, s in graded.items()
                        },
                        "notes": _pairs(notes),
                    }
                    journal.add(keys[check], entry)
    for remarks in (notes, *(score.remarks for score in scores.values())):
        remarks[:] = [_placed(remark, submission.code) for remark in remarks]
    return Result(submission.student, {name: scores[name] for name in _nothing(assignment)}, notes)


def write_grades(
    assignment: Assignment,
    results: Sequence[Result],
    out: Path,
    names: Mapping[str, str] | None = None,
) -> Path:
    """Write `grades.csv`: the columns of nbgrader's export, then points by TODO; names come last and are optional.

    Points of what is graded by hand are to be filled in. Nothing in it depends on the time of grading.
    """
    todos = list(_nothing(assignment))
    most = sum(assignment.points.values())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = [
        "assignment",
        "duedate",
        "timestamp",
        "student_id",
        "last_name",
        "first_name",
        "email",
        "raw_score",
        "late_submission_penalty",
        "score",
        "max_score",
    ]
    writer.writerow([*header, *todos, *assignment.by_hand, *(["name"] if names else [])])
    for result in sorted(results, key=lambda result: result.student):
        points = [f"{result.scores[name].points:g}" for name in todos]
        total = f"{result.total:g}"
        name = [names.get(result.student, "")] if names else []
        by_hand = ["" for _ in assignment.by_hand]
        writer.writerow(
            [
                assignment.task,
                "",
                "",
                result.student,
                "",
                "",
                "",
                total,
                0,
                total,
                f"{most:g}",
                *points,
                *by_hand,
                *name,
            ]
        )
    with whole_file(out / GRADES) as file:
        file.write(text.getvalue())
    return out / GRADES


def frequent_remarks(
    results: Sequence[Result], points: Mapping[str, float]
) -> list[tuple[str, str, int]]:
    """Return (TODO, key of the remark, students) of what cost points, most frequent first."""
    counts = Counter(
        (name, key)
        for result in results
        for name, score in result.scores.items()
        if score.points < points[name]
        for key in {remark.key for remark in score.remarks}
    )
    return [
        (name, key, count)
        for (name, key), count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def read_names(path: Path) -> dict[str, str]:
    """Read a table that maps ids to names: CSV with two columns, id first; a header is left out.

    Raises
    ------
    UserError
        A row has another number of columns.
    """
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path}: cannot be read ({error}). Expected CSV in UTF-8: id,name."
        ) from None
    for number, row in enumerate(rows, 1):
        if row and len(row) != 2:
            raise UserError(f"{path}:{number}: {len(row)} columns. Expected two: id,name.")
    names = {row[0].strip(): row[1].strip() for row in rows if row}
    return {student: name for student, name in names.items() if student.lower() not in _HEADERS}


def _nothing(assignment: Assignment) -> dict[str, Score]:
    return {name: Score(0.0) for name in assignment.points if name not in assignment.by_hand}


def _note(problem: Failure) -> Remark:
    key = (
        "syntax"
        if problem.error in ("SyntaxError", "IndentationError", "TabError", "ValueError")
        else "definition"
    )
    return Remark(key, {"error": problem.error, "text": problem.text, "line": problem.line or "?"})


def _placed(remark: Remark, code: str) -> Remark:
    """Name the code cell or the file and the line within it, where a remark has a line of one of several."""
    line = str(remark.values.get("line"))
    within = place(code, int(line)) if line.isdecimal() else {}
    return Remark(remark.key, {**remark.values, **within})


def _pairs(remarks: Sequence[Remark]) -> list[list[Any]]:
    return [[remark.key, dict(remark.values)] for remark in remarks]


def _scores(entry: Mapping[str, Any]) -> dict[str, Score]:
    return {
        name: Score(points, [Remark(key, values) for key, values in remarks])
        for name, (points, remarks) in entry.items()
    }
