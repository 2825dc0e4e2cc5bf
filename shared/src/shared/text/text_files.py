"""Reading text files of any size, and standard input, a piece at a time, with errors that name the line."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import queue
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from shared.errors import UserError
from shared.extras import install_command

Item = TypeVar("Item")

PIECE = 1 << 20
"""Bytes that are read at a time, and characters without a space or a line break after which text is cut anyway."""
PACKED = (".gz", ".bz2", ".xz", ".zst")
"""File name endings of packed text, in upper or lower case."""
_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)


def without_packing(path: Path) -> Path:
    """Return `a.csv` for `a.csv.gz`, and any other name as it is."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def read_pieces(
    path: Path, encoding: str = "utf-8", *, expected: str = "a text file"
) -> Iterator[str]:
    """Yield the text of a file in pieces of about a megabyte, cut after a space or a line break.

    A line may have any length, so memory is bounded; only a megabyte without a single space is cut inside a word.
    Joined, the pieces are the file. A byte order mark is dropped.

    Parameters
    ----------
    path : Path
        Plain text, or packed: `.gz`, `.bz2`, `.xz`, and `.zst` with the extra `zst`.
    encoding : str
    expected : str
        What the message says where the file is missing.

    Raises
    ------
    UserError
        The file is missing, holds NUL bytes, is not text in this encoding (with its line), or is packed and damaged.
    """
    try:
        # utf-8-sig is UTF-8 that drops a byte order mark.
        name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
        decoder = codecs.getincrementaldecoder(name)()
        "a".encode(encoding)  # a codec such as hex, which is known but has no text, refuses
    except (LookupError, UnicodeError):
        raise UserError(
            f"--encoding {encoding} is not known. Expected utf-8, latin-1, gb18030 or the like."
        ) from None
    try:
        with _open(path) as file:
            yield from _pieces(path, file, decoder, encoding)
    except FileNotFoundError:
        raise UserError(f"{path}: not found. Expected {expected}.") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder. Expected {expected}.") from None
    except _DAMAGED as error:
        raise _damaged(path, error) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from None  # bz2 says it so
    except Exception as error:
        if type(error).__name__ != "ZstdError":  # of an optional package
            raise
        raise _damaged(path, error) from None


def read_line_parts(
    path: Path, encoding: str = "utf-8", *, expected: str = "a text file"
) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a file without their ends, each with True; of one longer than a megabyte parts, with False.

    The last part of a long line has True. Parameters and errors are those of `read_pieces`.
    """
    rest = ""
    for piece in read_pieces(path, encoding, expected=expected):
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield line, True
        if len(rest) > PIECE:
            yield rest, False
            rest = ""
    if rest:
        yield rest, True


def as_they_arrive(items: Iterator[Item], most: int) -> Iterator[list[Item]]:
    """Yield what has arrived, at least one item, so that one who types gets an answer to each line.

    Parameters
    ----------
    items : iterator
        Read in a thread of its own; what it raises is raised here, behind the items before.
    most : int
        Items in a list.
    """
    arrived: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=4 * most)

    def read() -> None:
        try:
            for item in items:
                arrived.put(("item", item))
            arrived.put(("end", None))
        except Exception as error:
            arrived.put(("error", error))

    threading.Thread(target=read, daemon=True).start()
    kind: str = "item"
    value: Any = None
    while kind == "item":
        batch: list[Item] = []
        kind, value = arrived.get()
        while kind == "item":
            batch.append(value)
            if len(batch) == most or arrived.empty():
                break
            kind, value = arrived.get()
        if batch:
            yield batch
    if kind == "error":
        raise value


def standard_input() -> Iterator[str]:
    """Yield the lines of standard input with their line feeds, as UTF-8 wherever the machine is set to something else.

    Lines end with LF or CRLF, as in files, and the CR of CRLF is dropped; a CR alone is a character like others. A byte
    order mark is dropped. A line has to fit into memory, all of them need not.

    Raises
    ------
    UserError
        It is not UTF-8; the line is named as nearly as it is known, since text is read ahead.
    """
    binary = getattr(sys.stdin, "buffer", None)
    if binary is None:  # a test's, or a notebook's
        yield from sys.stdin
        return
    done = 0
    try:
        for line in io.TextIOWrapper(binary, encoding="utf-8-sig", newline="\n"):
            done += 1
            yield line.removesuffix("\r\n") + "\n" if line.endswith("\r\n") else line
    except UnicodeDecodeError as error:
        raise UserError(
            f"standard input, line {done + 1} or one of the next: not UTF-8 ({error.reason}). "
            "Expected UTF-8 text. Convert it, for example with iconv."
        ) from None


def _pieces(
    path: Path, file: IO[bytes], decoder: codecs.IncrementalDecoder, encoding: str
) -> Iterator[str]:
    line, rest = 1, ""  # `rest` is the beginning of a word
    while True:
        chunk = file.read(PIECE)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            start, chunk = error.start, error.object
            if b"\0" in chunk:  # binary, rather than text in another encoding
                raise _nul(path, line + chunk[: chunk.index(b"\0")].count(b"\n")) from None
            line += chunk[:start].count(b"\n")
            raise UserError(
                f"{path}:{line}: is not {encoding} ({error.reason}). Expected {encoding} text; name its encoding if "
                "the command has --encoding, or convert it, for example with iconv."
            ) from None
        except UnicodeError as error:  # before Python 3.13, UTF-16 without its byte order mark
            raise UserError(f"{path}: is not {encoding} ({error}). Try --encoding utf-8.") from None
        if "\0" in text:
            raise _nul(path, line + text[: text.index("\0")].count("\n"))
        text = rest + text
        cut = max(text.rfind(" "), text.rfind("\n")) + 1  # after a word
        if not chunk or (not cut and len(text) > PIECE):
            cut = len(text)
        text, rest = text[:cut], text[cut:]
        line += text.count("\n")
        if text:
            yield text.replace("\r\n", "\n")
        if not chunk:
            return


def _nul(path: Path, line: int) -> UserError:
    return UserError(
        f"{path}:{line}: holds a NUL byte, so it is not text, or is UTF-16. Expected a text file; name its encoding if "
        "the command has --encoding, or convert it, for example with iconv."
    )


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: is a damaged {path.suffix} file ({error}). Fetch or pack it again.")


def _open(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".zst":
        try:
            from backports import zstd  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise UserError(
                f"{path}: .zst files need backports.zstd, not installed. "
                f"Run: {install_command('dltasks-shared', 'zst')}"
            ) from None
        return zstd.open(path, "rb")  # type: ignore[no-any-return,return-value,unused-ignore]
    if suffix in (".zip", ".7z", ".rar"):
        raise UserError(
            f"{path}: is packed in a way that is not read here. Expected plain text or {', '.join(PACKED)}; unpack it."
        )
    openers = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    return openers[suffix](path, "rb") if suffix in openers else path.open("rb")  # type: ignore[operator,return-value]
