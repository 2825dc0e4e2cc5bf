"""Which file of the packages imports which, wherever in it: at the top, in a function, for type checkers only."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def modules_below(*sources: Path) -> dict[str, Path]:
    """Return the modules below some source folders, dotted name -> file; `__init__.py` has its folder's name."""
    names = {}
    for source in sources:
        for path in source.rglob("*.py"):
            *folders, last = path.relative_to(source).with_suffix("").parts
            names[".".join(folders if last == "__init__" else [*folders, last])] = path
    return names


def imports(path: Path, module: str) -> Iterator[tuple[str, str]]:
    """Yield what a file imports, as (module, name taken from it); the name of a plain `import` is empty.

    Parameters
    ----------
    path : Path
    module : str
        Its own dotted name, which relative imports start from.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            home = [node.module] if node.module else []
            if node.level:
                folders = module.split(".")
                up = node.level - (path.name == "__init__.py")
                home = folders[: len(folders) - up] + home
            yield from ((".".join(home), alias.name) for alias in node.names)


def import_graph(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return for each module those of `files` that it imports, itself left out.

    `from a import b` imports the module `a.b` where there is one, else `a`.
    """
    graph = {}
    for module, path in files.items():
        finest = {
            f"{home}.{name}" if f"{home}.{name}" in files else home
            for home, name in imports(path, module)
        }
        graph[module] = finest & files.keys() - {module}
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of two or more modules that all reach each other by imports.

    These are the strongly connected components: Tarjan 1972, "Depth-first search and linear graph algorithms".
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for target in sorted(graph[module]):
            if target not in order:
                visit(target)
                lowest[module] = min(lowest[module], lowest[target])
            elif target in stack:
                lowest[module] = min(lowest[module], order[target])
        if lowest[module] == order[module]:
            start = stack.index(module)
            components.append(sorted(stack[start:]))
            del stack[start:]

    for module in sorted(graph):
        if module not in order:
            visit(module)
    return sorted(component for component in components if len(component) > 1)
