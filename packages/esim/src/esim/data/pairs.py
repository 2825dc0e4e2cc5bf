"""Pairs of sentences in files: SNLI's and MultiNLI's own, JSON lines, tab-separated; plain, .gz, or inside a zip.

A line that cannot be read is named with its number. Pairs without a gold label (`-`: the annotators did not agree) are
left out and counted, as is usual: of SNLI's 550,152 training lines 549,367 stay.
"""

from __future__ import annotations

import gzip
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from esim.data.labels import LABELS
from shared.data.archives import is_junk
from shared.errors import UserError

SUFFIXES = (".jsonl", ".txt", ".tsv")
"""Endings of files with pairs; a split that has several is read from the first of these."""
SPLIT_WORDS = {"train": ("train",), "dev": ("dev", "valid", "validation", "val"), "test": ("test",)}
NO_LABEL = ("-", "", "-1", "hidden")
"""Labels of pairs without a gold label: annotators did not agree, or the label is not published."""

_KEYS = {
    "label": ("gold_label", "label"),
    "premise": ("sentence1", "premise"),
    "hypothesis": ("sentence2", "hypothesis"),
}
_PARSES = ("_binary_parse", "_parse")
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Source:
    """A file, or a member of a zip."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}/{self.member}" if self.member else str(self.path)

    @property
    def suffix(self) -> str:
        """Suffix of the file name, without .gz."""
        return Path((self.member or self.path.name).removesuffix(".gz")).suffix

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it for reading; errors name the file.

        Raises
        ------
        UserError
            There is no such file, or it is damaged; raised in the `with` block too.
        """
        try:
            if self.member is not None:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                    yield file
            elif self.path.suffix == ".gz":
                with gzip.open(self.path) as gz:
                    yield gz  # type: ignore[misc]
            else:
                with self.path.open("rb") as file:
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
        Positions in `LABELS`; -1 where there is none (only if `needs_label` is False).
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
        Keys from train, dev, test; `dev_mismatched` beside MultiNLI's `dev`; `all` where the name does not say.

    Raises
    ------
    UserError
        There is no such file, or a split has several of them.
    """
    if path.is_file() and path.suffix != ".zip":
        return {"all": Source(path)}
    sources = [source for source in _listed(path) if source.suffix in SUFFIXES]
    splits: dict[str, Source] = {}
    for suffix in SUFFIXES:
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
            f"{', '.join(SUFFIXES)}, as snli_1.0_train.jsonl."
        )
    return splits


def read_pairs(
    source: Source, *, on_bad_line: str = "error", parses: bool = False, needs_label: bool = True
) -> PairTexts:
    """Read the pairs of a file.

    Parameters
    ----------
    source : Source
    on_bad_line : {"error", "skip"}
    parses : bool
        Take the words from the parses in SNLI and MultiNLI, not from the sentences.
    needs_label : bool
        False: pairs without a label are kept, with -1.

    Raises
    ------
    UserError
        Naming file and line: no JSON, a part is missing, the label is unknown, a sentence has no words.
    """
    pairs = PairTexts()
    with source.open() as file:
        rows = _json_rows(file) if source.suffix == ".jsonl" else _table_rows(file)
        for number, row, problem in rows:
            if problem is None:
                try:
                    label = _label(row, needs_label)
                    premise, hypothesis = (_sentence(row, side, parses) for side in _SIDES)
                except _Bad as error:
                    problem = str(error)
            if problem is not None:
                if on_bad_line == "error":
                    raise UserError(
                        f"{source}:{number}: {problem} Mend the line, or skip such lines with --on-bad-line skip."
                    )
                pairs.bad += 1
                continue
            if label is None:
                pairs.unlabeled += 1
                continue
            pairs.premises.append(premise)
            pairs.hypotheses.append(hypothesis)
            pairs.labels.append(label)
    return pairs


def parse_leaves(parse: str) -> list[str]:
    """Return the words of a bracketed parse, binary or labelled: `(ROOT (NP (DT A) (NN man)))` -> `A man`."""
    if "(" not in parse:
        return parse.split()
    if re.search(r"\([^\s()]", parse):  # labels stand right behind brackets
        return re.findall(r"([^\s()]+)\s*\)", parse)
    return [word for word in parse.split() if word not in "()"]


_SIDES = ("premise", "hypothesis")


class _Bad(Exception):
    """What is wrong with a line."""


def _label(row: dict[str, Any], needs_label: bool) -> int | None:
    value = _value(row, "label")
    if value is None:
        if needs_label:
            raise _Bad(f'"gold_label" is missing. Expected {", ".join(LABELS)} or "-".')
        return -1
    text = str(value).strip().lower()
    if text in NO_LABEL:
        return None if needs_label else -1
    if text in LABELS:
        return LABELS.index(text)
    if text in ("0", "1", "2"):  # the order of the Hugging Face copies
        return int(text)
    raise _Bad(f'the label is "{str(value)[:40]}". Expected {", ".join(LABELS)} or "-".')


def _sentence(row: dict[str, Any], side: str, parses: bool) -> str:
    if parses:
        for name in _KEYS[side]:
            for ending in _PARSES:
                if isinstance(row.get(name + ending), str):
                    words = parse_leaves(row[name + ending])
                    if words:
                        return " ".join(words)
        raise _Bad(f"there is no parse of the {side}. Expected {_KEYS[side][0]}_binary_parse.")
    value = _value(row, side)
    if value is None:
        raise _Bad(f'"{_KEYS[side][0]}" is missing. Expected the {side}.')
    if not isinstance(value, str):
        raise _Bad(f"the {side} is no text. Expected a sentence.")
    if not value.strip():
        raise _Bad(f"the {side} is empty. Expected a sentence.")
    return value


def _value(row: dict[str, Any], part: str) -> Any:
    for name in _KEYS[part]:
        if row.get(name) is not None:
            return row[name]
    return None


def _json_rows(file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    for number, line, problem in _lines(file):
        if problem is None and not line.strip():
            continue
        row: Any = None
        if problem is None:
            try:
                row = json.loads(line)
                if "\\u" in line:  # half of a surrogate pair cannot be written
                    json.dumps(row, ensure_ascii=False).encode()
            except (ValueError, RecursionError):
                problem = "is not JSON. Expected one object with gold_label, sentence1, sentence2."
            else:
                if not isinstance(row, dict):
                    problem = "is no JSON object. Expected gold_label, sentence1, sentence2 in one."
        yield number, row if isinstance(row, dict) else {}, problem


def _table_rows(file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """Tab-separated columns, with SNLI's header or as label, premise, hypothesis."""
    header: Sequence[str] | None = None
    for number, line, problem in _lines(file):
        if problem is None and not line.strip():
            continue
        cells = line.split("\t")
        if header is None:
            names = [cell.strip() for cell in cells]
            if any(name in names for name in _KEYS["premise"]):
                header = names
                continue
            header = ("label", "premise", "hypothesis")
        if problem is None and len(cells) < min(3, len(header)):
            problem = (
                f"has {len(cells)} columns. Expected {len(header)}, separated by tabs: a header with "
                "gold_label, sentence1, sentence2, or label, premise, hypothesis."
            )
        yield number, dict(zip(header, cells, strict=False)), problem


def _lines(file: IO[bytes]) -> Iterator[tuple[int, str, str | None]]:
    for number, raw in enumerate(file, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield number, "", f"is not UTF-8 ({error.reason}). Expected UTF-8 text."
            continue
        problem = "holds a NUL byte, so it is no text." if "\0" in line else None
        yield number, line, problem


def _listed(path: Path) -> list[Source]:
    """Return all files of a folder or zip, without what desktops leave there (in SNLI's zip `Icon` and a line end)."""
    if path.is_dir():
        files = sorted(entry for entry in path.rglob("*") if entry.is_file())
        return [Source(entry) for entry in files if not is_junk(entry.relative_to(path).parts)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
    except _DAMAGED as error:
        raise UserError(f"{path}: cannot be read ({error}). Get the file again.") from None
    return [
        Source(path, name)
        for name in names
        if not name.endswith("/") and not is_junk(tuple(Path(name).parts))
    ]


def _split_of(source: Source) -> str | None:
    stem = Path(source.member or source.path.name).name.lower()
    words = re.split(r"[^a-z]+", stem)
    for split, names in SPLIT_WORDS.items():
        if any(name in words for name in names):
            return f"{split}_mismatched" if "mismatched" in words else split
    return None
