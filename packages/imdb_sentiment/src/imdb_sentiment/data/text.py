"""From a review to the token ids that a network reads.

N counts reviews, T tokens of one. Ids of `WordCodec` are those of a `Vocabulary`, those of an encoder its tokenizer's.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import regex
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig
from shared.text.tokenizers import tokenizer
from shared.text.vocabulary import Vocabulary

PAD, UNKNOWN = "<pad>", "<unk>"
SPECIALS = (PAD, UNKNOWN)
HEAD_DIVISOR = 4
"""head_tail keeps size / HEAD_DIVISOR tokens of the head (128 of 510 in Sun et al. 2019, arXiv 1905.05583)."""

Ids = NDArray[np.int32]
Span = tuple[int, int]
Tokenize = Callable[[str], list[str]]

BREAK = r"<\s*[bB][rR]\s*/?\s*>"
"""Pattern of an HTML break, for any regular expressions."""

_BREAK = re.compile(BREAK)
# Words with their apostrophes ("don't"), sequences of ! and ?, dots, and other marks one by one.
_MARKS = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]+|\.\.+|[^\w\s]")
_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ALPHANUMERIC = re.compile(r"[^\W_]+")
# The same for other scripts: combining marks belong to their letters, and Chinese and Japanese, which have no spaces
# between words, become characters, so that n-grams are character n-grams.
_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
_WIDE_WORD = rf"[[\p{{Alphabetic}}\p{{N}}]--[{_CJK}]][[\w\p{{N}}]--[_{_CJK}]]*"
_WIDE_WORDS = regex.compile(rf"(?V1)[{_CJK}]|{_WIDE_WORD}(?:'{_WIDE_WORD})*")
_WIDE_MARKS = regex.compile(rf"(?V1)[{_CJK}]|{_WIDE_WORD}(?:'{_WIDE_WORD})*|[!?]+|\.\.+|[^\w\s]")
# One character for one, so that spans stay right.
_ASCII_MARKS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u2032\u00b4\uff07", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d", "-"),
        **dict(zip("\uff01\uff1f\uff0c\uff0e", "!?,.", strict=True)),
    }
)
_ELLIPSIS = "\u2026"


def plain_marks(text: str) -> str:
    """Return a text with composed letters (NFC) and ASCII quotes, dashes, `!`, `?`, comma and period.

    Word processors write ``don\u2019t`` for ``don't``: the same word, and one that a model must not miss.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text).translate(_ASCII_MARKS)


def mark_tokens(text: str) -> list[str]:
    """Split a review into lower-case words and punctuation marks; HTML breaks are removed.

    Marks carry opinion ("good?!", "so-called"), and "not good ." and "not . good" are different trigrams. Chinese and
    Japanese are split into characters.
    """
    pattern = _MARKS if text.isascii() else _WIDE_MARKS
    tokens: list[str] = pattern.findall(_BREAK.sub(" ", text).lower())
    return ["..." if t == _ELLIPSIS else t for t in tokens] if _ELLIPSIS in text else tokens


def tokenize_with(name: str) -> Tokenize:
    """Return the tokenizer of that name, `marks` or one of `shared.text.tokenizers`, behind `plain_marks`."""
    split = mark_tokens if name == "marks" else tokenizer(name)
    return lambda text: split(plain_marks(text))


def blank_breaks(text: str) -> str:
    """Return a review with spaces in place of its HTML breaks; every other character keeps its position."""
    return _BREAK.sub(lambda match: " " * len(match[0]), text)


def word_spans(text: str) -> list[Span]:
    """Return (start, end) of every word of a text, HTML breaks not among them: what occlusion removes."""
    pattern = _WORDS if text.isascii() else _WIDE_WORDS
    return [match.span() for match in pattern.finditer(blank_breaks(text).translate(_ASCII_MARKS))]


def truncate(ids: Ids, size: int, how: str) -> Ids:
    """Return at most `size` ids of a review (T,).

    Parameters
    ----------
    ids : int array (T,)
    size : int
    how : {"head", "tail", "head_tail"}
    """
    if len(ids) <= size:
        return ids
    if how == "head":
        return ids[:size]
    head = size // HEAD_DIVISOR if how == "head_tail" else 0
    return np.concatenate([ids[:head], ids[len(ids) - (size - head) :]])


class Codec(ABC):
    """Turns reviews into token ids."""

    size: int
    """Number of different ids, V."""
    pad_id: int
    unknown_id: int

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each review, truncated, at least one."""

    @abstractmethod
    def spans(self, text: str) -> list[Span] | None:
        """Return (start, end) in the text of each id of `encode([text])`; None where that is not known."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the files that `load` reads."""


class WordCodec(Codec):
    """Ids of whole words.

    Parameters
    ----------
    config : TrainConfig
    vocabulary : Vocabulary
        Begins with `SPECIALS`.
    """

    FILE = "vocab.txt"

    def __init__(self, config: TrainConfig, vocabulary: Vocabulary) -> None:
        self.config, self.vocabulary = config, vocabulary
        self.size = len(vocabulary)
        self.pad_id, self.unknown_id = vocabulary.id(PAD), vocabulary.id(UNKNOWN)
        self._tokenize = tokenize_with(config.tokenizer)

    @classmethod
    def build(cls, config: TrainConfig, texts: Sequence[str]) -> WordCodec:
        """Make the vocabulary of the training reviews, and of no others."""
        tokenize = tokenize_with(config.tokenizer)
        vocabulary = Vocabulary.build(
            (token for text in texts for token in tokenize(text)),
            max_size=config.max_vocab_size,
            min_count=config.min_count,
            specials=SPECIALS,
        )
        return cls(config, vocabulary)

    @classmethod
    def load(cls, config: TrainConfig, folder: Path) -> WordCodec:
        """Read what `save` wrote."""
        return cls(config, Vocabulary.load(folder / cls.FILE))

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each review; one without any word is a single `<unk>`."""
        return [self._encode(self._tokenize(text)) for text in texts]

    def whole(self, texts: Sequence[str]) -> Callable[[], list[Ids]]:
        """Return what encodes whole reviews, not only what the network will read of them, when it is first asked."""
        codec = WordCodec(replace(self.config, max_tokens=sys.maxsize), self.vocabulary)
        return cache(lambda: codec.encode(texts))

    def spans(self, text: str) -> list[Span] | None:
        """Return (start, end) of each id; None for tokenizers whose tokens have no known position."""
        marks = _MARKS if text.isascii() else _WIDE_MARKS
        pattern = {"marks": marks, "review": _ALPHANUMERIC}.get(self.config.tokenizer)
        if pattern is None:
            return None
        plain = plain_marks(blank_breaks(text)).lower()
        spans = [match.span() for match in pattern.finditer(plain)]
        # Composed letters and a few lower-case ones are fewer or more characters; then all positions behind are wrong.
        if len(plain) != len(text) or len(spans) != len(self._tokenize(text)):
            return None
        if not spans:
            return [(0, 0)]
        keep = truncate(
            np.arange(len(spans), dtype=np.int32), self.config.max_tokens, self.config.truncation
        )
        return [spans[position] for position in keep.tolist()]

    def save(self, folder: Path) -> None:
        """Write the vocabulary."""
        self.vocabulary.save(folder / self.FILE)

    def _encode(self, tokens: list[str]) -> Ids:
        ids = self.vocabulary.ids(tokens or [UNKNOWN])
        return truncate(ids, self.config.max_tokens, self.config.truncation)
