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


def todos_in(text: str, points: Mapping[str, float]) -> list[str]:
    """Return the TODOs whose solution is in a cell, in the order of the points."""
    lines = {
        line.strip().split(" ")[3]
        for line in text.split("\n")
        if line.strip().startswith("### BEGIN SOLUTION ")
    }
    return [name for name in points if name in lines]
