"""The tokens of a file of pairs, kept in a cache, because splitting SNLI's sentences takes longer than reading them.

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
"""Bytes of a file from which on its tokens are kept."""

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
    """Return the function behind `--tokenizer`, and whether it is given parses."""
    if name == "parse":
        return tokenizer("space"), True
    if name == "parse_lower":
        return lambda text: text.lower().split(), True
    return tokenizer(name), False


def token_pairs(
    source: Source, tokenizer_name: str, *, on_bad_line: str = "error", is_cached: bool = True
) -> TokenPairs:
    """Read the pairs of a file and split their sentences, or read what was kept of that.

    Parameters
    ----------
    source : Source
    tokenizer_name : str
        As `split_with` takes it.
    on_bad_line : {"error", "skip"}
    is_cached : bool
        Keep the tokens of a file of `WORTH_CACHING` bytes or more, and read them where they were kept before.

    Raises
    ------
    UserError
        As `read_pairs`; also a sentence in which the tokenizer finds nothing.
    """
    path = _cache_path(source, tokenizer_name, on_bad_line) if is_cached else None
    if path is not None and path.exists():
        kept = _read(path)
        if kept is not None:
            return kept
    split, parses = split_with(tokenizer_name)
    texts = read_pairs(source, on_bad_line=on_bad_line, parses=parses)

    @cache  # SNLI has each premise three times
    def tokens(text: str) -> Tokens:
        return tuple(split(text))

    found = TokenPairs(
        [tokens(text) for text in texts.premises],
        [tokens(text) for text in texts.hypotheses],
        texts.labels,
        texts.unlabeled,
        texts.bad,
    )
    for sentences, raw in ((found.premises, texts.premises), (found.hypotheses, texts.hypotheses)):
        for sentence, text in zip(sentences, raw, strict=True):
            if not sentence:
                raise UserError(
                    f"{source}: the tokenizer finds no word in {text[:40]!r}. Mend or delete the pair."
                )
    if path is not None:
        _write(path, found)
    return found


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
    found = versions(("nltk",))
    return [found.get(name, "") for name in ("nltk", "dltasks-shared")]


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
    """Return what was kept, or None where the file is not whole."""
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
