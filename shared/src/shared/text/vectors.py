"""Word vectors in files: rows for a vocabulary out of a large one, word2vec files read and written.

Shapes: V tokens of a vocabulary, N rows of a file, D numbers in a row. `vector_files` says which files can be read.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.files import whole_file
from shared.text.vector_files import (
    BadLines,
    location_of,
    numbers_of,
    opened,
    rows_of,
    shown,
    sniff,
)
from shared.text.vocabulary import Vocabulary

_FORMAT_BREAKERS = re.compile(r"[ \t\n\r\v\f]")


@dataclass(frozen=True)
class Coverage:
    """Coverage of a vocabulary by a vector file; `<pad>` is not counted.

    Duplicates are the later rows of repeated tokens of the vocabulary; the first row is used.
    """

    exact: int
    lowercased: int
    missing: int
    tokens_covered: int
    tokens: int
    duplicates: int
    skipped_lines: int
    first_missing: tuple[str, ...]

    @property
    def type_fraction(self) -> float:
        """Return the fraction of the vocabulary's types that have a vector, 0 to 1."""
        covered = self.exact + self.lowercased
        return covered / max(1, covered + self.missing)

    @property
    def token_fraction(self) -> float:
        """Return the fraction of the text's tokens (types weighted by their counts) that have a vector, 0 to 1."""
        return self.tokens_covered / max(1, self.tokens)

    def __str__(self) -> str:
        text = (
            f"{self.type_fraction:.1%} of types, {self.token_fraction:.1%} of tokens have vectors "
            f"({self.exact} as written, {self.lowercased} in lower case, "
            f"{self.missing} missing"
        )
        if self.first_missing:
            text += f", first: {' '.join(self.first_missing)}"
        return f"{text}; {self.duplicates} duplicate rows, {self.skipped_lines} lines skipped)"


def load_pretrained(
    path: str | Path,
    vocabulary: Vocabulary,
    *,
    dimension: int | None = None,
    scale: float | None = None,
    seed: int = 0,
    on_bad_line: Literal["error", "skip"] = "error",
    case_fallback: bool = True,
    pad: str = "<pad>",
    skip_option: str = "",
) -> tuple[NDArray[np.float32], Coverage]:
    """Read the rows of a vocabulary's tokens from a file of any size.

    The file is streamed; no more than the result and one block are in memory. Every line of a text file is looked at:
    its width, and that it has nothing but digits, signs, points and exponents where numbers belong.

    Parameters
    ----------
    path : str or Path
        GloVe text, word2vec text or binary; see `vector_files` for archives.
    vocabulary : Vocabulary
    dimension : int or None
        D. None: the header's, or without one the commonest width of the first 100 lines.
    scale : float or None
        Standard deviation of the rows drawn for missing tokens. None: that of all numbers found, or 0.1 if none was.
    seed : int
        Seed of the rows drawn, in the order of the ids.
    on_bad_line : {"error", "skip"}
        What to do with a text line (or a binary row) that cannot be read: raise, or count it and continue. Damage that
        hides where the next row begins raises in either case.
    case_fallback : bool
        A token without a row of its own takes that of its lower-case form.
    pad : str
        This token's row, if the vocabulary has it, is zero whatever the file holds.
    skip_option : str
        What a user types for `on_bad_line="skip"`, for the message about a bad line.

    Returns
    -------
    matrix : float32 array (V, D)
    coverage : Coverage

    Raises
    ------
    UserError
        The file cannot be read, has another dimension, or has a bad line that is not to be skipped.
    """
    source = str(path)
    layout = sniff(source, dimension)
    matrix = np.zeros((len(vocabulary), layout.dimension), dtype=np.float32)
    exact, lowered = _wanted(vocabulary, pad, case_fallback)
    quality = np.zeros(len(vocabulary), dtype=np.int8)  # 0 missing, 1 by lower case, 2 as written
    bad = BadLines(skip=on_bad_line == "skip", option=skip_option)
    seen: set[bytes] = set()
    duplicates = 0
    with opened(source) as file:
        for number, token, payload in rows_of(file, source, layout, bad):
            if token not in exact and token not in lowered:
                continue
            if token in seen:
                duplicates += 1
                continue
            row = numbers_of(payload, layout)
            if row is None:
                location = location_of(source, layout, number)
                bad.report(f'{location}: a number of "{shown(token)}" is not finite or no number')
                continue
            seen.add(token)
            for index in lowered.get(token, ()):
                if quality[index] < 1:
                    matrix[index], quality[index] = row, 1
            if token in exact:
                matrix[exact[token]], quality[exact[token]] = row, 2
    _draw_missing(matrix, quality, vocabulary, pad, scale, seed)
    return matrix, _coverage(quality, vocabulary, pad, duplicates, bad.count)


