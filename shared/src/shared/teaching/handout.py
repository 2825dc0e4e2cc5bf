"""What students and teachers get, made from an edition: notebooks, a package, nbgrader, otter, Gradescope.

    OUT/student/   <task>.en.ipynb  <task>.zh.ipynb  package/  data/  report.en.md  report.zh.md
    OUT/teacher/   solution.<language>.ipynb  nbgrader/  otter/  gradescope.zip  rubric.<language>.md  manifest.json
                   and of a run: report.<language>.md  report-curves-1.png

Twice the same input gives the same bytes. Nothing of a solution is in `student/`.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.files import require_empty, whole_folder
from shared.teaching.assignment import Assignment
from shared.teaching.edition import LANGUAGES, Cell, one_language
from shared.teaching.formats.gradescope import autograder
from shared.teaching.formats.nbgrader import nbgrader_cells
from shared.teaching.formats.otter import otter_cells
from shared.teaching.notebooks import notebook
from shared.teaching.written_report import blank, filled

FORMATS = ("notebook", "package", "nbgrader", "otter", "gradescope")
_TESTS = '''\
"""The visible tests of the assignment: run `pytest` here.

What trains reads `data/`: call it from the folder above, with this one in PYTHONPATH.
"""

import numpy as np  # noqa: F401

from {module} import *  # noqa: F403


def test_visible():
{body}
'''


def write_handout(
    assignment: Assignment,
    out: Path,
    write_data: Callable[[Path], object],
    *,
    languages: Sequence[str] = LANGUAGES,
    formats: Sequence[str] = FORMATS,
    requirement: str | None = None,
    run: Path | None = None,
) -> list[Path]:
    """Write a handout into a new or empty folder and return its files.

    Parameters
    ----------
    assignment : Assignment
    out : Path
    write_data : callable
        Writes the data that students train on into a folder.
    languages : sequence of {"en", "zh"}
    formats : sequence of str
        Some of `FORMATS`.
    requirement : str, optional
        What pip installs the task's package from where Gradescope grades; without it its zip carries the package.
    run : Path, optional
        Run folder of the task whose figures fill in the teacher's copy of the report.

    Raises
    ------
    UserError
        The folder is not empty, or `run` is no run of the task.
    """
    require_empty(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(out) as folder:
        _student(assignment, folder / "student", write_data, languages, formats)
        _teacher(assignment, folder / "teacher", languages, formats, requirement)
        if run is not None:
            _model_report(assignment, folder / "teacher", languages, run)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        sums = {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in zip(names, files, strict=True)
        }
        text = json.dumps({"task": assignment.task, "sha256": sums}, indent=1) + "\n"
        (folder / "teacher" / "manifest.json").write_text(text, encoding="utf-8")
    return sorted(path for path in out.rglob("*") if path.is_file())


def _student(
    assignment: Assignment,
    folder: Path,
    write_data: Callable[[Path], object],
    languages: Sequence[str],
    formats: Sequence[str],
) -> None:
    folder.mkdir(parents=True)
    for language in languages:
        cells = assignment.edition.in_language(language, with_solution=False)
        if "notebook" in formats:
            _write(folder / f"{assignment.task}.{language}.ipynb", notebook(cells))
        report = assignment.folder / f"report.{language}.md"
        if report.is_file():
            _write(folder / report.name, blank(report.read_text(encoding="utf-8"), language))
    if "package" in formats:
        _package(assignment, folder / "package", languages[0])
    (folder / "data").mkdir()
    write_data(folder / "data")


def _package(assignment: Assignment, folder: Path, language: str) -> None:
    """Write the assignment as a package: a module with gaps, the visible tests, what to install."""
    module = f"{assignment.task}_assignment"
    source = assignment.edition.source(with_solution=False, language=language)
    _write(folder / f"{module}.py", _definitions_only(source))
    cells = assignment.edition.in_language(language, with_solution=False)
    body = "\n".join(
        f"    {line}" if line else ""
        for cell in cells
        if cell.kind == "code" and "tests" in cell.tags
        for line in cell.text.split("\n")
    )
    _write(folder / "test_visible.py", _TESTS.format(module=module, body=body))
    needs = ", ".join(f'"{name}"' for name in assignment.distributions)
    _write(
        folder / "pyproject.toml",
        f'[project]\nname = "{module.replace("_", "-")}"\nversion = "0"\ndependencies = [{needs}]\n\n'
        f'[tool.setuptools]\npy-modules = ["{module}"]\n\n'
        # The notebook's functions `test1` and `test2` train on the data; they are no tests.
        '[tool.pytest.ini_options]\npython_functions = ["test_visible"]\n',
    )


def _definitions_only(source: str) -> str:
    """Leave out the lines that call something when the module is imported."""
    lines = source.split("\n")
    for node in reversed(ast.parse(source).body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).strip("\n") + "\n"


def _teacher(
    assignment: Assignment,
    folder: Path,
    languages: Sequence[str],
    formats: Sequence[str],
    requirement: str | None,
) -> None:
    folder.mkdir(parents=True)
    edition, task, points = assignment.edition, assignment.task, assignment.points
    for language in languages:
        cells = edition.in_language(language, with_solution=True)
        _write(folder / f"solution.{language}.ipynb", notebook(cells))
        _write(folder / f"rubric.{language}.md", _rubric(assignment, language))
        marked = _marked(assignment, language)
        if "nbgrader" in formats:
            path = folder / "nbgrader" / "source" / task / f"{task}.{language}.ipynb"
            _write(path, notebook(nbgrader_cells(marked, task, points)))
        if "otter" in formats:
            _write(
                folder / "otter" / f"{task}.{language}.ipynb",
                notebook(otter_cells(marked, task, points)),
            )
    if "gradescope" in formats:
        data = autograder(assignment, languages[0], requirement)
        (folder / "gradescope.zip").write_bytes(data)


def _model_report(
    assignment: Assignment, folder: Path, languages: Sequence[str], run: Path
) -> None:
    """Write the report with the figures of a run, and its plots."""
    for language in languages:
        name = f"report.{language}.md"
        text = (assignment.folder / name).read_text(encoding="utf-8")
        _write(folder / name, filled(text, run, assignment.task, language, folder))


def _marked(assignment: Assignment, language: str) -> list[Cell]:
    """Return the cells of one language with the solution and its markers."""
    return [
        Cell(
            cell.kind,
            one_language(cell.text, language) if cell.kind == "code" else cell.text,
            language,
            cell.tags,
        )
        for cell in assignment.edition.cells
        if cell.language in (None, language)
    ]


def _rubric(assignment: Assignment, language: str) -> str:
    """Return all parts, points and remarks as a table."""
    titles = {"en": ("part", "points", "remarks"), "zh": ("部分", "分值", "评语")}[language]
    lines = [f"# {assignment.task}", "", f"| {titles[0]} | {titles[1]} |", "|---|---|"]
    lines += [f"| {name} | {points:g} |" for name, points in assignment.points.items()]
    lines += ["", f"## {titles[2]}", ""]
    lines += [f"- {texts[language]}" for texts in assignment.remarks.values()]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
