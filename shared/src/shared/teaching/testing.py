"""What the tests of every task's assignment ask: the same of all five.

Student code is run in this process here, so that a hundred mistakes take seconds; that the sandbox gives the same is
one test more. Needs pytest nowhere: failed assertions speak for themselves.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.teaching.assignment import Assignment, Score
from shared.teaching.grade import grade_one
from shared.teaching.handout import write_handout
from shared.teaching.probe import choose
from shared.teaching.sandbox import Limits
from shared.teaching.selftest import Mutant
from shared.teaching.similarity import similar_pairs
from shared.teaching.student import LocalStudent
from shared.teaching.submissions import Submission, read_code


def defined_by(assignment: Assignment, code: str) -> dict[str, Any]:
    """Return what a file defines, without what it calls, and the helpers of the checks."""
    tree = ast.parse(code)
    tree.body = [node for node in tree.body if not isinstance(node, ast.Expr)]
    names: dict[str, Any] = {}
    exec(compile(tree, "submission.py", "exec"), names)
    exec(assignment.helpers, names)
    return names


def grade_here(assignment: Assignment, code: str, seed: int = 0) -> dict[str, Score]:
    """Grade code in this process."""
    student = LocalStudent(defined_by(assignment, code))
    scores: dict[str, Score] = {}
    for check in assignment.checks:
        scores.update(assignment.run(check, student, seed))
    return scores


def total(scores: dict[str, Score]) -> float:
    """Return all points."""
    return sum(score.points for score in scores.values())


def require_solution_and_gaps(assignment: Assignment) -> None:
    """The solution gets all points for several seeds, without a remark; the handout gets none."""
    solution = assignment.edition.source(with_solution=True)
    for seed in range(3):
        scores = grade_here(assignment, solution, seed)
        assert total(scores) == sum(assignment.points.values()), scores
        assert not any(score.remarks for score in scores.values()), scores
    scores = grade_here(assignment, assignment.edition.source(with_solution=False))
    assert total(scores) == 0
    assert {r.key for s in scores.values() for r in s.remarks} <= {"gap", "step_unfinished"}


def require_mutant(assignment: Assignment, mutant: Mutant, seed: int = 3) -> None:
    """A mistake costs its own TODOs what is written, and is named in both languages."""
    scores = grade_here(
        assignment, mutant.code(assignment.edition.source(with_solution=True)), seed
    )
    problems = mutant.problems(scores, assignment.points)
    assert not problems, (problems, scores)
    for remark in (remark for score in scores.values() for remark in score.remarks):
        assert re.search("[a-z]{3}", assignment.text(remark, "en"))
        assert re.search("[\u4e00-\u9fff]{2}", assignment.text(remark, "zh"))


def require_enough_mutants(assignment: Assignment, mutants: Sequence[Mutant]) -> None:
    """There are forty mistakes or more, every TODO has some, and there are accepted variants."""
    assert sum(bool(mutant.lost) for mutant in mutants) >= 40
    assert sum(not mutant.lost for mutant in mutants) >= 8
    assert {name for mutant in mutants for name in mutant.lost} == set(assignment.points)


def require_sandbox_agrees(assignment: Assignment, mutant: Mutant) -> None:
    """A mistake costs in the sandbox what it costs here.

    Raises
    ------
    UserError
        No sandbox works on this machine.
    """
    sandbox = choose(assignment.distributions, Limits(seconds=60, memory=8 << 30))
    code = mutant.code(assignment.edition.source(with_solution=True))
    try:
        result = grade_one(assignment, Submission("1", Path("1.py"), code), sandbox)
    finally:
        sandbox.close()
    here = grade_here(assignment, code)
    assert {n: s.points for n, s in result.scores.items()} == {n: s.points for n, s in here.items()}


def run_solution_notebook(
    assignment: Assignment, folder: Path, write_data: Callable[[Path], object]
) -> str:
    """Execute the solution's notebook beside the students' data, from top to bottom, and return what it printed."""
    import nbclient
    import nbformat

    write_handout(assignment, folder / "h", write_data)
    book = nbformat.read(folder / "h" / "teacher" / "solution.en.ipynb", 4)
    nbformat.validate(book)
    resources = {"metadata": {"path": str(folder / "h" / "student")}}
    nbclient.NotebookClient(book, timeout=120, resources=resources).execute()
    return "".join(
        output.get("text", "") for cell in book.cells for output in cell.get("outputs", ())
    )


def require_handout(
    assignment: Assignment, folder: Path, write_data: Callable[[Path], object]
) -> None:
    """A handout is the same bytes twice, well-formed, in its languages, and without a statement of the solution.

    Two that are handed in as they came do not look alike.
    """
    files = [write_handout(assignment, folder / name, write_data) for name in ("a", "b")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    solved = {
        ast.dump(statement)
        for todo in assignment.edition.todos().values()
        for statement in ast.parse(
            f"def f():\n{textwrap.indent(textwrap.dedent(todo.code), '    ')}"
        )
        .body[0]
        .body  # type: ignore[attr-defined]
    }
    for path in files[0]:
        if path.suffix == ".ipynb":
            book = json.loads(path.read_text(encoding="utf-8"))
            ids = [cell["id"] for cell in book["cells"]]
            assert len(set(ids)) == len(ids)
            codes = [
                "".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"
            ]
        elif path.suffix == ".py":
            codes = [path.read_text(encoding="utf-8")]
        else:
            continue
        statements = {ast.dump(node) for code in codes for node in ast.walk(ast.parse(code))}
        if "student" in path.relative_to(folder).parts:
            assert not statements & solved, path
    unchanged = {}
    for language, is_chinese in (("en", False), ("zh", True)):
        notebook = folder / "a" / "student" / f"{assignment.task}.{language}.ipynb"
        text = notebook.read_text(encoding="utf-8")
        assert bool(re.search("[\u4e00-\u9fff]", text)) is is_chinese
        unchanged[language] = read_code(notebook)
    handout, solution = (
        assignment.edition.notebook_code(with_solution=is_solved) for is_solved in (False, True)
    )
    assert similar_pairs(unchanged, known=handout) == []
    copy = {"copy": read_code(folder / "a" / "teacher" / "solution.en.ipynb")}
    (pair,) = similar_pairs(copy, known=handout, published={"(solution)": solution})
    assert pair.similarity == 1
