"""The tokens of a file of pairs, kept in a cache, because tokenizing SNLI takes longer than reading the tokens.

A cached file is plain text beside the data sets, `<data root>/tokens/<key>.txt`: a line of facts, then label, premise
and hypothesis a line. Its name is the checksum of the source's content, the tokenizer, its version and this format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import esim
from esim.data.pairs import Source, read_pairs
from shared.data.datasets import data_root
from shared.errors import UserError
from shared.files import whole_file
from shared.runs.run_directory import versions
from shared.text.tokenizers import tokenizer

FORMAT = 1
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


def token_pairs(
    source: Source, tokenizer_name: str, *, on_bad_line: str = "error", is_cached: bool = True
) -> TokenPairs:
    """Read the pairs of a file and tokenize their sentences, or read the cached tokens.

    Parameters
    ----------
    source : Source
    tokenizer_name : str
        Value of `--tokenizer`.
    on_bad_line : {"error", "skip"}
    is_cached : bool
        Read and write the cache; files below `WORTH_CACHING` bytes are not cached.

    Raises
    ------
    UserError
        As `read_pairs`; also a sentence without tokens.
    """
    path = _cache_path(source, tokenizer_name, on_bad_line) if is_cached else None
    if path is not None and path.exists():
        cached = _read(path)
        if cached is not None:
            return cached
    split, parses = split_with(tokenizer_name)
    texts = read_pairs(source, on_bad_line=on_bad_line, parses=parses)

    @cache  # SNLI has each premise three times
    def tokens(text: str) -> Tokens:
        return tuple(split(text))

    pairs = TokenPairs(
        [tokens(text) for text in texts.premises],
        [tokens(text) for text in texts.hypotheses],
        texts.labels,
        texts.unlabeled,
        texts.bad,
    )
    for sentences, raw in ((pairs.premises, texts.premises), (pairs.hypotheses, texts.hypotheses)):
        for sentence, text in zip(sentences, raw, strict=True):
            if not sentence:
                raise UserError(f"{source}: {text[:40]!r} has no tokens. Mend or delete the pair.")
    if path is not None:
        _write(path, pairs)
    return pairs


def _cache_path(source: Source, tokenizer_name: str, on_bad_line: str) -> Path | None:
    with source.open() as file:
        digest = hashlib.sha256(
            f"{FORMAT} {tokenizer_name} {on_bad_line} {esim.__version__} {_tokenizer_versions()}".encode()
        )
        size = 0
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    if size < WORTH_CACHING:
        return None
    return data_root() / "tokens" / f"{digest.hexdigest()[:32]}.txt"


def _tokenizer_versions() -> list[str]:
    installed = versions(("nltk",))
    return [installed.get(name, "") for name in ("nltk", "dltasks-shared")]


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
