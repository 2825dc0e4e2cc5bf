"""Readers of published tests of word vectors: analogies (`questions-words.txt`) and rated word pairs.

WordSim-353, SimLex-999 and MEN are read as they are published.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from cbow.data.synonyms import read_text
from shared.errors import UserError

Question = tuple[str, str, str, str]
"""Words a, b, c, d of "a is to b as c is to d"."""
WordPair = tuple[str, str, float]
"""Two words and their human score."""


def load_analogies(path: Path | str) -> dict[str, list[Question]]:
    """Read an analogy test: lines `: section`, and lines of four words, "a b c d".

    Returns
    -------
    dict of section name to questions
        Questions before the first section line are in the section "".
    """
    path = Path(path)
    sections: dict[str, list[Question]] = {}
    current: list[Question] | None = None
    for number, line in _lines(path):
        if line.startswith(":"):
            current = sections.setdefault(line[1:].strip(), [])
            continue
        question = line.split()
        if len(question) != 4:
            raise UserError(
                f"{path}:{number}: {len(question)} words. Expected four, or a line ': section'."
            )
        if current is None:
            current = sections.setdefault("", [])
        current.append((question[0], question[1], question[2], question[3]))
    if not any(sections.values()):
        raise UserError(f"{path}: no question. Expected lines of four words, 'a b c d'.")
    return sections


def load_word_pairs(path: Path | str) -> list[WordPair]:
    """Read pairs of words with a human score, as WordSim-353, SimLex-999 and MEN are published.

    Columns are split at tabs, else commas, else spaces (the first line decides). The two words come
    first; the score is the first later column that holds a number. A first line without a number
    is a header, lines starting with `#` are comments.
    """
    path = Path(path)
    pairs: list[WordPair] = []
    mark: str | None = None
    column = -1
    for position, (number, line) in enumerate(_lines(path)):
        if position == 0:
            mark = "\t" if "\t" in line else "," if "," in line else None
        cells = [cell.strip() for cell in _cells(line, mark, f"{path}:{number}")]
        if column < 0:
            numbers = [i for i in range(2, len(cells)) if _number(cells[i]) is not None]
            if not numbers and position == 0:
                continue  # the header
            column = numbers[0] if numbers else -1
        score = _number(cells[column]) if 0 <= column < len(cells) else None
        if score is None or not cells[0] or not cells[1]:
            raise UserError(f"{path}:{number}: expected two words and a score, got {line[:60]!r}.")
        pairs.append((cells[0], cells[1], score))
    if not pairs:
        raise UserError(f"{path}: no pair. Expected lines of two words and a score.")
    return pairs


def _cells(line: str, mark: str | None, where: str) -> list[str]:
    if mark is None:
        return line.split()
    try:
        return next(csv.reader([line], delimiter=mark, strict=True))
    except csv.Error as problem:
        raise UserError(f"{where}: {problem}. Close or double the quotation mark.") from None


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()
