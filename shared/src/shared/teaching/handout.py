"""What students and teachers get, made from an edition: notebooks, a package, nbgrader, otter, Gradescope.

    OUT/student/   <task>.en.ipynb  <task>.zh.ipynb  package/  data/  report.en.md  report.zh.md
    OUT/teacher/   solution.<language>.ipynb  nbgrader/  otter/  gradescope.zip  rubric.<language>.md  manifest.json

Twice the same input gives the same bytes. Nothing of a solution is in `student/`.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.errors import UserError
from shared.files import whole_folder
from shared.teaching.assignment import Assignment
from shared.teaching.edition import LANGUAGES, Cell
from shared.teaching.notebooks import nbgrader_cells, notebook, otter_cells

FORMATS = ("notebook", "package", "nbgrader", "otter", "gradescope")
_SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, when the autograder's image is built.
set -euo pipefail
apt-get update && apt-get install -y python3 python3-pip python3-venv git
python3 -m venv /opt/grade
/opt/grade/bin/pip install "{requirement}"
"""
_RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission.
set -euo pipefail
/opt/grade/bin/{command} grade /autograder/submission --single --out /autograder/work \\
  --gradescope /autograder/results/results.json --language {language} --seconds 20 --memory 700
"""
_TESTS = '''\
"""The visible tests of the assignment: run `pytest` here."""

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
    requirement: str,
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
        Of `FORMATS`.
    requirement : str
        What pip installs the task's package from, on a machine that grades.

    Raises
    ------
    UserError
        The folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is not empty. Choose another --out.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(out) as folder:
        _student(assignment, folder / "student", write_data, languages, formats)
        _teacher(assignment, folder / "teacher", languages, formats, requirement)
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
            _write(folder / report.name, report.read_text(encoding="utf-8"))
    if "package" in formats:
        _package(assignment, folder / "package", languages[0])
    (folder / "data").mkdir()
    write_data(folder / "data")


def _package(assignment: Assignment, folder: Path, language: str) -> None:
    """Write the assignment as a package: a module with gaps, the visible tests, what to install."""
    module = f"{assignment.task}_assignment"
    source = assignment.edition.source(with_solution=False, language=language)
    _write(
        folder / f"{module}.py", "\n\n\n".join(part for part in [_definitions_only(source)] if part)
    )
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
        f'[tool.setuptools]\npy-modules = ["{module}"]\n',
    )


def _definitions_only(source: str) -> str:
    """Leave out the lines that call something when the module is imported."""
    import ast

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
    requirement: str,
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
        files = {
            "setup.sh": _SETUP.format(requirement=requirement),
            "run_autograder": _RUN.format(command=task.replace("_", "-"), language=languages[0]),
        }
        (folder / "gradescope.zip").write_bytes(_zip(files))


def _marked(assignment: Assignment, language: str) -> list[Cell]:
    """Return the cells of one language with the solution and its markers."""
    from shared.teaching.edition import one_language

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


def _zip(files: dict[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(files.items()):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o755 << 16
            archive.writestr(info, text)
    return data.getvalue()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
