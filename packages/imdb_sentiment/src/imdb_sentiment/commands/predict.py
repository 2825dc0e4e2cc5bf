"""The verb `predict`: reviews from the command line, a file, CSV or standard input, one line of output each."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from imdb_sentiment.commands.options import PredictOptions
from imdb_sentiment.model.trained import load
from imdb_sentiment.predict import predict_stream, whole_lines
from shared.errors import UserError
from shared.text.text_files import standard_input

SHOWN = 60
"""Characters of a review that are printed beside its prediction."""
LONGEST_CELL = 1 << 27
"""Characters that a CSV cell may have; Python's own limit is 131,072."""


def run(options: PredictOptions) -> int:
    """Print a line for each review (verb `predict`)."""
    reviews = texts_of(options)
    trained = load(options.run)
    for number, (text, prediction) in enumerate(
        predict_stream(trained, reviews, options.batch_size), start=1
    ):
        if options.json:
            print(json.dumps(asdict(prediction), ensure_ascii=False))
        else:
            start = " ".join(text[: 4 * SHOWN].split())[:SHOWN]
            print(f"{prediction.label}\t{prediction.probability:.4f}\t{start}")
        if number % options.batch_size == 0:
            sys.stdout.flush()  # so that a pipe sees each batch
    return 0


def texts_of(options: PredictOptions) -> Iterator[str]:
    """Return the reviews one by one, read as they are asked for."""
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
        position = header.index(column)
        for row in rows:
            if not row:  # an empty line, often the last
                continue
            if len(row) <= position:
                raise UserError(
                    f"{source}:{rows.line_num}: has {len(row)} cells, so none for {column}. "
                    f"Expected {len(header)}; fix or delete the row."
                )
            yield row[position]
    except csv.Error as error:
        raise UserError(f"{source}:{rows.line_num}: is no CSV ({error}). Fix the row.") from None
