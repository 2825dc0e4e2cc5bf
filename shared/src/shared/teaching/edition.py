"""The source of an assignment: a Python file in jupytext's percent format that holds the solution.

    # %% [markdown] lang="en"
    # ## Softmax
    # %%
    def softmax(x):
        # en: Probabilities of scores. Do not change `x`.
        # zh: 由得分计算概率。不要改动 `x`。
        ### BEGIN SOLUTION softmax 2
        ...
        ### END SOLUTION

A cell may carry `lang="en"` or `lang="zh"`; so may a line, by starting with `# en: ` or `# zh: `. The words after BEGIN
SOLUTION are the name of the TODO and its points; points are written on the first block of a TODO only. A cell tagged
`solution` is left out of what students get; one tagged `tests` is a visible test.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

LANGUAGES = ("en", "zh")
_CELL = re.compile(r"^# %%(?: \[(?P<kind>markdown)\])?(?P<options>.*)$")
_OPTION = re.compile(r'(\w+)="([^"]*)"')
_BEGIN = re.compile(r"^(?P<indent> *)### BEGIN SOLUTION (?P<name>\w+)(?: (?P<points>[\d.]+))?$")
_END = re.compile(r"^ *### END SOLUTION$")
_LANGUAGE = re.compile(r"^(?P<indent> *)(?P<mark># )?(?P<language>en|zh): (?P<text>.*)$")


@dataclass(frozen=True)
class Cell:
    """One cell of the assignment.

    Parameters
    ----------
    kind : {"code", "markdown"}
    text : str
        Its source; markdown without the comment marks.
    language : str or None
        None: for all languages.
    tags : frozenset of str
    """

    kind: str
    text: str
    language: str | None = None
    tags: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Todo:
    """One gap that students fill in.

    Parameters
    ----------
    name : str
    points : float
        As written at its first block.
    code : str
        The solution's lines, all blocks joined.
    """

    name: str
    points: float
    code: str


@dataclass(frozen=True)
class Edition:
    """A whole assignment.

    Parameters
    ----------
    cells : tuple of Cell
    """

    cells: tuple[Cell, ...]

    @classmethod
    def read(cls, path: Path) -> Edition:
        """Read a percent file.

        Raises
        ------
        ValueError
            A marker is misplaced; the message names the line.
        """
        cells: list[Cell] = []
        header: tuple[str, str | None, frozenset[str]] | None = None
        lines: list[str] = []

        def close() -> None:
            if header is None:
                return
            kind, language, tags = header
            text = "\n".join(lines).strip("\n")
            if kind == "markdown":
                text = "\n".join(
                    line.removeprefix("#").removeprefix(" ") for line in text.split("\n")
                )
            if text:
                cells.append(Cell(kind, text, language, tags))

        for line in path.read_text(encoding="utf-8").split("\n"):
            match = _CELL.match(line)
            if match is None:
                lines.append(line)
                continue
            close()
            options = dict(_OPTION.findall(match["options"]))
            language = options.get("lang")
            header = (match["kind"] or "code", language, frozenset(options.get("tags", "").split()))
            lines = []
        close()
        edition = cls(tuple(cells))
        edition.todos()  # a misplaced marker is found now
        return edition

    def todos(self) -> dict[str, Todo]:
        """Return the TODOs by name, in the order of the file.

        Raises
        ------
        ValueError
            A block is not closed, or a TODO has no points.
        """
        points: dict[str, float] = {}
        code: dict[str, list[str]] = {}
        for cell in self.cells:
            name = None
            for line in cell.text.split("\n") if cell.kind == "code" else ():
                begin = _BEGIN.match(line)
                if begin and name is None:
                    name = begin["name"]
                    code.setdefault(name, [])
                    if begin["points"]:
                        points[name] = float(begin["points"])
                elif _END.match(line) and name is not None:
                    name = None
                elif begin or _END.match(line):
                    raise ValueError(f"misplaced marker: {line.strip()}")
                elif name is not None:
                    code[name].append(line)
            if name is not None:
                raise ValueError(f"BEGIN SOLUTION {name} has no END SOLUTION in its cell")
        missing = [name for name in code if name not in points]
        if missing:
            raise ValueError(f"no points are written for: {', '.join(missing)}")
        return {name: Todo(name, points[name], "\n".join(lines)) for name, lines in code.items()}

    def in_language(self, language: str, *, with_solution: bool) -> list[Cell]:
        """Return the cells of one language, with the solution or with gaps in its place.

        Parameters
        ----------
        language : {"en", "zh"}
        with_solution : bool
            False: each block becomes `raise NotImplementedError("TODO <name>")`, and cells tagged `solution` go.
        """
        cells = []
        for cell in self.cells:
            if cell.language not in (None, language):
                continue
            if not with_solution and "solution" in cell.tags:
                continue
            text = cell.text
            if cell.kind == "code":
                text = one_language(text, language)
                text = _without_markers(text) if with_solution else _with_gaps(text)
            cells.append(Cell(cell.kind, text, cell.language, cell.tags))
        return cells

    def source(self, *, with_solution: bool, language: str = "en") -> str:
        """Return the code cells as one Python file, visible tests left out."""
        cells = self.in_language(language, with_solution=with_solution)
        texts = [cell.text for cell in cells if cell.kind == "code" and "tests" not in cell.tags]
        return "\n\n\n".join(texts) + "\n"

    def notebook_code(self, *, with_solution: bool) -> str:
        """Return the code of the notebook, visible tests included, as one Python file."""
        cells = self.in_language("en", with_solution=with_solution)
        return "\n\n\n".join(cell.text for cell in cells if cell.kind == "code") + "\n"

    def names_to_write(self) -> list[str]:
        """Return the functions and classes that have a TODO in them, in the order of the file."""
        gaps = ast.parse(self.source(with_solution=False)).body
        given = {ast.dump(node) for node in gaps}
        return [
            node.name
            for node in ast.parse(self.source(with_solution=True)).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.dump(node) not in given
        ]

    def definitions(self) -> str:
        """Return what students are given, as code: imports, and definitions without any TODO in them."""
        tree = ast.parse(self.source(with_solution=True))
        gaps = ast.parse(self.source(with_solution=False))
        given = {ast.dump(node) for node in gaps.body}
        kept: list[ast.stmt] = [
            node
            for node in tree.body
            if ast.dump(node) in given
            and isinstance(
                node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign)
            )
        ]
        return ast.unparse(ast.Module(kept, type_ignores=[])) + "\n"


def one_language(text: str, language: str) -> str:
    """Keep the lines of one language, without its mark."""
    kept = []
    for line in text.split("\n"):
        match = _LANGUAGE.match(line)
        if match is None:
            kept.append(line)
        elif match["language"] == language:
            kept.append(f"{match['indent']}{match['mark'] or ''}{match['text']}".rstrip())
    return "\n".join(kept)


def _without_markers(text: str) -> str:
    return "\n".join(
        line for line in text.split("\n") if not _BEGIN.match(line) and not _END.match(line)
    )


def _with_gaps(text: str) -> str:
    """Replace each solution block by a line that says which TODO it is."""
    kept, is_inside = [], False
    for line in text.split("\n"):
        begin = _BEGIN.match(line)
        if begin:
            is_inside = True
            kept.append(f'{begin["indent"]}raise NotImplementedError("TODO {begin["name"]}")')
        elif _END.match(line):
            is_inside = False
        elif not is_inside:
            kept.append(line)
    return "\n".join(kept)
