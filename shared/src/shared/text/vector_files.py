"""The rows of a vector file, one at a time: GloVe text, word2vec text and word2vec binary.

Shapes: N rows of a file, D numbers in a row. A file may be plain, gzipped (`.gz`), or in a
`.zip`, with the name of the member behind it where the archive holds several: `glove.6B.zip/glove.6B.100d.txt`. Which
of the three formats it has is seen from its first bytes. Numbers in binary files are little-endian float32.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError

_BLOCK = 1 << 20  # bytes read at once
_LONGEST_TOKEN = 1 << 16  # bytes; more without a space is no binary vector file
_LARGEST_DIMENSION = 1 << 16  # so that a header cannot ask for more memory than any real file needs
_NUMBER_BYTES = b"0123456789+-.eE "
_ROW_INSIDE_TOKEN = re.compile(rb" -?\d+\.\d{3,}")  # a line feed was lost between two rows
_EXPECTED = "Expected GloVe text, word2vec text or word2vec binary."
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Layout:
    """Format, number of rows and dimension of a file; rows is None where there is no header."""

    is_binary: bool
    rows: int | None
    dimension: int


@dataclass
class BadLines:
    """Raises at a bad line, or counts it.

    Parameters
    ----------
    skip : bool
    option : str
        What a user types to skip bad lines, for example `--on-bad-line skip`; empty where there is no such option.
    """

    skip: bool
    option: str = ""
    count: int = 0

    def report(self, problem: str) -> None:
        """Raise, or count one more."""
        if not self.skip:
            advice = f", or skip such lines with {self.option}" if self.option else ""
            raise UserError(f"{problem}. Fix the line{advice}.")
        self.count += 1


def sniff(source: str, dimension: int | None) -> Layout:
    """Find the format, the header and the dimension from the first bytes."""
    with opened(source) as file:
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
        layout = Layout(is_binary=False, rows=None, dimension=dimension)
    else:
        rows, width = int(header[1]), int(header[2])
        if dimension is not None and width != dimension:
            raise UserError(f"{source}:1: vectors of {width} numbers. Expected {dimension}.")
        is_text = width > _LARGEST_DIMENSION or _is_text(rest, width)
        layout = Layout(is_binary=not is_text, rows=rows, dimension=width)
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


def rows_of(
    file: IO[bytes], source: str, layout: Layout, bad: BadLines
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (number of the line or row, token, bytes of its numbers), held to the header."""
    if layout.rows is not None:
        file.readline()
    if layout.is_binary:
        return _binary_rows(file, source, layout)
    return _text_rows(file, source, layout, bad)


def _text_rows(
    file: IO[bytes], source: str, layout: Layout, bad: BadLines
) -> Iterator[tuple[int, bytes, bytes]]:
    dimension, first = layout.dimension, 1 if layout.rows is None else 2
    number = first - 1
    for number, line in enumerate(file, start=first):
        if layout.rows is not None and number - first >= layout.rows:
            raise _too_many_rows(source, layout)
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
                f'{source}:{number}: "{shown(token)}" is not followed by {dimension} numbers'
            )
            continue
        yield number, token, payload
    if layout.rows is not None and number - first + 1 < layout.rows:
        raise _ends_early(source, layout, number - first + 1)


def _binary_rows(
    file: IO[bytes], source: str, layout: Layout
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
        raise _too_many_rows(source, layout)


def _ends_early(source: str, layout: Layout, complete: int) -> UserError:
    return UserError(
        f"{source}: the file ends after {complete} whole rows, its header promises {layout.rows}. "
        "It is cut off, or the header is wrong: get the file again."
    )


def _too_many_rows(source: str, layout: Layout) -> UserError:
    return UserError(
        f"{source}: the file has more than the {layout.rows} rows that its header promises. "
        "The header is wrong: get or write the file again."
    )


def location_of(source: str, layout: Layout, number: int) -> str:
    """Name a line of a text file or a row of a binary one."""
    return f"{source}, row {number}" if layout.is_binary else f"{source}:{number}"


def numbers_of(payload: bytes, layout: Layout) -> NDArray[np.float32] | None:
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
def opened(source: str) -> Iterator[IO[bytes]]:
    """Open a plain file, a `.gz` or the member of a `.zip`, and name it where it proves damaged."""
    try:
        archive, _, member = source.rpartition(".zip")
        archive += ".zip"
        if (not member or member[0] in "/\\") and Path(archive).is_file():
            with zipfile.ZipFile(archive) as folder:
                name = _member(folder, archive, member[1:])
                # The outer buffer makes lines in C; the archive's own readline is Python.
                with folder.open(name) as raw, io.BufferedReader(cast(Any, raw), _BLOCK) as file:
                    yield _without_mark(file)
        elif source.endswith(".gz"):
            with gzip.open(source) as gz, io.BufferedReader(cast(Any, gz), _BLOCK) as file:
                yield _without_mark(file)
        else:
            with open(source, "rb", buffering=_BLOCK) as file:
                yield _without_mark(file)
    except FileNotFoundError as error:
        raise UserError(f"{source}: there is no such file. {_EXPECTED}") from error
    except NotImplementedError as error:
        raise UserError(f"{source}: is packed in a way that is not read here ({error}).") from error
    except RuntimeError as error:  # of zipfile, about a password
        raise UserError(f"{source}: is encrypted. Unpack it first.") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UserError(f"{source}: cannot be read ({error}). Get the file again.") from error


def _without_mark(file: Any) -> IO[bytes]:
    """Go past a byte order mark, which some editors write: it is no part of the first token."""
    if file.peek(len(_BYTE_ORDER_MARK)).startswith(_BYTE_ORDER_MARK):
        file.read(len(_BYTE_ORDER_MARK))
    return cast(IO[bytes], file)


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


def shown(token: bytes) -> str:
    """Return a token as text that fits into a message."""
    text = token.decode(errors="replace")
    return text if len(text) <= 40 else f"{text[:40]}..."
