"""The verb `predict`: reviews from the command line, a file, a table or standard input, one line of output each."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from imdb_sentiment.commands.options import PredictOptions
from imdb_sentiment.config import TrainConfig
from imdb_sentiment.model.trained import load
from imdb_sentiment.predict import batches, whole_lines
from shared.data.tables import SUFFIXES, Table, is_table
from shared.errors import UserError
from shared.text.text_files import as_they_arrive, standard_input, without_packing

SHOWN = 60
"""Characters of a review that are printed beside its prediction."""


def run(options: PredictOptions) -> int:
    """Print a line for each review (verb `predict`)."""
    trained = load(options.run, device=options.device)
    reviews = texts_of(options, trained.config)
    is_typed = options.file is None and not options.texts
    in_batches = as_they_arrive if is_typed else batches
    for batch in in_batches(reviews, options.batch_size):
        for text, prediction in zip(batch, trained.predict(batch), strict=True):
            if options.json:
                print(json.dumps(asdict(prediction), ensure_ascii=False))
            else:
                start = " ".join(text[: 4 * SHOWN].split())[:SHOWN]
                print(f"{prediction.label}\t{prediction.probability:.4f}\t{start}")
        sys.stdout.flush()  # so that a pipe sees each batch
    return 0


def texts_of(options: PredictOptions, config: TrainConfig) -> Iterator[str]:
    """Return the reviews one by one, read as they are asked for; a table has the form of the run's where none is given.

    Raises
    ------
    UserError
        What `shared.data.tables` and `shared.text.text_files` raise, while reading.
    """
    if options.texts:
        return iter(options.texts)
    column = options.text_column
    if options.file is None:
        if column is None:
            return (line.rstrip("\n") for line in standard_input())
        separator = {"tab": "\t"}.get(options.separator or ",", options.separator or ",")
        return column_of(Table(standard_input(), "standard input", separator), column)
    path = Path(options.file)
    if column is None and not is_table(path):
        return whole_lines(path, options.encoding or "utf-8")
    own, encoding = options.separator, options.encoding
    has_lines_of_json = SUFFIXES.get(without_packing(path).suffix.lower()) == ""
    if not has_lines_of_json:  # those are UTF-8, without separators
        own = own or config.separator or (None if is_table(path) else ",")
        encoding = encoding or config.encoding
    table = Table.open(path, separator=own, encoding=encoding or "utf-8")
    return column_of(table, column or config.text_column)


def column_of(table: Table, column: str) -> Iterator[str]:
    """Yield the texts of one column of a table."""
    for line, (text,) in table.rows([column]):
        if not isinstance(text, str):
            raise UserError(f"{table.name}:{line}: {column} is {text!r}. Expected a string.")
        yield text
