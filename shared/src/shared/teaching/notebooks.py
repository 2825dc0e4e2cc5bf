"""Notebooks (nbformat 4.5) from the cells of an edition, the same bytes each time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.teaching.edition import Cell


@dataclass(frozen=True)
class NotebookCell:
    """A cell as a notebook has it: kind, source, metadata."""

    kind: str
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def notebook(cells: Sequence[Cell | NotebookCell]) -> str:
    """Return a notebook as JSON text."""
    entries = []
    for number, cell in enumerate(cells):
        kind = cell.kind
        source = cell.source if isinstance(cell, NotebookCell) else cell.text
        metadata = dict(cell.metadata) if isinstance(cell, NotebookCell) else {}
        name = hashlib.sha256(f"{number} {source}".encode()).hexdigest()[:12]
        entry: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": metadata}
        if kind == "code":
            entry |= {"execution_count": None, "outputs": []}
        entry["source"] = source.splitlines(keepends=True)
        entries.append(entry)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    book = {"cells": entries, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, ensure_ascii=False, indent=1) + "\n"


def nbgrader_cells(
    cells: Sequence[Cell], task: str, points: Mapping[str, float]
) -> list[NotebookCell]:
    """Return the cells of nbgrader's source notebook: solutions in its markers, a graded test cell for each TODO.

    A test cell's last value is the points, which nbgrader takes as partial credit.
    """
    result: list[NotebookCell] = []
    for number, cell in enumerate(cells):
        if cell.kind == "markdown":
            result.append(NotebookCell("markdown", cell.text))
            continue
        names = _todos_in(cell.text, points)
        if not names:
            result.append(NotebookCell("code", cell.text))
            continue
        source = _with_nbgrader_marks(cell.text)
        result.append(
            NotebookCell(
                "code", source, {"nbgrader": _metadata(f"solution-{number}", is_solution=True)}
            )
        )
        for name in names:
            test = (
                f"# {name}\n### BEGIN HIDDEN TESTS\nfrom {task}.assignment.checks import ASSIGNMENT\n\n"
                f'ASSIGNMENT.points_here("{name}", globals())\n### END HIDDEN TESTS'
            )
            metadata = _metadata(f"test-{name}", points=points[name])
            result.append(NotebookCell("code", test, {"nbgrader": metadata}))
    return result


def otter_cells(
    cells: Sequence[Cell], task: str, points: Mapping[str, float]
) -> list[NotebookCell]:
    """Return the cells of otter's master notebook. A test passes or fails there, so each quarter of a point is one."""
    head = (
        f"# ASSIGNMENT CONFIG\nname: {task}\ninit_cell: false\nexport_cell: false\ngenerate: true\n"
    )
    result = [NotebookCell("raw", head)]
    for cell in cells:
        if cell.kind == "markdown":
            result.append(NotebookCell("markdown", cell.text))
            continue
        names = _todos_in(cell.text, points)
        if not names:
            result.append(NotebookCell("code", cell.text))
            continue
        result.append(NotebookCell("raw", f"# BEGIN QUESTION\nname: {names[0]}\npoints: null"))
        result.append(NotebookCell("raw", "# BEGIN SOLUTION"))
        result.append(NotebookCell("code", _with_otter_marks(cell.text)))
        result.append(NotebookCell("raw", "# END SOLUTION"))
        result.append(NotebookCell("raw", "# BEGIN TESTS"))
        for name in names:
            for quarter in range(1, round(4 * points[name]) + 1):
                config = (
                    '""" # BEGIN TEST CONFIG\npoints: 0.25\nhidden: true\n""" # END TEST CONFIG\n'
                )
                code = (
                    f"from {task}.assignment.checks import ASSIGNMENT\n"
                    f'assert ASSIGNMENT.points_here("{name}", globals()) >= {quarter / 4}'
                )
                result.append(NotebookCell("code", config + code))
        result += [NotebookCell("raw", "# END TESTS"), NotebookCell("raw", "# END QUESTION")]
    return result


def _todos_in(text: str, points: Mapping[str, float]) -> list[str]:
    lines = {
        line.strip().split(" ")[3]
        for line in text.split("\n")
        if line.strip().startswith("### BEGIN SOLUTION ")
    }
    return [name for name in points if name in lines]


def _with_nbgrader_marks(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        if line.strip().startswith("### BEGIN SOLUTION"):
            line = f"{indent}### BEGIN SOLUTION"
        lines.append(line)
    return "\n".join(lines)


def _with_otter_marks(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        if line.strip().startswith("### BEGIN SOLUTION"):
            name = line.strip().split(" ")[3]
            prompt = [
                '""" # BEGIN PROMPT',
                f'raise NotImplementedError("TODO {name}")',
                '""" # END PROMPT',
            ]
            lines += [indent + part for part in (*prompt, "# BEGIN SOLUTION NO PROMPT")]
        elif line.strip() == "### END SOLUTION":
            lines.append(f"{indent}# END SOLUTION")
        else:
            lines.append(line)
    return "\n".join(lines)


def _metadata(
    name: str, *, is_solution: bool = False, points: float | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "grade": points is not None,
        "grade_id": name,
        "locked": points is not None,
        "schema_version": 3,
        "solution": is_solution,
        "task": False,
    }
    if points is not None:
        metadata["points"] = points
    return metadata
