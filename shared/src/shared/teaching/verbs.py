"""What the verbs `handout`, `check` and `grade` do.

A task package brings its assignment, `<package>.assignment.checks.ASSIGNMENT`, and the data that students train on,
`<package>.data.sample.write`.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shared.errors import UserError
from shared.files import whole_file
from shared.teaching.assignment import Assignment
from shared.teaching.formats import gradescope
from shared.teaching.grade import JOURNAL, Result, grade_class, grade_one, read_names, write_grades
from shared.teaching.handout import write_handout
from shared.teaching.options import CheckOptions, GradeOptions, HandoutOptions
from shared.teaching.page import write_class_page, write_student_page, write_students
from shared.teaching.probe import choose
from shared.teaching.sandbox import TIERS, Limits, Sandbox
from shared.teaching.selftest import Verdict, grade_hostile, grade_mutants
from shared.teaching.similarity import similar_pairs
from shared.teaching.submissions import (
    Submission,
    UnreadableError,
    find_submissions,
    left_out,
    read_code,
    shown,
)

_SECONDS = 10.0
_FAST = 3.0
"""Seconds in which a laptop grades the solution; a slower machine gives submissions more time in proportion."""
_SLOWEST = 6.0
"""How much more at most: an endless loop takes all of it."""


def hand_out(package: str, options: HandoutOptions) -> int:
    """Write a handout (verb `handout`)."""
    out = Path(options.out)
    files = write_handout(
        _assignment_of(package),
        out,
        importlib.import_module(f"{package}.data.sample").write,
        languages=options.language.split(","),
        formats=options.format.split(","),
        requirement=options.requirement,
        run=Path(options.run) if options.run else None,
    )
    print(
        f"{len(files)} files are in {out}: {out / 'student'} for students, {out / 'teacher'} for you."
    )
    if "nbgrader" in options.format or "otter" in options.format:
        print(
            "nbgrader and otter run student code in the process that grades it: convenient, not hardened. "
            f"`{package.replace('_', '-')} grade` has a sandbox."
        )
    return 0


def check_file(package: str, options: CheckOptions) -> int:
    """Tell a student what the visible checks say (verb `check`). Returns 1 while one of them finds a mistake."""
    assignment = _assignment_of(package)
    path = Path(options.file)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "is not there"
        raise UserError(f"{path}: {problem}. Expected your notebook (.ipynb) or Python file (.py).")
    try:
        submission = Submission(path.stem, path, read_code(path))
    except UnreadableError as error:
        raise UserError(f"{path}: {assignment.text(error.remark, options.language)}.") from None
    sandbox = None
    if sys.platform.startswith("linux"):  # a worker's limits are calls of Linux
        sandbox = Sandbox("trust", assignment.distributions, Limits(memory=_memory(assignment)))
    try:
        result = grade_one(assignment, submission, sandbox)
    finally:
        if sandbox:
            sandbox.close()
    language = options.language
    for note in result.notes:
        print(assignment.text(note, language))
    is_wrong = False
    for name, score in result.scores.items():
        remarks = [remark for remark in score.remarks if remark.key not in assignment.hidden]
        is_wrong |= bool(remarks) and score.points < assignment.points[name]
        mark = (
            "ok"
            if not remarks
            else "; ".join(assignment.text(remark, language) for remark in remarks)
        )
        print(f"{name:<{max(map(len, result.scores))}}  {mark}")
    print(_MORE[language])
    return int(is_wrong)


_MORE = {
    "en": "These are the visible checks. Grading makes others too.",
    "zh": "以上是公开的检查，评分时还有其他检查。",
}


def grade(package: str, options: GradeOptions) -> int:
    """Grade submissions (verb `grade`)."""
    assignment = _assignment_of(package)
    submissions: list[Submission] = []
    if options.submissions is not None and not options.single:
        _require_new(Path(options.out or ""), resume=options.resume)
        submissions = find_submissions(Path(options.submissions), out=Path(options.out or ""))
    sandbox = _sandbox(assignment, options)
    try:
        if options.self_test:
            return _self_test(assignment, sandbox, options)
        if options.single:
            return _grade_single(assignment, sandbox, options)
        return _grade(assignment, sandbox, submissions, options)
    finally:
        sandbox.close()


def _assignment_of(package: str) -> Assignment:
    return importlib.import_module(f"{package}.assignment.checks").ASSIGNMENT  # type: ignore[no-any-return]


def _require_new(out: Path, *, resume: bool) -> None:
    """Refuse a folder that holds something, unless that is a grading to resume."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / JOURNAL).is_file():
        raise UserError(f"{out}: is not empty and holds no grading. Choose another --out.")
    if not resume:
        raise UserError(
            f"{out}: holds a grading. Add --resume to continue it, or choose another --out."
        )


