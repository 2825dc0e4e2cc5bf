"""Word vectors in files: GloVe text, word2vec text and word2vec binary.

Shapes: V tokens of a vocabulary, N rows of a file, D numbers in a row. A file may be plain, gzipped (`.gz`), or in a
`.zip`, with the name of the member behind it where the archive holds several: `glove.6B.zip/glove.6B.100d.txt`. Which
of the three formats it has is seen from its first bytes. Numbers in binary files are little-endian float32.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.files import whole_file
from shared.vocabulary import Vocabulary

_BLOCK = 1 << 20  # bytes read at once
_LONGEST_TOKEN = 1 << 16  # bytes; more without a space is no binary vector file
_LARGEST_DIMENSION = 1 << 20  # so that a header cannot ask for more memory than any real file needs
_NUMBER_BYTES = b"0123456789+-.eE "
_FORMAT_BREAKERS = re.compile(r"[ \t\n\r\v\f]")
_ROW_INSIDE_TOKEN = re.compile(rb" -?\d+\.\d{3,}")  # a line feed was lost between two rows
_EXPECTED = "Expected GloVe text, word2vec text or word2vec binary."


@dataclass(frozen=True)
class Coverage:
    """How much of a vocabulary a vector file holds. `<pad>` is not counted.

    The duplicates are the later rows of wanted tokens that came more than once; the first row is the one used.
    """

    found: int
    found_lowercased: int
    missing: int
    tokens_found: int
    tokens: int
    duplicates: int
    skipped_lines: int
    first_missing: tuple[str, ...]

    @property
    def share(self) -> float:
        """Part of the vocabulary's types that have a vector, 0 to 1."""
        found = self.found + self.found_lowercased
        return found / max(1, found + self.missing)

    @property
    def token_share(self) -> float:
        """Part of the text's tokens (types weighted by their counts) that have a vector, 0 to 1."""
        return self.tokens_found / max(1, self.tokens)

    def __str__(self) -> str:
        text = (
            f"{self.share:.1%} of types, {self.token_share:.1%} of tokens have vectors "
            f"({self.found} as written, {self.found_lowercased} in lower case, "
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
) -> tuple[NDArray[np.float32], Coverage]:
    """Read the rows of a vocabulary's tokens from a file of any size.

    The file is streamed; no more than the result and one block are in memory. Every line of a text file is looked at:
    its width, and that it has nothing but digits, signs, points and exponents where numbers belong.

    Parameters
    ----------
    path : str or Path
        GloVe text, word2vec text or binary; see the module's text for archives.
    vocabulary : Vocabulary
    dimension : int or None
        D. None: the header's, or without one the commonest width of the first 100 lines.
    scale : float or None
        Standard deviation of the rows drawn for missing tokens. None: that of all numbers found, or 0.1 if none was.
    seed : int
        Of the rows drawn; they are drawn in the order of the ids.
    on_bad_line : {"error", "skip"}
        What to do with a text line (or a binary row) that cannot be read: stop, or count it and go on. Damage that
        hides where the next row begins stops in either case.
    case_fallback : bool
        A token without a row of its own takes that of its lower-case form.
    pad : str
        This token's row, if the vocabulary has it, is zero whatever the file holds.

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
    layout = _sniff(source, dimension)
    matrix = np.zeros((len(vocabulary), layout.dimension), dtype=np.float32)
    exact, lowered = _wanted(vocabulary, pad, case_fallback)
    quality = np.zeros(len(vocabulary), dtype=np.int8)  # 0 missing, 1 by lower case, 2 as written
    bad = _BadLines(skip=on_bad_line == "skip")
    seen: set[bytes] = set()
    duplicates = 0
    with _opened(source) as file:
        for number, token, payload in _rows(file, source, layout, bad):
            if token not in exact and token not in lowered:
                continue
            if token in seen:
                duplicates += 1
                continue
            row = _numbers(payload, layout)
            if row is None:
                place = _place(source, layout, number)
                bad.report(f'{place}: a number of "{_shown(token)}" is not finite or no number')
                continue
            seen.add(token)
            for index in lowered.get(token, ()):
                if quality[index] < 1:
                    matrix[index], quality[index] = row, 1
            if token in exact:
                matrix[exact[token]], quality[exact[token]] = row, 2
    _draw_missing(matrix, quality, vocabulary, pad, scale, seed)
    return matrix, _coverage(quality, vocabulary, pad, duplicates, bad.count)


def read_word2vec(
    path: str | Path, limit: int | None = None
) -> tuple[list[str], NDArray[np.float32]]:
    """Read a word2vec file, text or binary, whole or its first rows.

    A token that comes twice keeps its first row, as in gensim, and a warning says how many there were.

    Parameters
    ----------
    path : str or Path
        Starts with a header line `N D`. Binary rows may end with a line feed or not.
    limit : int or None
        The most rows to read, >= 0.

    Returns
    -------
    tokens : list of str (N,)
    matrix : float32 array (N, D)

    Raises
    ------
    UserError
        The file cannot be read, has no header, has more or fewer rows than its header says, or has a bad row.
    """
    source = str(path)
    layout = _sniff(source, None)
    if layout.rows is None:
        raise UserError(
            f"{source}:1: there is no header. Expected word2vec's `number-of-rows dimension` "
            "as the first line (GloVe files have none)."
        )
    wanted = layout.rows if limit is None else min(limit, layout.rows)
    # The header is a claim. Memory is taken for rows that have been seen, and doubled.
    first_room = max(1, (16 << 20) // layout.dimension)
    matrix = np.empty((min(wanted, first_room), layout.dimension), dtype=np.float32)
    places: dict[str, int] = {}
    duplicates = 0
    with _opened(source) as file:
        rows = _rows(file, source, layout, _BadLines(skip=False))
        for number, token, payload in rows if limit is None else islice(rows, wanted):
            row = _numbers(payload, layout)
            if row is None:
                place = _place(source, layout, number)
                raise UserError(
                    f'{place}: a number of "{_shown(token)}" is not finite or no number. '
                    "Write the file again."
                )
            try:
                text = token.decode()
            except UnicodeDecodeError as error:
                place = _place(source, layout, number)
                raise UserError(
                    f"{place}: the token {token[:40]!r} is not UTF-8. "
                    "Write the file again with UTF-8 tokens."
                ) from error
            if text in places:
                duplicates += 1
                continue
            if len(places) == len(matrix):
                room = min(2 * len(matrix), wanted)
                matrix.resize((room, layout.dimension), refcheck=False)
            matrix[len(places)] = row
            places[text] = len(places)
    if duplicates:
        warnings.warn(f"{source}: {duplicates} rows of repeated tokens left out", stacklevel=2)
    matrix.resize((len(places), layout.dimension), refcheck=False)
    return list(places), matrix


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
        A token is empty, holds white space or comes twice, or a row is not finite.
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
        raise UserError(f'{path}: the token "{token}" comes twice. Expected every token once.')
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


# --- the three formats ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """What a file says of itself: rows is None where there is no header."""

    is_binary: bool
    rows: int | None
    dimension: int


@dataclass
class _BadLines:
    """Stops at a bad line, or counts it."""

    skip: bool
    count: int = 0

    def report(self, problem: str) -> None:
        if not self.skip:
            raise UserError(f"{problem}. Mend the line, or skip with --on-bad-line skip.")
        self.count += 1


def _sniff(source: str, dimension: int | None) -> _Layout:
    """Find the format, the header and the dimension from the first bytes."""
    with _opened(source) as file:
        head = file.read(_BLOCK)
    if not head.strip():
        raise UserError(f"{source}: the file is empty. {_EXPECTED}")
    first, _, rest = head.partition(b"\n")
    header = re.fullmatch(rb"\s*(\d{1,99}) (\d{1,99})\s*", first)
    if header is None or (dimension == 1 and int(header[2]) != 1):  # "7 5" may be a GloVe row
        if b"\x00" in first:
            raise UserError(f"{source}: a binary file without word2vec's header. {_EXPECTED}")
        if dimension is None:
            lines = head.split(b"\n")
            whole = lines[:-1] or lines  # the last may be cut by the block
            widths = Counter(line.rstrip().count(b" ") for line in whole[:100] if line.strip())
            dimension = widths.most_common(1)[0][0]
        layout = _Layout(is_binary=False, rows=None, dimension=dimension)
    else:
        rows, width = int(header[1]), int(header[2])
        if dimension is not None and width != dimension:
            raise UserError(f"{source}:1: vectors of {width} numbers. Expected {dimension}.")
        layout = _Layout(is_binary=not _is_text(rest, width), rows=rows, dimension=width)
    if not 1 <= layout.dimension <= _LARGEST_DIMENSION:
        raise UserError(f"{source}:1: vectors of {layout.dimension} numbers. {_EXPECTED}")
    return layout


def _is_text(rest: bytes, dimension: int) -> bool:
    """Tell text rows from binary ones, by what follows the header."""
    row = rest.partition(b"\n")[0].rstrip().rsplit(b" ", dimension)
    if len(row) == dimension + 1 and not b"".join(row[1:]).translate(None, _NUMBER_BYTES):
        return True
    # A torn first row is still text if it reads as text; float32 numbers do not.
    start = rest[:4096]
    text = start.decode(errors="ignore")
    is_utf8 = len(text.encode()) > len(start) - 4  # the last character may be cut
    return is_utf8 and not re.search(r"[\x00-\x08\x0e-\x1f]", text)


def _rows(
    file: IO[bytes], source: str, layout: _Layout, bad: _BadLines
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (number of the line or row, token, bytes of its numbers), held to the header."""
    if layout.rows is not None:
        file.readline()
    if layout.is_binary:
        return _binary_rows(file, source, layout)
    return _text_rows(file, source, layout, bad)


