"""What torchtext 0.6's `Field`, `Vocab` and `BucketIterator` do, with our parts and without torchtext.

Shapes: N examples, B examples in a batch, T time in tokens.

For models and figures of old notebooks: the same ids, padding and batches. `shared.torchtext.adapter` moves a
notebook's objects to these.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.text.batching import pad
from shared.text.tokenizers import space_tokens
from shared.text.vocabulary import Vocabulary

_POOL = 100  # batches that BucketIterator sorts together

# The double quote goes first and alone: without it `<br" />` is an HTML break.
_BASIC_ENGLISH = str.maketrans({mark: f" {mark} " for mark in "'.,()!?"} | dict.fromkeys(";:", " "))


def basic_english_tokens(text: str) -> list[str]:
    """Split as torchtext's tokenizer "basic_english" does.

    Lower case; ``' . , ( ) ! ?`` are tokens, ``; :`` and ``<br />`` separate, ``"`` is dropped. What is left is split
    at white space.
    """
    text = text.lower().replace('"', "").replace("<br />", " ")
    return text.translate(_BASIC_ENGLISH).split()


@dataclass(frozen=True)
class TextField:
    """Settings and methods of a sequential `Field`.

    Its unknown token is the vocabulary's.
    """

    vocabulary: Vocabulary
    tokenize: Callable[[str], Iterable[str]] = space_tokens
    """Maps a text without line feeds at its end to tokens."""
    lower: bool = False
    """Lower the case of tokens."""
    init_token: str | None = None
    """Added before every example."""
    eos_token: str | None = None
    """Added after every example."""
    pad_token: str = "<pad>"
    """Fills what is left of a row."""
    fix_length: int | None = None
    """T, `init_token` and `eos_token` included. None: the longest example of a batch."""
    pad_first: bool = False
    """Padding comes before the example."""
    truncate_first: bool = False
    """Truncate an example longer than `fix_length` at its beginning, not its end."""
    stop_words: frozenset[str] = frozenset()
    """Tokens to leave out, looked for after `lower`."""
    preprocessing: Callable[[list[str]], Sequence[str]] | None = None
    """The last step of `tokens`."""

    def __post_init__(self) -> None:
        least = len(self._framed(["a token"]))
        if self.fix_length is not None and self.fix_length < least:
            raise UserError(
                f"fix_length is {self.fix_length}. Expected {least} or more: one token, and "
                "init_token and eos_token where there are any."
            )

    def tokens(self, text: str | Sequence[str]) -> Sequence[str]:
        """Return the tokens of a text, or of one that is split already: `Field.preprocess`."""
        if isinstance(text, str):
            text = list(self.tokenize(text.rstrip("\n")))
        tokens = [token.lower() for token in text] if self.lower else list(text)
        if self.stop_words:
            tokens = [token for token in tokens if token not in self.stop_words]
        return tokens if self.preprocessing is None else self.preprocessing(tokens)

    def batch(
        self, examples: Sequence[Sequence[str]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Put examples into one array of ids: `Field.process` of a field with `batch_first` and `include_lengths`.

        Parameters
        ----------
        examples : sequence of token sequences (B,)
            As `tokens` returns them.

        Returns
        -------
        ids : int64 array (B, T)
        lengths : int64 array (B,)
            Real tokens of each row, `init_token` and `eos_token` among them.

        Raises
        ------
        KeyError
            A token is not in the vocabulary, and that has no unknown token.
        TypeError
            An example is a str.
        """
        if any(isinstance(example, str) for example in examples):
            raise TypeError("an example is a str, expected its tokens: batch([field.tokens(text)])")
        rows = [self.vocabulary.ids(self._framed(self._cut(example))) for example in examples]
        pad_id = self.vocabulary.id(self.pad_token)
        return pad(rows, pad_id, front=self.pad_first, length=self.fix_length)

    def _framed(self, tokens: Sequence[str]) -> list[str]:
        init = [] if self.init_token is None else [self.init_token]
        eos = [] if self.eos_token is None else [self.eos_token]
        return [*init, *tokens, *eos]

    def _cut(self, tokens: Sequence[str]) -> Sequence[str]:
        if self.fix_length is None:
            return tokens
        room = self.fix_length - len(self._framed([]))  # >= 1, so that -room is not 0
        return tokens[-room:] if self.truncate_first else tokens[:room]


