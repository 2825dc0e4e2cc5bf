"""otter-grader's master notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.teaching.edition import Cell
from shared.teaching.notebooks import NotebookCell, todos_in


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
        names = todos_in(cell.text, points)
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