def _text_rows(
    file: IO[bytes], source: str, layout: _Layout, bad: _BadLines
) -> Iterator[tuple[int, bytes, bytes]]:
    dimension, first = layout.dimension, 1 if layout.rows is None else 2
    number = first - 1
    for number, line in enumerate(file, start=first):
        if layout.rows is not None and number - first >= layout.rows:
            raise _goes_on(source, layout)
        line = line.rstrip()  # word2vec.c leaves a space at the end
        spaces = line.count(b" ")
        if spaces == dimension:
            token, _, payload = line.partition(b" ")
        elif spaces > dimension:  # a token that contains spaces
            token = line.rsplit(b" ", dimension)[0]
            payload = line[len(token) + 1 :]
            if _ROW_INSIDE_TOKEN.search(token):
                bad.report(f"{source}:{number}: two rows in one. Expected {dimension} numbers")
                continue
        else:
            bad.report(f"{source}:{number}: {spaces} numbers. Expected a token and {dimension}")
            continue
        if not token:
            bad.report(f"{source}:{number}: the token is empty. Expected one before the numbers")
            continue
        # Deleting what belongs into numbers is 20 times as fast as reading them, and finds damage.
        if payload.translate(None, _NUMBER_BYTES):
            bad.report(
                f'{source}:{number}: "{_shown(token)}" is not followed by {dimension} numbers'
            )
            continue
        yield number, token, payload
    if layout.rows is not None and number - first + 1 < layout.rows:
        raise _ends_early(source, layout, number - first + 1)