def read_vectors(
    path: str | Path, limit: int | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """Read a file of vectors whole, or its first rows: GloVe text, word2vec text or word2vec binary.

    A repeated token keeps its first row, as in gensim, and a warning says how many there were.

    Parameters
    ----------
    path : str or Path
        See `vector_files` for archives. Binary rows may end with a line feed or not.
    limit : int or None
        The most rows to read, >= 0.

    Returns
    -------
    tokens : list of str (N,)
    matrix : float32 array (N, D)

    Raises
    ------
    UserError
        The file cannot be read, has more or fewer rows than its header says, or has a bad row.
    """
    source = str(path)
    layout = sniff(source, None)
    most = sys.maxsize if layout.rows is None else layout.rows
    wanted = most if limit is None else min(limit, most)
    # The header may be wrong. Memory is allocated for rows that have been read, and doubled.
    first_rows = max(1, (16 << 20) // layout.dimension)
    matrix = np.empty((min(wanted, first_rows), layout.dimension), dtype=np.float32)
    rows_by_token: dict[str, int] = {}
    duplicates = 0
    with opened(source) as file:
        rows = rows_of(file, source, layout, BadLines(skip=False))
        for number, token, payload in rows if limit is None else islice(rows, wanted):
            row = numbers_of(payload, layout)
            if row is None:
                location = location_of(source, layout, number)
                raise UserError(
                    f'{location}: a number of "{shown(token)}" is not finite or no number. '
                    "Write the file again."
                )
            try:
                text = token.decode()
            except UnicodeDecodeError as error:
                location = location_of(source, layout, number)
                raise UserError(
                    f"{location}: the token {token[:40]!r} is not UTF-8. "
                    "Write the file again with UTF-8 tokens."
                ) from error
            if text in rows_by_token:
                duplicates += 1
                continue
            if len(rows_by_token) == len(matrix):
                capacity = min(2 * len(matrix), wanted)
                matrix.resize((capacity, layout.dimension), refcheck=False)
            matrix[len(rows_by_token)] = row
            rows_by_token[text] = len(rows_by_token)
    if duplicates:
        warnings.warn(f"{source}: {duplicates} rows of repeated tokens left out", stacklevel=2)
    matrix.resize((len(rows_by_token), layout.dimension), refcheck=False)
    return list(rows_by_token), matrix


def write_word2vec(
    path: str | Path, tokens: Sequence[str], matrix: NDArray[np.floating[Any]], *, binary: bool
) -> None:
    """Write a word2vec file, byte for byte as gensim does; whole or not at all.

    Parameters
    ----------
    path : str or Path
    tokens : sequence of str (N,)
    matrix : float array (N, D)
        Written as float32; the text form has the shortest digits that give the same float32 back.
    binary : bool
        Rows follow each other without line feeds.

    Raises
    ------
    ValueError
        The shapes do not fit.
    UserError
        A token is empty, repeated or holds white space, or a row is not finite.
    """
    if matrix.ndim != 2 or len(tokens) != len(matrix):
        raise ValueError(f"{len(tokens)} tokens, but a matrix of shape {matrix.shape}")
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(matrix, dtype="<f4")
    for token, is_finite in zip(tokens, np.isfinite(matrix).all(axis=1), strict=True):
        if not token or _FORMAT_BREAKERS.search(token):
            raise UserError(
                f"{path}: the token {token!r} cannot be written in word2vec format. "
                "Expected no white space in tokens. Rename it or leave it out."
            )
        if not is_finite:
            raise UserError(
                f'{path}: the vector of "{token}" is not finite. '
                "Train again with a lower learning rate."
            )
    if len(set(tokens)) != len(tokens):
        (token, _), *_ = Counter(tokens).most_common(1)
        raise UserError(f'{path}: the token "{token}" is repeated. Expected every token once.')
    with whole_file(Path(path), "wb") as file:
        file.write(f"{matrix.shape[0]} {matrix.shape[1]}\n".encode())
        for start in range(0, len(tokens), 1024):
            part = matrix[start : start + 1024]
            rows = (
                [row.tobytes() for row in part]
                if binary
                else [b" ".join(row) + b"\n" for row in part.astype("S32").tolist()]
            )
            for token, row in zip(tokens[start : start + 1024], rows, strict=True):
                file.write(token.encode() + b" " + row)


def _wanted(
    vocabulary: Vocabulary, pad: str, case_fallback: bool
) -> tuple[dict[bytes, int], dict[bytes, list[int]]]:
    """Return the ids of tokens as written, and of those whose lower-case form may stand in."""
    exact: dict[bytes, int] = {}
    lowered: dict[bytes, list[int]] = {}
    for index, token in enumerate(vocabulary):
        if token == pad:
            continue
        exact[token.encode(errors="surrogatepass")] = index
        lower = token.lower()
        if case_fallback and lower != token:
            lowered.setdefault(lower.encode(errors="surrogatepass"), []).append(index)
    return exact, lowered


def _draw_missing(
    matrix: NDArray[np.float32],
    quality: NDArray[np.int8],
    vocabulary: Vocabulary,
    pad: str,
    scale: float | None,
    seed: int,
) -> None:
    """Fill the rows of tokens without a vector, in place; the pad row stays zero."""
    is_missing = quality == 0
    if scale is None:
        known = matrix[~is_missing]
        scale = float(known.std(dtype=np.float64)) if known.size else 0.1
    if pad in vocabulary:
        is_missing[vocabulary.id(pad)] = False
    draws = np.random.default_rng(seed).standard_normal(
        (int(is_missing.sum()), matrix.shape[1]), dtype=np.float32
    )
    matrix[is_missing] = draws * np.float32(scale)


def _coverage(
    quality: NDArray[np.int8],
    vocabulary: Vocabulary,
    pad: str,
    duplicates: int,
    skipped_lines: int,
) -> Coverage:
    is_counted = np.ones(len(vocabulary), dtype=bool)
    if pad in vocabulary:
        is_counted[vocabulary.id(pad)] = False
    is_missing = is_counted & (quality == 0)
    first = [vocabulary.tokens[index] for index in np.flatnonzero(is_missing)[:10]]
    return Coverage(
        exact=int((quality == 2).sum()),
        lowercased=int((quality == 1).sum()),
        missing=int(is_missing.sum()),
        tokens_covered=int(vocabulary.counts[quality > 0].sum()),
        tokens=int(vocabulary.counts[is_counted].sum()),
        duplicates=duplicates,
        skipped_lines=skipped_lines,
        first_missing=tuple(first),
    )
