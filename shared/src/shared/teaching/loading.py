"""A submission's definitions as names, and what failed. The worker reads this file too, inside the sandbox."""

from __future__ import annotations

import ast
import re
import traceback
from typing import Any

FILE = "submission.py"
CELL = "# code cell "
"""With its number after it, the line above each cell of a notebook, whose cells are one file here."""
SOURCE = "# file of the submission: "
"""With its name after it, the line above each file, where there are several."""
_MARK = re.compile(rf"^(?:{CELL}\d+|{SOURCE}.+)\n", re.MULTILINE)


def load(given: str, code: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the definitions of the handout, then those of a submission; return the names and what failed.

    Only imports, functions, classes and assignments are run: a submission may train for half an hour where it is not
    asked to. An assignment that calls one of its own functions is left out for the same reason, and so is one that
    needs what was left out.
    """
    namespace: dict[str, Any] = {"__name__": "submission", "__builtins__": __builtins__}
    problems: list[dict[str, Any]] = []
    exec(compile(given, "handout.py", "exec"), namespace)
    statements, wrong = parse(code)
    problems += wrong
    definitions = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    own = {node.name for node in statements if isinstance(node, definitions)}
    left_out: set[str] = set()
    for node in statements:
        if not isinstance(
            node, (*definitions, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
        ):
            continue
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
            read = {name.id for name in names if isinstance(name.ctx, ast.Load)}
            if own & called(node) or left_out & read:
                left_out |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
                continue
        try:
            exec(compile(ast.Module([node], []), FILE, "exec"), namespace)
        except (Exception, SystemExit) as error:
            problems.append({**problem(error), "line": node.lineno})
    return namespace, problems


def parse(code: str) -> tuple[list[ast.stmt], list[dict[str, Any]]]:
    """Return the statements of a submission, cell by cell or file by file, and what is not valid Python."""
    statements: list[ast.stmt] = []
    problems: list[dict[str, Any]] = []
    start = 0
    for number, part in enumerate(_MARK.split(code)):
        start += number > 0  # the line that it was split at
        nodes, wrong = _parse_part(part.rstrip())
        statements += [ast.increment_lineno(node, start) for node in nodes]
        problems += [{**entry, "line": entry["line"] and start + entry["line"]} for entry in wrong]
        start += part.count("\n")
    return statements, problems


def place(code: str, line: int) -> dict[str, str | int]:
    """Return the code cell or the file of a line and the line within it; nothing where there are none."""
    marks = [
        (number, text)
        for number, text in enumerate(code.split("\n")[:line], 1)
        if _MARK.match(f"{text}\n")
    ]
    if not marks:
        return {}
    number, text = marks[-1]
    key, mark = ("cell", CELL) if text.startswith(CELL) else ("file", SOURCE)
    return {key: text.removeprefix(mark), "line": line - number}


def _parse_part(code: str) -> tuple[list[ast.stmt], list[dict[str, Any]]]:
    """Return the statements of a cell or file; of one that is not valid Python, those that are valid by themselves.

    A function left in the middle of a line must not cost the others.
    """
    invalid = (SyntaxError, ValueError, RecursionError, MemoryError)
    try:
        return ast.parse(code).body, []
    except invalid as error:
        words = error.msg if isinstance(error, SyntaxError) else error
        shown = f": {error.text.strip()}" if isinstance(error, SyntaxError) and error.text else ""
        text = f"{type(error).__name__}: {words}{shown}"
        line = getattr(error, "lineno", None)
        problems = [{"error": type(error).__name__, "text": text, "line": line}]
    lines = code.split("\n")
    starts = [
        number
        for number, line in enumerate(lines)
        if re.match(r"[\w@]", line) and not (number and lines[number - 1].startswith("@"))
    ]
    statements: list[ast.stmt] = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        try:
            piece = ast.parse("\n".join(lines[start:end]))
        except invalid:
            continue
        statements += ast.increment_lineno(piece, start).body
    return statements, problems


def called(node: ast.AST) -> set[str]:
    """Return the names that are called anywhere in a statement."""
    calls = (part.func for part in ast.walk(node) if isinstance(part, ast.Call))
    return {call.id for call in calls if isinstance(call, ast.Name)}


def problem(error: BaseException) -> dict[str, Any]:
    """Describe an exception: its class, its text, the line of the student's file it came from."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == FILE]
    text = "exit" if isinstance(error, SystemExit) else str(error)
    return {"error": type(error).__name__[:100], "text": text, "line": lines[-1] if lines else None}
