"""From a review to the ids that a network reads.

N counts reviews, T tokens of one. Ids of `WordCodec` are places in a `Vocabulary`, those of an encoder its own.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig
from shared.text.tokenizers import tokenizer
from shared.text.vocabulary import Vocabulary

PAD, UNKNOWN = "<pad>", "<unk>"
SPECIALS = (PAD, UNKNOWN)
HEAD_SHARE = 4
"""head_tail keeps the first 1 / HEAD_SHARE from the beginning (128 of 510 in Sun et al. 2019, arXiv 1905.05583)."""

Ids = NDArray[np.int32]
Tokenize = Callable[[str], list[str]]

_BREAK = re.compile(r"<\s*br\s*/?\s*>", re.IGNORECASE)
# Words with their apostrophes ("don't"), runs of ! and ?, dots, and other marks one by one.
_MARKS = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]+|\.\.+|[^\w\s]")
_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ALPHANUMERIC = re.compile(r"[^\W_]+")


def mark_tokens(text: str) -> list[str]:
    """Split a review into lower-case words and punctuation marks; HTML breaks are removed.

    Marks carry opinion ("good?!", "so-called"), and "not good ." and "not . good" are different runs of three.
    """
    return _MARKS.findall(_BREAK.sub(" ", text).lower())


def tokenize_with(name: str) -> Tokenize:
    """Return the tokenizer of that name: one of `shared.text.tokenizers`, or `marks`."""
    return mark_tokens if name == "marks" else tokenizer(name)


def blank_breaks(text: str) -> str:
    """Return a review with spaces in place of its HTML breaks; every other character stays where it was."""
    return _BREAK.sub(lambda match: " " * len(match[0]), text)


def word_places(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of every word of a text, HTML breaks not among them: what can be taken out of it."""
    return [match.span() for match in _WORDS.finditer(blank_breaks(text))]


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
    head = size // HEAD_SHARE if how == "head_tail" else 0
    return np.concatenate([ids[:head], ids[len(ids) - (size - head) :]])


class Codec(ABC):
    """Turns reviews into ids."""

    size: int
    """Number of different ids."""
    pad_id: int
    unknown_id: int

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each review, truncated, at least one."""

    @abstractmethod
    def places(self, text: str) -> list[tuple[int, int]] | None:
        """Return (start, end) in the text of each id of `encode([text])`; None where that cannot be told."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `load` needs."""


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
        """Count the words of the training reviews, and of no others."""
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

    def places(self, text: str) -> list[tuple[int, int]] | None:
        """Return (start, end) of each id; None for tokenizers that do not tell where their tokens were."""
        pattern = {"marks": _MARKS, "review": _ALPHANUMERIC}.get(self.config.tokenizer)
        if pattern is None:
            return None
        plain = blank_breaks(text)
        spans = [match.span() for match in pattern.finditer(plain.lower())]
        # A few letters change their number in lower case, and then all places behind them are wrong.
        if len(plain.lower()) != len(plain) or len(spans) != len(self._tokenize(text)):
            return None
        if not spans:
            return [(0, 0)]
        keep = truncate(
            np.arange(len(spans), dtype=np.int32), self.config.max_tokens, self.config.truncation
        )
        return [spans[place] for place in keep.tolist()]

    def save(self, folder: Path) -> None:
        """Write the vocabulary."""
        self.vocabulary.save(folder / self.FILE)

    def _encode(self, tokens: list[str]) -> Ids:
        ids = self.vocabulary.ids(tokens or [UNKNOWN])
        return truncate(ids, self.config.max_tokens, self.config.truncation)
