"""Rows of CSV, TSV and JSONL files, read as a stream and strictly: what does not parse is named by file and line.

CSV is RFC 4180: fields may be quoted, a quote inside is doubled, quoted fields may hold line breaks. In TSV a quote is
a character like others, since published data sets (GLUE, SNLI) do not quote. But spreadsheets and pandas do, so a field
is taken out of its quotes where all quotes inside are doubled, and a TSV with a quoted header is read as CSV is. JSONL
has one object a line. Lines end with LF or CRLF. A file may be packed (`.gz`, `.bz2`, `.xz`) and may begin with a byte
order mark.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NoReturn

from shared.errors import UserError
from shared.text.text_files import PACKED, read_pieces, without_packing

SUFFIXES = {
    ".csv": ",", ".tsv": "\t", ".tab": "\t", ".jsonl": "", ".ndjson": "", ".jsonlines": ""
}  # fmt: skip
"""File name endings and their separator; none in JSONL."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_ENCLOSED = re.compile('"(?:[^"]|"")*"', re.DOTALL)
_MISREAD_MARK = "\ufeff".encode().decode("latin-1")
LONGEST_FIELD = 1 << 24
"""Characters; a quote that is never closed is noticed after as many at the latest."""


def is_table(path: Path) -> bool:
    """Whether a file's name is that of a CSV, TSV or JSONL file, packed or not."""
    return without_packing(path).suffix.lower() in SUFFIXES


def separator_hint(columns: Sequence[str], separator: str | None) -> str:
    """Return what to try where a header is a single column that another separator would cut; empty elsewhere."""
    others = [mark for mark in ",;\t|" if len(columns) == 1 and mark in columns[0]]
    if not others or others[0] == separator:
        return ""
    return f" (is the separator {others[0]!r}? Name it with --separator)"


class Table:
    """A table whose rows are read once, from the first to the last.

    Parameters
    ----------
    lines : iterable of str
        With their line feeds.
    name : str
        What messages call the table.
    separator : str
        One character; empty for JSONL. A tab means TSV.
    """

    def __init__(self, lines: Iterable[str], name: str, separator: str) -> None:
        self.name = name
        self.separator = separator
        self._lines = iter(lines)
        self._is_quoted = separator != "\t"
        self._read = 0  # lines
        self._columns: list[str] | None = None

    @classmethod
    def open(cls, path: Path, *, separator: str | None = None, encoding: str = "utf-8") -> Table:
        """Open a file.

        Parameters
        ----------
        path : Path
        separator : str, optional
            Default: by the file's name.
        encoding : str

        Raises
        ------
        UserError
            The separator is not one character, or neither given nor known by the file's name. Reading raises what
            `shared.text.text_files.read_pieces` raises.
        """
        suffix = without_packing(path).suffix.lower()
        if separator is not None and SUFFIXES.get(suffix) == "":
            raise UserError(f"--separator: {path} has JSON lines, which have none. Leave it out.")
        if separator is None:
            if suffix not in SUFFIXES:
                raise UserError(
                    f"{path}: is not a table by its name. Expected {', '.join(SUFFIXES)} (also with "
                    f"{', '.join(PACKED)}), or name the --separator."
                )
            separator = SUFFIXES[suffix]
        else:
            separator = {"tab": "\t", "\\t": "\t"}.get(separator, separator)
            if len(separator) != 1 or separator in ("\n", "\r", '"'):
                raise UserError(f"--separator is {separator!r}, expected one character or `tab`.")
        pieces = read_pieces(path, encoding, expected="a CSV, TSV or JSONL file")
        return cls(_lines_of(pieces), str(path), separator)

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns: the header, or the keys of the first object.

        Raises
        ------
        UserError
            The table is empty, its header cannot be read or has a name twice.
        """
        if self._columns is None:
            first = next(self._lines, "")
            while first and not first.strip():
                self._read += 1
                first = next(self._lines, "")
            if not first:
                raise UserError(f"{self.name}: is empty. Expected a table with a header.")
            if first.startswith(_MISREAD_MARK):
                raise UserError(
                    f"{self.name}: begins with the byte order mark of UTF-8. Read it with --encoding utf-8."
                )
            if self.separator:
                self._lines = chain([first], self._lines)
                names = first.rstrip("\r\n").split(self.separator)
                self._is_quoted |= all(_ENCLOSED.fullmatch(name) for name in names)
                line, names = next(self._records(raise_problem))
                self._columns = [name.strip() for name in names]
            else:
                line = self._read + 1
                self._columns = list(_object_of(first, f"{self.name}:{line}", raise_problem) or ())
                self._lines = chain([first], self._lines)
            repeated = {name for name in self._columns if name and self._columns.count(name) > 1}
            if repeated:
                raise UserError(
                    f"{self.name}:{line}: the column {min(repeated)!r} is there twice. Rename one of them."
                )
        return self._columns

    def rows(
        self,
        wanted: Sequence[str],
        *,
        optional: Collection[str] = (),
        on_bad: Callable[[str], object] | None = None,
    ) -> Iterator[tuple[int, list[Any]]]:
        """Yield the line number and the wanted values of each row.

        Parameters
        ----------
        wanted : sequence of str
            Names of columns, or numbers from 1: a table whose columns are all named by number has no header.
        optional : collection of str
            Those of `wanted` that may be missing: their value is None.
        on_bad : callable, optional
            Takes the problem of a bad row, with file and line; it raises or, if the row is to be skipped, returns.
            Default: raise a UserError.

        Yields
        ------
        line : int
            The first line of the row, from 1.
        values : list (len(wanted),)
            Text in CSV and TSV, any JSON value in JSONL.

        Raises
        ------
        UserError
            A wanted column does not exist; a row is bad.
        """
        on_bad = on_bad or raise_problem
        if not self.separator:
            yield from self._objects(wanted, optional, on_bad)
            return
        if all(name.isdecimal() for name in wanted):
            indices: list[int | None] = [int(name) - 1 for name in wanted]
            width = None
        else:
            indices = [self._index(name, name in optional) for name in wanted]
            width = len(self.columns)
        blank: list[int] = []  # lines that may be empty fields, if a row follows
        for line, fields in self._records(on_bad):
            if not fields:
                blank.append(line)
                continue
            if width is None:
                width = len(fields)
                if not all(1 <= int(name) <= width for name in wanted):
                    raise UserError(
                        f"{self.name}:{line}: has {width} columns, expected number {', '.join(wanted)} among them."
                    )
            if width == 1:
                for number in blank:
                    on_bad(
                        f'{self.name}:{number}: is blank, in a table of one column. Write "" for an empty field, or '
                        "remove the line"
                    )
            blank.clear()
            if len(fields) != width:
                many = "field" if len(fields) == 1 else "fields"
                advice = "Remove or add a separator"
                if not self._is_quoted:
                    advice += ", or write CSV if a field holds tabs or line breaks"
                if self.separator == ",":
                    advice = (
                        "A comma inside a field needs quotes around it"
                        if len(fields) > width
                        else "Add what is missing; an empty field needs its comma too"
                    )
                on_bad(f"{self.name}:{line}: has {len(fields)} {many}, expected {width}. {advice}")
                continue
            yield line, [None if index is None else fields[index] for index in indices]

    def _index(self, name: str, is_optional: bool) -> int | None:
        """Return the index of a column."""
        from shared.command.config import near

        if name in self.columns:
            return self.columns.index(name)
        if is_optional:
            return None
        hint = separator_hint(self.columns, self.separator) or near(name, self.columns)
        shown = ", ".join(repr(column) for column in self.columns[:20])
        raise UserError(f"{self.name}:1: has no column {name!r}{hint}. Its columns: {shown}.")

    def _records(self, on_bad: Callable[[str], object]) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line and the fields of each record; a blank line has none."""
        csv.field_size_limit(LONGEST_FIELD)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._is_quoted else csv.QUOTE_NONE
        reader = csv.reader(self._lines, delimiter=self.separator, quoting=quoting, strict=True)
        offset = self._read
        while True:
            line = self._read + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._read = offset + reader.line_num
                on_bad(f"{self.name}:{line}: {_csv_problem(str(error))}")
                continue
            self._read = offset + reader.line_num
            yield line, fields if self._is_quoted else [_unquoted(field) for field in fields]

    def _objects(
        self, wanted: Sequence[str], optional: Collection[str], on_bad: Callable[[str], object]
    ) -> Iterator[tuple[int, list[Any]]]:
        for line, text in enumerate(self._lines, start=self._read + 1):
            where = f"{self.name}:{line}"
            values = _object_of(text, where, on_bad) if text.strip() else None
            if values is None:
                continue
            missing = [name for name in wanted if name not in values and name not in optional]
            if missing:
                keys = ", ".join(repr(key) for key in list(values)[:20])
                on_bad(f"{where}: {missing[0]!r} is missing. Its keys: {keys}")
                continue
            yield line, [values.get(name) for name in wanted]


def _unquoted(field: str) -> str:
    """Return a field without the quotes that only a writer of quoted fields leaves: around it, and doubled inside."""
    if '""' in field[1:-1] and _ENCLOSED.fullmatch(field):
        return field[1:-1].replace('""', '"')
    return field


def raise_problem(problem: str) -> NoReturn:
    """Raise a UserError: the default of `on_bad`."""
    raise UserError(f"{problem}.")


def _lines_of(pieces: Iterable[str]) -> Iterator[str]:
    """Yield lines of any length with their line feeds."""
    rest: list[str] = []
    for piece in pieces:
        lines = piece.split("\n")
        if len(lines) > 1:
            yield "".join([*rest, lines[0], "\n"])
            for line in lines[1:-1]:
                yield line + "\n"
            rest = []
        rest.append(lines[-1])
    if last := "".join(rest):
        yield last


def _object_of(text: str, where: str, on_bad: Callable[[str], object]) -> dict[str, Any] | None:
    """Return the object of a line; None where there is none and `on_bad` did not raise."""
    repeated: list[str] = []

    def as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            names = [name for name, _ in pairs]
            repeated.extend(name for name in values if names.count(name) > 1)
        return values

    try:
        values = json.loads(text, object_pairs_hook=as_dict)
    except (ValueError, RecursionError) as error:
        on_bad(
            f"{where}: is not JSON ({str(error).split(': line')[0]}). Expected one object a line"
        )
        return None
    if not isinstance(values, dict):
        on_bad(f"{where}: is a JSON {type(values).__name__}. Expected one object a line")
        return None
    if repeated:
        on_bad(f"{where}: {repeated[0]!r} is there twice")
        return None
    if "\\u" in text and _SURROGATE.search(json.dumps(values, ensure_ascii=False)):
        on_bad(f"{where}: holds half of a surrogate pair, which is no character")
        return None
    return values


def _csv_problem(message: str) -> str:
    """Return an error of the csv module in plain words."""
    if "unexpected end of data" in message:
        return "a quote is opened in this row and never closed. Close it, or double it if it is part of the text"
    if "expected after" in message:
        return (
            "a quoted field does not end at its closing quote. "
            'Expected a quote inside a quoted field to be doubled ("")'
        )
    if "new-line character" in message:
        return "has a carriage return without a line feed. Expected lines to end with LF or CRLF"
    if "field limit" in message:
        return f"a field has more than {LONGEST_FIELD:,} characters. Is a quote not closed?"
    return f"cannot be read ({message})"
