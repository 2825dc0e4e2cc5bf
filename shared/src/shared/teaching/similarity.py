"""Which submissions look alike: winnowed fingerprints of their tokens, the handout's own code left out.

References
----------
Schleimer, Wilkerson, Aiken 2003, "Winnowing: Local Algorithms for Document Fingerprinting".
"""

from __future__ import annotations

import io
import keyword
import tokenize
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

_GRAM, _WINDOW = 12, 6
"""Tokens that are hashed together, and neighboring hashes of which the smallest is a fingerprint: k and w of the paper.
What two files have in common over 17 tokens (k + w - 1) or more always shows."""
_LEAST_SIMILARITY = 0.6
"""Pairs below it are not listed."""
_MOST_PAIRS = 50
_SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
}


@dataclass(frozen=True)
class Pair:
    """Two submissions and the fraction of the smaller one's fingerprints that both have."""

    first: str
    second: str
    similarity: float


def similar_pairs(
    codes: Mapping[str, str],
    *,
    known: str = "",
    published: Mapping[str, str] | None = None,
) -> list[Pair]:
    """Return the pairs that look most alike, most alike first.

    Parameters
    ----------
    codes : mapping
        Code by student.
    known : str
        Code that everyone has: the handout.
    published : mapping, optional
        Code by name that submissions are compared with and that is none of them: the solution.
    """
    common = fingerprints(known)
    everything = {**codes, **(published or {})}
    prints = {name: fingerprints(code) - common for name, code in everything.items()}
    # Equal submissions count once: many copies of one file are no sign of how the assignment is done.
    distinct = {frozenset(prints[name]) for name in codes}
    frequent = Counter(mark for marks in distinct for mark in marks)
    limit = max(3, len(codes) // 5)
    # What most of the class has is how the assignment is done, not how one copies.
    kept = {
        name: {mark for mark in marks if frequent[mark] <= limit} for name, marks in prints.items()
    }
    holders = defaultdict(list)
    for name, marks in kept.items():
        for mark in marks:
            holders[mark].append(name)
    shared: Counter[tuple[str, str]] = Counter()
    for names in holders.values():
        shared.update(combinations(sorted(names), 2))
    pairs = [
        Pair(first, second, count / min(len(kept[first]), len(kept[second])))
        for (first, second), count in shared.items()
        if min(len(kept[first]), len(kept[second])) >= 4
    ]
    chosen = [pair for pair in pairs if pair.similarity >= _LEAST_SIMILARITY]
    chosen.sort(key=lambda pair: (-pair.similarity, pair.first, pair.second))
    return chosen[:_MOST_PAIRS]


def fingerprints(code: str) -> set[int]:
    """Return the winnowed hashes of a file's tokens; names and numbers count by their sort alone."""
    tokens = _tokens(code)
    grams = [
        zlib.crc32(" ".join(tokens[i : i + _GRAM]).encode())
        for i in range(max(0, len(tokens) - _GRAM + 1))
    ]
    if len(grams) <= _WINDOW:
        return set(grams)
    return {min(grams[i : i + _WINDOW]) for i in range(len(grams) - _WINDOW + 1)}


def _tokens(code: str) -> list[str]:
    words = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type in _SKIPPED:
                continue
            if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
                words.append("name")
            elif token.type in (tokenize.NUMBER, tokenize.STRING):
                words.append("value")
            else:
                words.append(token.string)
    except (tokenize.TokenError, IndentationError, SyntaxError):
        pass  # what was read so far still counts
    return words