def _grade(
    assignment: Assignment,
    sandbox: Sandbox,
    submissions: list[Submission],
    options: GradeOptions,
) -> int:
    assert options.submissions is not None and options.out is not None
    out = Path(options.out)
    names = read_names(Path(options.names)) if options.names else None
    count = len(submissions)
    print(f"{count} submission{'s' if count > 1 else ''}, sandbox: {sandbox.tier}")
    others = left_out(Path(options.submissions))
    if others:
        print(f"not graded, since not .ipynb, .py, .zip or a folder: {', '.join(others)}")
    for submission in submissions:
        if submission.problem:
            problem = assignment.text(submission.problem, options.language)
            print(f"not graded, 0 points: {shown(submission.path.name)}: {problem}")
    for line in _unmatched({s.student for s in submissions}, names):
        print(line)
    began = time.monotonic()
    results = grade_class(
        assignment,
        submissions,
        sandbox,
        out,
        seed=options.seed,
        jobs=options.jobs,
        quiet=options.quiet,
    )
    table = write_grades(assignment, results, out, names)
    codes = {s.student: s.code for s in submissions if s.code}
    pairs = similar_pairs(
        codes,
        known=assignment.edition.notebook_code(with_solution=False),
        published={"(solution)": assignment.edition.notebook_code(with_solution=True)},
    )
    page = write_class_page(assignment, results, pairs, out / "report.html", options.language)
    write_students(assignment, results, out, options.language)
    _say_figures(assignment, results, time.monotonic() - began)
    print(
        f"The grades are in {table}; the page is {page}; students' pages are in {out / 'students'}."
    )
    return 0


def _unmatched(students: set[str], names: Mapping[str, str] | None) -> Iterator[str]:
    """Yield a line for the submissions without a name, and one for the names without a submission."""
    if names is None:
        return
    if nameless := sorted(students - names.keys()):
        yield f"not in the table of names: {', '.join(nameless)}"
    if missing := sorted(names.keys() - students):
        entries = ", ".join(f"{student} {names[student]}" for student in missing)
        yield f"in the table of names, without a submission: {entries}"


def _grade_single(assignment: Assignment, sandbox: Sandbox, options: GradeOptions) -> int:
    """Grade one submission, for course systems that call the grader for each."""
    assert options.submissions is not None and options.out is not None
    path, out = Path(options.submissions), Path(options.out)
    try:
        submission = Submission(path.name, path, read_code(path))
    except UnreadableError as error:
        submission = Submission(path.name, path, "", error.remark)
    result = grade_one(assignment, submission, sandbox, seed=options.seed)
    out.mkdir(parents=True, exist_ok=True)
    write_student_page(assignment, result, out / "report.html", options.language)
    if options.gradescope:
        with whole_file(Path(options.gradescope)) as file:
            content = gradescope.results(assignment, result, options.language)
            json.dump(content, file, ensure_ascii=False, indent=1)
    for note in result.notes:
        print(assignment.text(note, options.language))
    for name, score in result.scores.items():
        remarks = "; ".join(assignment.text(remark, options.language) for remark in score.remarks)
        print(f"{name}: {score.points:g} of {assignment.points[name]:g}  {remarks}".rstrip())
    return 0


def _sandbox(assignment: Assignment, options: GradeOptions) -> Sandbox:
    """Return a sandbox whose limits fit this machine, measured with the solution."""
    memory = options.memory << 20 if options.memory else _memory(assignment)
    limits = Limits(seconds=options.seconds or _SECONDS, memory=memory)
    sandbox = choose(
        assignment.distributions,
        limits,
        trust=options.trust,
        # A container that grades one submission holds nothing else that could be read.
        tiers=TIERS[: 3 if options.single else 2],
        closed=[assignment.folder / "edition.py"],
    )
    if sandbox.tier == "trust":
        print("There is no sandbox: submissions run as you, on this machine.", file=sys.stderr)
    if options.seconds is None:
        began = time.monotonic()
        solution = Submission(
            "solution", Path("solution"), assignment.edition.source(with_solution=True)
        )
        grade_one(assignment, solution, sandbox)
        slowness = min(max(1.0, (time.monotonic() - began) / _FAST), _SLOWEST)
        sandbox.limits = Limits(seconds=_SECONDS * slowness, memory=limits.memory)
    return sandbox


def _memory(assignment: Assignment) -> int:
    """Return the bytes of address space that a submission may have; torch maps much that it never touches."""
    return (8192 if "torch" in assignment.distributions else 1024) << 20


def _self_test(assignment: Assignment, sandbox: Sandbox, options: GradeOptions) -> int:
    print(f"sandbox: {sandbox.tier}, tested: no files, no network, no processes of this machine")
    verdicts = grade_mutants(assignment, sandbox, seed=options.seed, jobs=options.jobs)
    if sandbox.tier != "trust":
        # Short, since many attacks use all of it; honest torch code beside a fork bomb must still fit.
        seconds = 5.0 if "torch" in assignment.distributions else 2.0
        sandbox.limits = Limits(seconds=seconds, memory=sandbox.limits.memory)
        verdicts += grade_hostile(assignment, sandbox)
    _print_verdicts(verdicts)
    wrong = sum(verdict.problem is not None for verdict in verdicts)
    print(f"{len(verdicts)} cases, {wrong} not as they must be")
    return int(wrong > 0)


def _print_verdicts(verdicts: Sequence[Verdict]) -> None:
    width = max(len(verdict.name) for verdict in verdicts)
    for verdict in verdicts:
        print(f"{verdict.name:<{width}}  {verdict.total:5.2f}  {verdict.problem or 'ok'}")


def _say_figures(assignment: Assignment, results: Sequence[Result], seconds: float) -> None:
    mean = sum(result.total for result in results) / len(results)
    most = sum(assignment.points[name] for name in results[0].scores)
    print(f"graded in {seconds:.0f} s: mean {mean:.2f} of {most:g} points")
