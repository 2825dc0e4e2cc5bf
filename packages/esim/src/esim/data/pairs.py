"""Pairs of sentences in files: SNLI's and MultiNLI's own, JSONL, CSV and TSV; plain or packed, or inside a zip.

A line that cannot be read is named with its number. Pairs without a gold label (`-`: the annotators did not agree; -1)
are left out and counted, as is usual: of SNLI's 550,152 training lines 549,367 stay.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

from esim.config import Columns
from esim.data.labels import LABELS
from shared.data.archives import is_junk
from shared.data.tables import Table, separator_hint
from shared.errors import UserError

Labels = Literal["required", "optional", "ignored"]

SEPARATORS = {".jsonl": "", ".ndjson": "", ".txt": "\t", ".tsv": "\t", ".csv": ","}
"""Suffixes of files with pairs, and their separators; a split that has several is read from the first of these."""
SPLIT_WORDS = {"train": ("train",), "dev": ("dev", "valid", "validation", "val"), "test": ("test",)}
NO_LABEL = ("-", "", "-1", "hidden")
"""Labels of pairs without a gold label: annotators did not agree, or the label is not published."""

_SIDES = ("premise", "hypothesis")
_NAMES = {
    "premise": ("sentence1", "premise"),
    "hypothesis": ("sentence2", "hypothesis"),
    "label": ("gold_label", "label"),
}
_PARSES = ("_binary_parse", "_parse")
_NOT_DECODED = re.compile("[\udc80-\udcff]")  # bytes that `surrogateescape` let through
_SURROGATE = re.compile("[\ud800-\udfff]")
_WITHOUT_HEADER = {"label": "1", "premise": "2", "hypothesis": "3"}
_HEADER_HINT = (
    ". Name the columns of a header with --premise-column, --hypothesis-column and --label-column"
)
_UNPACKED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Source:
    """A file, or a member of a zip."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}/{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> Path:
        """File name in lower case."""
        return Path((self.member or self.path.name).lower())

    @property
    def suffix(self) -> str:
        """Suffix of the file name in lower case, without that of a packed file (.gz, .bz2, .xz)."""
        return (self.name.with_suffix("") if self.name.suffix in _UNPACKED else self.name).suffix

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it for reading; errors name the file.

        Raises
        ------
        UserError
            There is no such file, or it is damaged; raised in the `with` block too.
        """
        try:
            with ExitStack() as opened:
                file: IO[bytes]
                if self.member is None:
                    file = opened.enter_context(self.path.open("rb"))
                else:
                    archive = opened.enter_context(zipfile.ZipFile(self.path))
                    file = opened.enter_context(archive.open(self.member))
                if unpacked := _UNPACKED.get(self.name.suffix):
                    file = opened.enter_context(unpacked(file))
                yield file
        except FileNotFoundError:
            raise UserError(f"{self}: not found. Expected a file with pairs.") from None
        except NotImplementedError as error:
            raise UserError(
                f"{self}: has a compression that is not supported ({error}). Unpack it first."
            ) from None
        except RuntimeError:  # of zipfile, about a password
            raise UserError(f"{self}: is encrypted. Unpack it first.") from None
        except _DAMAGED as error:
            raise UserError(f"{self}: cannot be read ({error}). Get the file again.") from None


@dataclass
class PairTexts:
    """The pairs of a file as text.

    Parameters
    ----------
    premises, hypotheses : list of str (N,)
        Sentences; from parses, words joined by spaces.
    labels : list of int (N,)
        Positions in `LABELS`; all -1 where labels are not read.
    unlabeled, bad : int
        Lines left out: without a label, and unreadable.
    """

    premises: list[str] = field(default_factory=list)
    hypotheses: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    unlabeled: int = 0
    bad: int = 0

    def __len__(self) -> int:
        return len(self.labels)


def find_sources(path: Path) -> dict[str, Source]:
    """Return the files of a data set by split.

    Parameters
    ----------
    path : Path
        Folder (its own subfolders too), zip, or one file, which is `all`.

    Returns
    -------
    dict of str to Source
        Keys from train, dev, test; `dev_mismatched` and `test_mismatched` beside MultiNLI's dev and test; `all` where
        the name does not say.

    Raises
    ------
    UserError
        There is no such file, or a split has several of them.
    """
    if path.is_file() and path.suffix.lower() != ".zip":
        return {"all": Source(path)}
    sources = [source for source in _listed(path) if source.suffix in SEPARATORS]
    splits: dict[str, Source] = {}
    for suffix in SEPARATORS:
        for source in sources:
            split = _split_of(source)
            if source.suffix != suffix or split is None:
                continue
            if split in splits and splits[split].suffix == suffix:
                raise UserError(
                    f"{path}: both {splits[split]} and {source} could be {split}. Name the file, or move one away."
                )
            splits.setdefault(split, source)
    if not splits and len(sources) == 1:
        return {"all": sources[0]}
    if not splits:
        raise UserError(
            f"{path}: holds no pairs. Expected files with train, dev or test in their names, ending in "
            f"{', '.join(SEPARATORS)}, as snli_1.0_train.jsonl."
        )
    return splits


def read_pairs(
    source: Source,
    columns: Columns | None = None,
    *,
    on_bad_line: str = "error",
    parses: bool = False,
    labels: Labels = "required",
) -> PairTexts:
    """Read the pairs of a file.

    Parameters
    ----------
    source : Source
    columns : Columns, optional
        Where the parts of a pair are; default: in SNLI's, MultiNLI's or the Hugging Face copies' columns.
    on_bad_line : {"error", "skip"}
    parses : bool
        Take the words from the parses in SNLI and MultiNLI, not from the sentences.
    labels : {"required", "optional", "ignored"}
        A row without a label is an error, counted as unlabeled, or read like any other (with -1, as are all).

    Raises
    ------
    UserError
        Naming file and line: it does not parse, a part is missing, the label is unknown, a sentence has no words.
    """
    columns = columns or Columns()
    pairs = PairTexts()

    def on_bad(problem: str) -> None:
        if on_bad_line == "error":
            raise UserError(
                f"{problem.removesuffix('.')}. Fix the line, or skip such lines with --on-bad-line skip."
            )
        pairs.bad += 1

    with source.open() as file:
        parts = _SIDES if labels == "ignored" else (*_SIDES, "label")
        needed = [*(() if parses else _SIDES), *(["label"] if labels == "required" else [])]
        table, names = _open_table(source, file, columns, needed)
        if parses:
            for side in _SIDES:
                names[side] = [name + ending for name in names[side] for ending in _PARSES]
        wanted = [name for part in parts for name in names[part]]
        is_headless = all(name.isdecimal() for name in wanted)
        optional = () if is_headless else wanted
        for line, values in table.rows(wanted, optional=optional, on_bad=on_bad):
            row = dict(zip(wanted, values, strict=True))
            try:
                label = -1 if labels == "ignored" else _label(row, names["label"], columns, labels)
                premise, hypothesis = (_sentence(row, names[s], s, parses) for s in _SIDES)
            except _BadRow as error:
                hint = _HEADER_HINT if is_headless and line == 1 else ""
                on_bad(f"{source}:{line}: {error}{hint}")
                continue
            if label is None:
                pairs.unlabeled += 1
                continue
            pairs.premises.append(premise)
            pairs.hypotheses.append(hypothesis)
            pairs.labels.append(label)
    return pairs


def parse_leaves(parse: str) -> list[str]:
    """Return the words of a bracketed parse, binary or labeled: `(ROOT (NP (DT A) (NN man)))` -> `A man`."""
    if "(" not in parse:
        return parse.split()
    if re.search(r"\([^\s()]", parse):  # labels follow their bracket
        return re.findall(r"([^\s()]+)\s*\)", parse)
    return [word for word in parse.split() if word not in "()"]


class _BadRow(Exception):
    """What is wrong with a row."""


def _open_table(
    source: Source, file: IO[bytes], columns: Columns, needed: Sequence[str]
) -> tuple[Table, dict[str, list[str]]]:
    """Return the table, and the possible columns of each part of a pair; of `needed` ones a header must have one."""
    given = {
        "premise": columns.premise_column,
        "hypothesis": columns.hypothesis_column,
        "label": columns.label_column,
    }
    names = {part: [name] if (name := given[part]) else list(_NAMES[part]) for part in _NAMES}
    separator = SEPARATORS.get(source.suffix, "\t")
    if separator:  # JSON lines have none, whatever the columns of other files are separated by
        separator = columns.separator or separator
    separator = {"tab": "\t", "\\t": "\t"}.get(separator, separator)
    if len(separator) > 1 or separator in ("\n", "\r", '"'):
        raise UserError(f"--separator is {separator!r}, expected one character or tab.")
    lines = _text_lines(file, str(source), columns.encoding)
    if not separator:
        return Table(lines, str(source), ""), names
    head: list[str] = []  # blank lines, and the first that is not
    for line in lines:
        head.append(line)
        if line.strip():
            break
    header = _cells("".join(head[-1:]), separator)
    lines = chain(head, lines)
    is_named = any(name and not name.isdecimal() for name in given.values())
    if is_named or any(name in header for name in names["premise"]):
        if separator == "\t":  # SNLI's own files leave the last, empty fields of a row away
            lines = (_padded(line, len(header)) for line in lines)
        for part in needed if header else ():  # a header that cannot be read is named by the table
            if not any(name in header for name in names[part]):
                shown = ", ".join(repr(name) for name in header[:20])
                raise UserError(
                    f"{source}: has no column {' or '.join(names[part])} for the {part}"
                    f"{separator_hint(header, separator)}. Its columns: {shown}. "
                    f"Name it with --{part}-column."
                )
        return Table(lines, str(source), separator), names
    if hint := separator_hint(header, separator):
        raise UserError(f"{source}: has one column, expected two or three{hint}.")
    defaults = _WITHOUT_HEADER
    if len(header) == 2:  # no label
        defaults = {"premise": "1", "hypothesis": "2", "label": "3"}
    numbers = {part: [given[part] or defaults[part]] for part in names}
    return Table(lines, str(source), separator), numbers


def _label(
    row: dict[str, Any], names: Sequence[str], columns: Columns, labels: Labels
) -> int | None:
    """Return the label, or None where annotators did not agree or none is published."""
    value, values = _first_value(row, names), columns.label_values
    if value is None and labels == "optional":
        return None
    if value is None:
        raise _BadRow(f"{' or '.join(names)} is missing. Expected {', '.join(columns.label_names)}")
    text = str(value).strip()
    if values:
        if text in values:
            return values.index(text)
    elif text.lower() in LABELS:
        return LABELS.index(text.lower())
    elif text in ("0", "1", "2", "0.0", "1.0", "2.0"):  # the order of the Hugging Face copies
        return int(text[0])
    if text.lower() in (*NO_LABEL, "-1.0"):
        return None
    if _NOT_DECODED.search(text):
        raise _BadRow("the label is not UTF-8. Expected UTF-8 text, or name another --encoding")
    expected = ", ".join(values or (*LABELS, "0", "1", "2"))
    raise _BadRow(
        f'the label is "{text[:40]}". Expected {expected} or "-". Name other words with --label-values'
    )


def _sentence(row: dict[str, Any], names: Sequence[str], side: str, parses: bool) -> str:
    value = _first_value(row, names)
    if value is None:
        what = f"there is no parse of the {side}" if parses else f'"{names[0]}" is missing'
        raise _BadRow(f"{what}. Expected the {side} in {' or '.join(names)}")
    if not isinstance(value, str):
        raise _BadRow(f"the {side} is not text but {str(value)[:40]}. Expected a sentence")
    if _NOT_DECODED.search(value):
        raise _BadRow(f"the {side} is not UTF-8. Expected UTF-8 text, or name another --encoding")
    if _SURROGATE.search(value):
        raise _BadRow(f"the {side} holds half of a surrogate pair, which is no character")
    if "\0" in value:
        raise _BadRow(
            f"the {side} holds a NUL byte, so it is not text, or is UTF-16. Name its --encoding"
        )
    text = " ".join(parse_leaves(value)) if parses else value
    if not text.strip():
        raise _BadRow(f"the {side} is empty. Expected a sentence")
    return text


def _first_value(row: dict[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _text_lines(file: IO[bytes], source: str, encoding: str) -> Iterator[str]:
    """Yield lines with their line feeds; bytes that are not in the encoding become lone surrogates."""
    try:
        name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
        decoded = io.TextIOWrapper(file, name, errors="surrogateescape", newline="\n")
    except LookupError:  # unknown, or not of text
        raise UserError(f"--encoding is {encoding}, which is not known. Try utf-8.") from None
    with decoded as text:
        try:
            yield from text
        except UnicodeError as error:
            raise UserError(
                f"{source}: is not {encoding} ({getattr(error, 'reason', error)})."
            ) from None


def _cells(line: str, separator: str) -> list[str]:
    """Return the cells of a header; none where it cannot be read."""
    text = line.rstrip("\r\n")
    if separator == "\t" and "\r" not in text:
        return [cell.strip() for cell in text.split(separator)]
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=separator), [])]
    except csv.Error:  # a carriage return alone, or a line longer than a header ever is
        return []


def _padded(line: str, width: int) -> str:
    text = line.rstrip("\r\n")
    return text + "\t" * (width - 1 - text.count("\t")) + "\n" if text else line


def _listed(path: Path) -> list[Source]:
    """Return the files of a folder or zip, without hidden ones and what desktops leave there (`Icon` in SNLI's zip)."""
    if path.is_dir():
        files = sorted(entry for entry in path.rglob("*") if entry.is_file())
        return [Source(entry) for entry in files if _is_visible(entry.relative_to(path).parts)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
    except _DAMAGED as error:
        raise UserError(f"{path}: cannot be read ({error}). Get the file again.") from None
    return [
        Source(path, name)
        for name in names
        if not name.endswith("/") and _is_visible(Path(name).parts)
    ]


def _is_visible(parts: tuple[str, ...]) -> bool:
    """Whether a file belongs to the data, unlike those in `.ipynb_checkpoints`."""
    return not is_junk(parts) and not any(part.startswith(".") for part in parts)


def _split_of(source: Source) -> str | None:
    stem = Path(source.member or source.path.name).name.lower()
    words = re.split(r"[^a-z]+", stem)
    for split, names in SPLIT_WORDS.items():
        if any(name in words for name in names):
            return f"{split}_mismatched" if "mismatched" in words else split
    return None