def _binary_rows(
    file: IO[bytes], source: str, layout: _Layout
) -> Iterator[tuple[int, bytes, bytes]]:
    rows, size = cast(int, layout.rows), 4 * layout.dimension
    buffer, position, number = b"", 0, 0
    while number < rows:
        space = buffer.find(b" ", position)
        end = space + 1 + size
        if space < 0 or end > len(buffer):
            if space < 0 and len(buffer) - position > _LONGEST_TOKEN:
                raise UserError(f"{source}: row {number + 1} has no end of token. {_EXPECTED}")
            block = file.read(max(_BLOCK, min(size, 64 * _BLOCK)))
            if not block:
                raise _ends_early(source, layout, number)
            buffer, position = buffer[position:] + block, 0
            continue
        number += 1
        token = buffer[position:space].lstrip(b"\n")  # word2vec.c ends every row with a line feed
        if not token:
            raise UserError(f"{source}: row {number} has an empty token. {_EXPECTED}")
        yield number, token, buffer[space + 1 : end]
        position = end
    if (buffer[position:] + file.read(2)).strip(b"\n"):
        raise _goes_on(source, layout)


def _ends_early(source: str, layout: _Layout, complete: int) -> UserError:
    return UserError(
        f"{source}: the file ends after {complete} whole rows, its header promises {layout.rows}. "
        "It is cut off, or the header is wrong: get the file again."
    )


