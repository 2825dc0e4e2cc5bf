"""What decides the outcome of a check, as text: when it changes, submissions are graded again by that check alone."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_COMPARING = "shared.teaching.compare"


def source_of(function: Callable[..., Any]) -> str:
    """Return the source of a function and of all it uses: of its own module, and of the modules of its package.

    Parameters
    ----------
    function : callable
        Defined at the top of a module. Names that it uses there are followed; a name that is imported from a module of
        the same top package, or of `shared.teaching.compare`, stands for the whole of that module.
    """
    package = function.__module__.split(".")[0]
    defined = _definitions(str(sys.modules[function.__module__].__file__))
    waiting, texts = [function.__name__], dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name in texts or name not in defined:
            continue
        node = defined[name]
        texts[name] = ast.unparse(node)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            texts[name] += "".join(_imported(node, name, package))
        waiting += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    return "\n".join(texts[name] for name in sorted(texts))


@functools.cache
def _definitions(path: str) -> dict[str, ast.stmt]:
    """Return the statements at the top of a module by the names that they define."""
    defined: dict[str, ast.stmt] = {}
    for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined[node.name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            defined |= {(alias.asname or alias.name).split(".")[0]: node for alias in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
            defined |= {part.id: node for part in names if isinstance(part.ctx, ast.Store)}
    return defined


def _imported(node: ast.Import | ast.ImportFrom, name: str, package: str) -> list[str]:
    """Return the text of the module behind an imported name, if it is one of the package."""
    texts = []
    for alias in node.names:
        if (alias.asname or alias.name).split(".")[0] != name:
            continue
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        if not f"{module}{alias.name}".startswith((f"{package}.", _COMPARING)):
            continue
        for candidate in (f"{module}{alias.name}", module.rstrip(".")):
            path = _file(candidate)
            if path:
                texts.append(Path(path).read_text(encoding="utf-8"))
                break
    return texts


def _file(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None