def build_vocabulary(
    tokens: Iterable[str],
    *,
    max_size: int | None = None,
    min_freq: int = 1,
    specials: Sequence[str] = ("<unk>", "<pad>"),
    specials_first: bool = True,
) -> Vocabulary:
    """Count tokens and give them the ids that torchtext's `Vocab` gives.

    Two things differ from `Vocabulary.build`: tokens that are equally frequent are in alphabetical order, and
    `max_size` does not count the specials.

    Parameters
    ----------
    tokens : iterable of str
        The whole text, token by token, as `TextField.tokens` returns them.
    max_size : int or None
        The most tokens to keep, besides the specials, >= 0.
    min_freq : int
        Tokens seen less often are left out; less than 1 is 1.
    specials : sequence of str
        `Field.build_vocab` takes the unknown, padding, init and eos token, in this order. Only `<unk>` stands for
        tokens that are not there.
    specials_first : bool
        The specials have the first ids, else the last.

    Raises
    ------
    ValueError
        `max_size` < 0, or a special is repeated.
    """
    if len(set(specials)) != len(specials) or (max_size or 0) < 0:
        raise ValueError(f"max_size is {max_size}, specials {specials}: below 0 or not unique")
    unknown = "<unk>" if "<unk>" in specials else None
    vocabulary = Vocabulary.from_counts(
        dict(sorted(Counter(tokens).items())),  # its sort by count keeps this order among ties
        max_size=None if max_size is None else max_size + len(specials),
        min_count=max(1, min_freq),
        specials=specials,
        unknown=unknown,
    )
    if specials_first:
        return vocabulary
    order = np.roll(np.arange(len(vocabulary)), -len(specials))
    moved = [vocabulary.tokens[index] for index in order]
    return Vocabulary(moved, vocabulary.counts[order].tolist(), unknown=unknown)


def bucket_iterator_batches(
    keys: Sequence[Any],
    batch_size: int,
    *,
    train: bool = True,
    shuffle: bool | None = None,
    sort: bool | None = None,
    sort_within_batch: bool | None = None,
    rng: random.Random | None = None,
) -> list[NDArray[np.int64]]:
    """Group examples into exactly the batches of one epoch of torchtext's `BucketIterator`.

    To reproduce the figures of an old notebook. New code uses `shared.text.batching.bucketed_batches`, which
    buckets by default; `BucketIterator` in training does so only with `sort_within_batch=True`.

    Parameters
    ----------
    keys : sequence (N,)
        What `sort_key` returns for each example, mostly its length.
    batch_size : int
        B, >= 1. One batch has fewer examples if need be.
    train, shuffle, sort, sort_within_batch
        As in `BucketIterator`, with its defaults: `shuffle` is `train`, `sort` is its opposite, `sort_within_batch` is
        `sort`. With `sort` nothing is shuffled.
    rng : random.Random or None
        Draws the shuffles. An iterator made after `random.seed(7)` has those of `random.Random(7)`, each of its epochs
        those of one more call with the same object.

    Returns
    -------
    list of int64 arrays
        Indices of the examples of each batch, in the iterator's order.

    Raises
    ------
    ValueError
        `batch_size` < 1, or a shuffle has no `rng`.
    """
    shuffle = train if shuffle is None else shuffle
    sort = not train if sort is None else sort
    sort_within_batch = sort if sort_within_batch is None else sort_within_batch
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
    if shuffle and not sort and rng is None:
        raise ValueError("expected rng, which draws the shuffles")
    key = keys.__getitem__
    order = list(range(len(keys)))
    if sort:
        batches = _chunks(sorted(order, key=key), batch_size)
        if sort_within_batch:
            batches = [batch[::-1] for batch in batches]
    else:
        if shuffle and rng is not None:
            order = rng.sample(order, len(order))
        batches = []
        for pool in _chunks(order, batch_size * _POOL):
            batched = _chunks(sorted(pool, key=key) if sort_within_batch else pool, batch_size)
            if shuffle and rng is not None:
                batched = rng.sample(batched, len(batched))
            batches += batched
        if sort_within_batch:
            batches = [sorted(batch, key=key, reverse=True) for batch in batches]
    return [np.array(batch, dtype=np.int64) for batch in batches]


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
