"""nbgrader's source notebook, with metadata of its schema 3; its hidden tests give partial credit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.teaching.edition import Cell
from shared.teaching.notebooks import NotebookCell, todos_in


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
        names = todos_in(cell.text, points)
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


def _with_nbgrader_marks(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        if line.strip().startswith("### BEGIN SOLUTION"):
            line = f"{indent}### BEGIN SOLUTION"
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