def _goes_on(source: str, layout: _Layout) -> UserError:
    return UserError(
        f"{source}: the file goes on after the {layout.rows} rows that its header promises. "
        "The header is wrong: get or write the file again."
    )


def _place(source: str, layout: _Layout, number: int) -> str:
    return f"{source}, row {number}" if layout.is_binary else f"{source}:{number}"


def _numbers(payload: bytes, layout: _Layout) -> NDArray[np.float32] | None:
    """Return a row's numbers (D,), or None where one is no finite float32."""
    if layout.is_binary:
        row = np.frombuffer(payload, dtype="<f4")
    else:
        try:
            with np.errstate(over="ignore"):
                row = np.array(payload.split(b" "), dtype=np.float32)
        except ValueError:
            return None
    return row if np.isfinite(row).all() else None


@contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    """Open a plain file, a `.gz` or the member of a `.zip`, and name it where it proves damaged."""
    try:
        archive, _, member = source.rpartition(".zip")
        archive += ".zip"
        if (not member or member[0] in "/\\") and Path(archive).is_file():
            with zipfile.ZipFile(archive) as folder:
                name = _member(folder, archive, member[1:])
                # The outer buffer makes lines in C; the archive's own readline is Python.
                with folder.open(name) as raw, io.BufferedReader(cast(Any, raw), _BLOCK) as file:
                    yield file
        elif source.endswith(".gz"):
            with gzip.open(source) as gz, io.BufferedReader(cast(Any, gz), _BLOCK) as file:
                yield file
        else:
            with open(source, "rb", buffering=_BLOCK) as file:
                yield file
    except FileNotFoundError as error:
        raise UserError(f"{source}: there is no such file. {_EXPECTED}") from error
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(f"{source}: cannot be read ({error}). Get the file again.") from error


def _member(folder: zipfile.ZipFile, archive: str, name: str) -> str:
    """Return the asked-for member of an archive, or its only one."""
    names = [entry for entry in folder.namelist() if not entry.endswith("/")]
    if name in names:
        return name
    if not name and len(names) == 1:
        return names[0]
    problem = f'there is no "{name}" in the archive' if name else f"{len(names)} files in it"
    raise UserError(
        f"{archive}: {problem}. Expected {archive}/NAME with a name out of: {', '.join(names[:8])}."
    )


# --- from rows to a vocabulary's matrix -------------------------------------------------------------------------------


def _wanted(
    vocabulary: Vocabulary, pad: str, case_fallback: bool
) -> tuple[dict[bytes, int], dict[bytes, list[int]]]:
    """Return the ids of tokens as written, and of those whose lower-case form would do."""
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
        found = matrix[~is_missing]
        scale = float(found.std(dtype=np.float64)) if found.size else 0.1
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
        found=int((quality == 2).sum()),
        found_lowercased=int((quality == 1).sum()),
        missing=int(is_missing.sum()),
        tokens_found=int(vocabulary.counts[quality > 0].sum()),
        tokens=int(vocabulary.counts[is_counted].sum()),
        duplicates=duplicates,
        skipped_lines=skipped_lines,
        first_missing=tuple(first),
    )


def _shown(token: bytes) -> str:
    """Return a token as text that fits into a message."""
    text = token.decode(errors="replace")
    return text if len(text) <= 40 else f"{text[:40]}..."
