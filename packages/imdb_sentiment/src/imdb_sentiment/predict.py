"""The verb `predict`: reviews from the command line, a file, CSV or standard input, judged as they come."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from imdb_sentiment.commands.options import PredictOptions
from shared.errors import UserError
from shared.text.text_files import read_pieces, standard_input

SHOWN = 60
"""Characters of a review that are printed beside its judgement."""
LONGEST_CELL = 1 << 27
"""Characters that a CSV cell may have; Python's own limit is 131,072."""


def _reviews(options: PredictOptions) -> Iterator[str]:
    """Return the reviews one by one; no more of them is in memory than is asked for."""
    if options.texts:
        return iter(options.texts)
    if options.file is None:
        if options.column is None:
            return (line.rstrip("\r\n") for line in standard_input())
        return csv_column(standard_input(), options.column, "standard input")
    path = Path(options.file)
    is_table = options.column is not None or path.name.lower().endswith((".csv", ".csv.gz"))
    if not is_table:
        return whole_lines(path, "a text file with a review a line")
    if options.column is None:
        raise UserError(f"{path}: is CSV. Name the column that holds the reviews with --column.")
    lines = (line + "\n" for line in whole_lines(path, "a CSV file"))
    return csv_column(lines, options.column, str(path))


def whole_lines(path: Path, expected: str) -> Iterator[str]:
    """Yield the lines of a file without their ends, each whole however long: one line is one review.

    Raises
    ------
    UserError
        As for `shared.text.text_files.read_pieces`.
    """
    parts: list[str] = []
    for piece in read_pieces(path, expected=expected):
        first, *others = piece.split("\n")
        parts.append(first)
        for line in others:
            yield "".join(parts)
            parts = [line]
    if any(parts):
        yield "".join(parts)


def csv_column(lines: Iterable[str], column: str, source: str) -> Iterator[str]:
    """Yield one column of CSV with a header line; a review in quotes may span lines.

    Raises
    ------
    UserError
        There is no header or no such column, or a row is too short; the line is named.
    """
    csv.field_size_limit(LONGEST_CELL)
    rows = csv.reader(lines)
    try:
        header = next(rows, None)
        if header is None:
            raise UserError(f"{source}:1: is empty. Expected CSV with a header line.")
        if column not in header:
            raise UserError(
                f'{source}:1: has no column "{column}". Expected one of: {", ".join(header)}.'
            )
        place = header.index(column)
        for row in rows:
            if not row:  # an empty line, often the last
                continue
            if len(row) <= place:
                raise UserError(
                    f"{source}:{rows.line_num}: has {len(row)} cells, so none for {column}. "
                    f"Expected {len(header)}; mend or delete the row."
                )
            yield row[place]
    except csv.Error as error:
        raise UserError(f"{source}:{rows.line_num}: is no CSV ({error}). Mend the row.") from None
