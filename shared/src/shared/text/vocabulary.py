"""The tokens a model knows: building, looking up, saving and loading a vocabulary.

Shapes: V tokens in the vocabulary, N tokens of a text. An id is a token's index in the vocabulary.
"""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.files import whole_file

_LONGEST_CHUNK = 65_536  # tokens counted between two looks at the number of types held


class Vocabulary:
    """Tokens with their counts, in the order of their ids. Not changed after it is made.

    Parameters
    ----------
    tokens : sequence of str (V,)
        Not empty, without line feeds, no two the same.
    counts : sequence of int (V,)
        How often each token was seen, >= 0.
    unknown : str or None, default "<unk>"
        The token whose id stands for every token that is not there. None: there is none, and looking up such a token
        is an error.

    Raises
    ------
    ValueError
        The lengths differ, a token is empty or repeated, a count is negative, or `unknown` is not among the tokens.
    """

    def __init__(
        self, tokens: Sequence[str], counts: Sequence[int], *, unknown: str | None = "<unk>"
    ) -> None:
        self.tokens: tuple[str, ...] = tuple(tokens)
        self.counts: NDArray[np.int64] = np.array(counts, dtype=np.int64).reshape(-1)
        self.counts.setflags(write=False)
        self.unknown = unknown
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        if len(self.tokens) != len(self.counts):
            raise ValueError(f"{len(self.tokens)} tokens, but {len(self.counts)} counts")
        if len(self._ids) != len(self.tokens):
            (token, _), *_ = Counter(self.tokens).most_common(1)
            raise ValueError(f"the token {token!r} is repeated")
        if "" in self._ids or any("\n" in token for token in self.tokens):
            raise ValueError("a token is empty or holds a line feed")
        if len(self.counts) and self.counts.min() < 0:
            raise ValueError("a count is negative")
        if unknown is not None and unknown not in self._ids:
            raise ValueError(f"the unknown token {unknown!r} is not among the tokens")
        self.unknown_id: int | None = None if unknown is None else self._ids[unknown]

    @classmethod
    def build(
        cls,
        tokens: Iterable[str],
        *,
        max_size: int | None = None,
        min_count: int = 1,
        specials: Sequence[str] = ("<unk>",),
        unknown: str | None = "<unk>",
        prune_above: int | None = None,
    ) -> Vocabulary:
        """Count a stream of tokens, read once, and order them as `from_counts` does.

        Parameters
        ----------
        tokens : iterable of str
            The whole text, token by token.
        max_size, min_count, specials, unknown
            See `from_counts`.
        prune_above : int or None
            The most distinct tokens to hold in memory at any time, >= 4; None: no bound. Beyond it the rarest
            are dropped: all with a count of 1, then of 2, and so on until a quarter of the bound is free. What this
            loses: a token that was dropped and is seen again starts from 0, so a count may be too low (never too high),
            by at most the sum of the counts it was dropped with; a tie is ordered by where it was seen again. Tokens
            never dropped, the frequent ones, keep exact counts. The result depends on the text and this bound only, and
            a warning says when something was dropped.

        Raises
        ------
        TypeError
            `tokens` is one str, whose items would be its characters.
        ValueError
            `max_size` has no room for the specials, `min_count` < 1, `prune_above` < 4, or `unknown` is not special.
        """
        if isinstance(tokens, str):
            raise TypeError("tokens is a str, expected its tokens; str.split() is one tokenizer")
        counts = Counter(tokens) if prune_above is None else _count_within(tokens, prune_above)
        return cls.from_counts(
            counts, max_size=max_size, min_count=min_count, specials=specials, unknown=unknown
        )

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        *,
        max_size: int | None = None,
        min_count: int = 1,
        specials: Sequence[str] = ("<unk>",),
        unknown: str | None = "<unk>",
    ) -> Vocabulary:
        """Order counted tokens: the specials, then by falling count, ties as first seen.

        Parameters
        ----------
        counts : mapping from str to int
            In first-seen order.
        max_size : int or None
            The most tokens to keep, specials included.
        min_count : int
            Tokens seen less often are left out, >= 1. Specials always stay.
        specials : sequence of str
            The first tokens, in this order. One that the text itself contains (WikiText writes `<unk>`) is listed once,
            at its position here, with its count in the text; one that it does not contain has count 1.
        unknown : str or None
            One of the specials, or None.

        Raises
        ------
        ValueError
            `max_size` has no room for the specials, `min_count` < 1, or `unknown` is not special.
        """
        if min_count < 1:
            raise ValueError(f"min_count is {min_count}, expected 1 or more")
        if max_size is not None and max_size < len(specials):
            raise ValueError(
                f"max_size is {max_size}, too small for the {len(specials)} special tokens"
            )
        first = {token: max(1, counts.get(token, 0)) for token in specials}
        kept = [
            (token, count)
            for token, count in counts.items()
            if count >= min_count and token not in first
        ]
        kept.sort(key=lambda pair: -pair[1])  # stable, so ties stay in first-seen order
        if max_size is not None:
            kept = kept[: max_size - len(first)]
        ordered = [*first.items(), *kept]
        return cls(
            [token for token, _ in ordered], [count for _, count in ordered], unknown=unknown
        )

    @classmethod
    def load(cls, path: str | Path, *, unknown: str | None = "<unk>") -> Vocabulary:
        """Read a `vocab.txt`: one `token count` a line, in the order of the ids.

        Parameters
        ----------
        path : str or Path
            A file as `save` writes it.
        unknown : str or None
            The token of the file that stands for unknown ones.

        Raises
        ------
        UserError
            The file is missing or empty, a line is torn or not UTF-8, a token is repeated, or `unknown` is not there.
        """
        path = Path(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"{path}: cannot read the vocabulary ({error.strerror}). "
                "Expected a file with one `token count` a line."
            ) from error
        lines = content.split(b"\n")
        if lines[-1] == b"":
            lines.pop()  # what follows the last line feed is no line
        if not lines:
            raise UserError(f"{path}: the vocabulary is empty. Expected one `token count` a line.")
        seen: dict[str, int] = {}
        counts: list[int] = []
        for number, line in enumerate(lines, start=1):
            token, count = _read_line(line, f"{path}:{number}")
            if token in seen:
                raise UserError(
                    f'{path}:{number}: the token "{token}" is also on line {seen[token]}. '
                    "Expected every token once. Delete one of the lines."
                )
            seen[token] = number
            counts.append(count)
        if unknown is not None and unknown not in seen:
            raise UserError(
                f'{path}: there is no line for "{unknown}". '
                f"Expected a vocabulary whose first line is `{unknown} 1`."
            )
        return cls(list(seen), counts, unknown=unknown)

    def save(self, path: str | Path) -> None:
        """Write a `vocab.txt`, one `token count` a line in UTF-8; whole or not at all."""
        with whole_file(Path(path)) as file:
            file.writelines(
                f"{token} {count}\n"
                for token, count in zip(self.tokens, self.counts.tolist(), strict=True)
            )

    def id(self, token: str, *, warn: bool = False) -> int:
        """Return the id of a token, or that of the unknown token.

        Parameters
        ----------
        token : str
        warn : bool
            Say so with a `UserWarning` when the token is unknown.

        Raises
        ------
        KeyError
            The token is not there and the vocabulary has no unknown token; the message has the nearest spelling.
        """
        if token in self._ids:
            return self._ids[token]
        if self.unknown_id is None:
            raise self._missing(token)
        if warn:
            warnings.warn(f'unknown token "{token}" read as {self.unknown}', stacklevel=2)
        return self.unknown_id

    def ids(self, tokens: Iterable[str], *, warn: bool = False) -> NDArray[np.int32]:
        """Return the ids of many tokens.

        Parameters
        ----------
        tokens : iterable of str (N,)
        warn : bool
            Say with one `UserWarning` how many tokens are unknown, and the first of them.

        Returns
        -------
        int32 array (N,)

        Raises
        ------
        KeyError
            As for `id`.
        """
        known = self._ids
        if self.unknown_id is None:
            try:
                return np.array([known[token] for token in tokens], dtype=np.int32)
            except KeyError as error:
                raise self._missing(error.args[0]) from None
        if warn:
            tokens = list(tokens)
            missing = [token for token in tokens if token not in known]
            if missing:
                first = ", ".join(list(dict.fromkeys(missing))[:5])
                warnings.warn(
                    f"{len(missing)} of {len(tokens)} tokens are unknown and read as "
                    f"{self.unknown}, first: {first}",
                    stacklevel=2,
                )
        unknown_id = self.unknown_id
        return np.fromiter([known.get(token, unknown_id) for token in tokens], dtype=np.int32)

    def _missing(self, token: str) -> KeyError:
        close = difflib.get_close_matches(token, self.tokens, n=1)
        hint = f'; the nearest is "{close[0]}"' if close else ""
        return KeyError(f'"{token}" is not in the vocabulary{hint}')

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return (
            self.tokens == other.tokens
            and self.unknown == other.unknown
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]  # equal by value, and large: no key of a dict

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, unknown={self.unknown!r})"


