"""Stems of words (Porter 1980): which words match, and which known word stands in for an unknown one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from shared.text.vocabulary import Vocabulary

UNKNOWN_ID = 0
_SPELLINGS = 1 << 24

Encode = Callable[[Sequence[str]], NDArray[np.int32]]


def stem_ids(words: Sequence[str]) -> list[int]:
    """Return a number for each word, the same for words with the same stem, counted from 0 in their order."""
    return [number for number, _ in _numbered(words)]


def ids_by_stem(vocabulary: Vocabulary) -> Encode:
    """Return a function from tokens to ids that tells unknown words apart.

    With V words in the vocabulary, a known word has its id, below V. An unknown word whose stem a known word has too is
    V plus the stem's number; any other is 2 V plus a hash of its stem. `<unk>` that a text has itself stays 0.
    """
    from nltk.stem import PorterStemmer

    stem = PorterStemmer().stem
    size = len(vocabulary)
    numbers = {name: number for number, name in reversed(_numbered(vocabulary.tokens))}
    ids: dict[str, int] = {}

    def of_unknown(word: str) -> int:
        if word not in ids:
            name = stem(word)
            number = numbers.get(name)
            if number is None:
                number = size + crc32(name.encode("utf-8", "surrogatepass")) % _SPELLINGS
            # The first stem is that of `<unk>`, which a text may have itself.
            ids[word] = size + number if number else UNKNOWN_ID
        return ids[word]

    def encode(tokens: Sequence[str]) -> NDArray[np.int32]:
        encoded = vocabulary.ids(tokens)
        for position in np.flatnonzero(encoded == UNKNOWN_ID).tolist():
            encoded[position] = of_unknown(tokens[position])
        return encoded

    return encode


def _numbered(words: Sequence[str]) -> list[tuple[int, str]]:
    """Return number and stem of each word."""
    from nltk.stem import PorterStemmer

    stem = PorterStemmer().stem
    numbers: dict[str, int] = {}
    return [(numbers.setdefault(name, len(numbers)), name) for name in map(stem, words)]
