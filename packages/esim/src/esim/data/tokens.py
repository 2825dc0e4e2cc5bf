"""The tokens of a file of pairs, kept in a cache, because tokenizing SNLI takes longer than reading the tokens.

A cached file is plain text beside the data sets, `<data root>/tokens/<key>.txt`: a line of facts, then label, premise
and hypothesis a line. Its name is the checksum of everything the tokens depend on: the file, the settings, the version
of NLTK, and the code of the reader and of the tokenizers itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from esim.config import Columns
from esim.data import pairs as reader
from esim.data.pairs import Labels, PairTexts, Source, read_pairs
from shared.data import tables
from shared.data.datasets import data_root
from shared.errors import UserError
from shared.files import whole_file
from shared.runs.run_directory import versions
from shared.text import tokenizers
from shared.text.tokenizers import tokenizer

FORMAT = 2
WORTH_CACHING = 1 << 20
"""Bytes of a file from which on its tokens are cached."""

Tokens = tuple[str, ...]


@dataclass(frozen=True)
class TokenPairs:
    """The pairs of a file as tokens.

    Parameters
    ----------
    premises, hypotheses : list of tuples of str (N,)
    labels : list of int (N,)
    unlabeled, bad : int
        Lines left out.
    """

    premises: list[Tokens]
    hypotheses: list[Tokens]
    labels: list[int]
    unlabeled: int
    bad: int


def split_with(name: str) -> tuple[Callable[[str], list[str]], bool]:
    """Return the function behind `--tokenizer`, and whether it takes parses."""
    if name == "parse":
        return tokenizer("space"), True
    if name == "parse_lower":
        return lambda text: text.lower().split(), True
    return tokenizer(name), False


def split_typed(name: str) -> Callable[[str], list[str]]:
    """Return the function behind `--tokenizer` for sentences that somebody types, which have no parse."""
    return tokenizer({"parse": "nltk", "parse_lower": "nltk_lower"}.get(name, name))


def with_tokens(
    texts: PairTexts, split: Callable[[str], Sequence[str]], source: Source, on_bad_line: str
) -> list[int]:
    """Return the numbers of the pairs whose sentences both have tokens.

    Raises
    ------
    UserError
        A sentence has none, and such lines are not to be skipped.
    """
    kept = []
    for number, pair in enumerate(zip(texts.premises, texts.hypotheses, strict=True)):
        empty = [text for text in pair if not split(text)]
        if empty and on_bad_line == "error":
            raise UserError(
                f"{source}: {empty[0][:40]!r} has no tokens. Mend or delete the pair, or skip such lines with "
                "--on-bad-line skip."
            )
        if not empty:
            kept.append(number)
    return kept


def token_pairs(
    source: Source,
    tokenizer_name: str,
    columns: Columns | None = None,
    *,
    on_bad_line: str = "error",
    labels: Labels = "required",
    is_cached: bool = True,
) -> TokenPairs:
    """Read the pairs of a file and tokenize their sentences, or read the cached tokens.

    Parameters
    ----------
    source : Source
    tokenizer_name : str
        Value of `--tokenizer`.
    columns : Columns, optional
    on_bad_line : {"error", "skip"}
    labels : {"required", "optional", "ignored"}
        As for `read_pairs`.
    is_cached : bool
        Read and write the cache; files below `WORTH_CACHING` bytes are not cached.

    Raises
    ------
    UserError
        As `read_pairs`; also a sentence without tokens.
    """
    columns = columns or Columns()
    path = None
    if is_cached:
        path = _cache_path(source, (tokenizer_name, on_bad_line, labels, repr(columns_of(columns))))
    if path is not None and path.exists():
        cached = _read(path)
        if cached is not None:
            return cached
    split, parses = split_with(tokenizer_name)
    texts = read_pairs(source, columns, on_bad_line=on_bad_line, parses=parses, labels=labels)

    @cache  # SNLI has each premise three times
    def tokens(text: str) -> Tokens:
        return tuple(split(text))

    kept = with_tokens(texts, tokens, source, on_bad_line)
    pairs = TokenPairs(
        [tokens(texts.premises[i]) for i in kept],
        [tokens(texts.hypotheses[i]) for i in kept],
        [texts.labels[i] for i in kept],
        texts.unlabeled,
        texts.bad + len(texts) - len(kept),
    )
    if path is not None:
        _write(path, pairs)
    return pairs


def _cache_path(source: Source, settings: tuple[str, ...]) -> Path | None:
    digest = hashlib.sha256(repr((FORMAT, settings, _code())).encode())
    with source.open() as file:
        size = 0
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    if size < WORTH_CACHING:
        return None
    return data_root() / "tokens" / f"{digest.hexdigest()[:32]}.txt"


def columns_of(columns: Columns) -> list[Any]:
    """Return the settings of the columns alone: a whole TrainConfig may stand in for them."""
    return [getattr(columns, item.name) for item in fields(Columns)]


@cache
def _code() -> tuple[str, ...]:
    """Return what the tokens depend on beside the file: an edit of it must not meet the tokens of before."""
    sources = [Path(str(module.__file__)).read_bytes() for module in (reader, tables, tokenizers)]
    checksums = [hashlib.sha256(source).hexdigest() for source in sources]
    return (*checksums, versions(("nltk",)).get("nltk", ""))


def _write(path: Path, pairs: TokenPairs) -> None:
    facts = {"pairs": len(pairs.labels), "unlabeled": pairs.unlabeled, "bad": pairs.bad}
    try:
        with whole_file(path) as file:
            file.write(json.dumps(facts) + "\n")
            for label, a, b in zip(pairs.labels, pairs.premises, pairs.hypotheses, strict=True):
                file.write(f"{label}\t{' '.join(a)}\t{' '.join(b)}\n")
    except OSError:
        return  # a cache that cannot be written is no reason to stop


def _read(path: Path) -> TokenPairs | None:
    """Return the cached tokens, or None where the file is damaged."""
    premises, hypotheses, labels = [], [], []
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            facts = json.loads(file.readline())
            for line in file:
                label, a, b = line[:-1].split("\t")
                labels.append(int(label))
                premises.append(tuple(a.split(" ")))
                hypotheses.append(tuple(b.split(" ")))
        if len(labels) != facts["pairs"]:
            return None
        return TokenPairs(premises, hypotheses, labels, facts["unlabeled"], facts["bad"])
    except (OSError, ValueError, KeyError):
        return None