def _count_within(tokens: Iterable[str], limit: int) -> Counter[str]:
    """Count tokens while never holding more than `limit` distinct ones."""
    if limit < 4:
        raise ValueError(f"prune_above is {limit}, expected 4 or more")
    stream = iter(tokens)
    counts: Counter[str] = Counter()
    dropped = highest = 0
    while True:
        # A chunk cannot bring more types than it has tokens, so the bound holds within it too.
        chunk = list(islice(stream, min(limit - len(counts), _LONGEST_CHUNK)))
        if not chunk:
            break
        counts.update(chunk)
        if len(counts) <= limit * 3 // 4:
            continue
        # A quarter of the bound must become free, or the chunks would shrink to nothing.
        floor, left = 0, len(counts)
        for count, types in sorted(Counter(counts.values()).items()):
            if left <= limit * 3 // 4:
                break
            floor, left = count, left - types
        dropped, highest = dropped + len(counts) - left, max(highest, floor)
        counts = Counter({token: count for token, count in counts.items() if count > floor})
    if dropped:
        warnings.warn(
            f"more than {limit} distinct tokens: rare ones were dropped {dropped} times while "
            f"counting, with counts of {highest} at most; counts may be too low",
            stacklevel=3,
        )
    return counts


def _read_line(line: bytes, where: str) -> tuple[str, int]:
    """Parse one `token count` line; `where` is its file:line."""
    expected = "Expected `token count` with a count of 0 or more. Fix or delete the line."
    try:
        text = line.decode().removesuffix("\r")  # a file that was edited on Windows
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: the line is not UTF-8. {expected}") from error
    token, space, count = text.rpartition(" ")
    if not space:
        raise UserError(f'{where}: "{text}" has no count. {expected}')
    if not token:
        raise UserError(f'{where}: "{text}" has no token. {expected}')
    if not (count.isascii() and count.isdecimal() and len(count) < 19):  # fits 64 bits
        raise UserError(f'{where}: the count "{count}" is not a whole number. {expected}')
    return token, int(count)
