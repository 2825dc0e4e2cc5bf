"""Download one published file: several mirrors, resumed, checked before it gets its name.

What a run of `fetch` leaves in the folder: the file itself, once its sha256 is right; before that a
`<file>.part` that the next run resumes; and an empty `.<file>.lock`, so that two processes
never write the same `.part`.
Why this is not pooch: docs/decisions/0004-fetch.md.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from shared.errors import UserError
from shared.files import sha256_of
from shared.locks import Busy, NoLocks, acquire

# Some hosts of data sets answer 403 to anything that does not look like a browser.
_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_CHUNK = 1 << 18
_SLOWEST = 4096  # bytes per second over one `timeout`; below it the mirror counts as broken
_RESUMES = 8  # how often one mirror may cut the connection and be asked for the rest
_NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)  # URLError is an OSError


@dataclass(frozen=True)
class Source:
    """One published file and where to get it."""

    name: str
    """What it is, for messages: "SNLI 1.0"."""
    file: str
    """File name in the download folder, no folders in it."""
    urls: tuple[str, ...]
    """Mirrors, the best first; http or https."""
    sha256: str
    """Checksum of the whole file, 64 hex digits."""
    bytes: int | None
    """Size of the file; None where no reliable source states it."""
    manual: str
    """Where else a person can find it, one sentence; may be empty."""


class _MirrorFailed(Exception):
    """The mirror is of no use now; the message says why, in a few words."""


class _Cut(_MirrorFailed):
    """The connection ended early: asking the same mirror for the rest may work."""


def fetch(
    source: Source, folder: str | Path, *, quiet: bool = False, timeout: float = 30.0
) -> Path:
    """Download a file, or take the one that is there already.

    Parameters
    ----------
    source : Source
    folder : path
        Where the file goes; made if missing.
    quiet : bool
        No progress bar. A mirror that fails is still named, in one line on stderr.
    timeout : float
        Seconds without an answer, or with less than 4 kB/s, after which the next mirror is tried.

    Returns
    -------
    Path
        The file; its sha256 has been checked in this call.

    Raises
    ------
    UserError
        No mirror worked (the message says what failed and how to do it by hand), or the disk refused.
    """
    target = Path(folder).expanduser() / source.file
    problem = _problem(target, source) if target.is_file() else None
    if problem == "":
        return target
    if problem:
        _say(f"{target}: {problem}; fetching it again")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(target) as (part, waited):
            if waited and target.is_file() and not _problem(target, source):
                return target  # the process we waited for has fetched it
            failures = _try_mirrors(source, part, quiet=quiet, timeout=timeout)
            if failures is None:
                os.replace(part, target)
                return target
    except OSError as error:
        raise UserError(
            f"{target}: {_reason(error, timeout)}. The file could not be written; "
            "free space there or choose another folder with DLTASKS_DATA, then run again."
        ) from error
    raise UserError(
        f"{source.name}: {source.file} could not be downloaded ({'; '.join(failures)}). By hand: download "
        f"{source.urls[0]} , save it as {target} and run the same command again. {source.manual}".strip()
    )


def _try_mirrors(source: Source, part: Path, *, quiet: bool, timeout: float) -> list[str] | None:
    """Try the mirrors in turn; return None when `part` is complete, else what failed, an entry per mirror."""
    failures = []
    for number, url in enumerate(source.urls, start=1):
        host = urlsplit(url).netloc
        _say(f"{source.file}: fetching from {host}")
        try:
            _from_mirror(url, part, source, quiet=quiet, timeout=timeout)
            return None
        except _MirrorFailed as failure:
            failures.append(f"{host}: {failure}")
            follows = "trying the next mirror" if number < len(source.urls) else "no mirror left"
            _say(f"{source.file}: {host}: {failure}; {follows}")
    return failures


def _from_mirror(url: str, part: Path, source: Source, *, quiet: bool, timeout: float) -> None:
    """Complete `part` from one mirror and check it."""
    for attempt in range(_RESUMES + 1):
        start = part.stat().st_size if part.exists() else 0
        if start == 0 or start != source.bytes:
            try:
                _transfer(url, part, start, source, quiet=quiet, timeout=timeout)
            except _Cut:
                grew = part.exists() and part.stat().st_size > start
                if grew and attempt < _RESUMES:
                    continue
                raise
        problem = _problem(part, source)
        if not problem:
            return
        part.unlink()
        if start == 0:
            raise _MirrorFailed(problem)
        # The first piece was not from this answer (another run, another mirror): once more from the start.
    raise _MirrorFailed("the connection was cut too often")


def _transfer(
    url: str, part: Path, start: int, source: Source, *, quiet: bool, timeout: float
) -> None:
    """Send one request; append what arrives to `part`, or replace it when the server starts over."""
    headers = {"User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        answer = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return  # nothing after `start`: the part is whole, or wrong; its checksum will tell
        raise _MirrorFailed(f"HTTP {error.code}") from error
    except _NETWORK_ERRORS as error:
        raise _MirrorFailed(_reason(error, timeout)) from error

    with answer:
        if start and not _continues(answer, start):
            start = 0
        total = _total(answer, start)
        chunk = _read(answer, timeout)
        if start == 0 and _is_html(chunk):
            raise _MirrorFailed("answered with a web page (a login or error page?), not the file")
        if None not in (total, source.bytes) and total != source.bytes:
            raise _MirrorFailed(f"offers {total:,} bytes, expected {source.bytes:,}")
        limit = source.bytes if source.bytes is not None else total
        bar = tqdm(desc=source.file, total=limit, initial=start, unit="B", unit_scale=True, unit_divisor=1024,
                   disable=True if quiet else None)  # fmt: skip
        with open(part, "ab" if start else "wb") as file, bar:
            clock, in_window, size = time.monotonic(), 0, start
            while chunk:
                file.write(chunk)
                bar.update(len(chunk))
                size += len(chunk)
                in_window += len(chunk)
                if limit is not None and size > limit:
                    raise _MirrorFailed(f"sent more than {limit:,} bytes")
                if time.monotonic() - clock > timeout:
                    if in_window < _SLOWEST * timeout:
                        raise _MirrorFailed(f"too slow (under {_SLOWEST // 1024} kB/s)")
                    clock, in_window = time.monotonic(), 0
                chunk = _read(answer, timeout)
    if limit is not None and size < limit:
        raise _Cut(f"cut the connection at {size:,} of {limit:,} bytes")


def _read(answer: http.client.HTTPResponse, timeout: float) -> bytes:
    """Return what has arrived, at most one chunk; `read` would wait for a whole one from a slow server."""
    try:
        return answer.read1(_CHUNK)
    except TimeoutError as error:
        raise _MirrorFailed(_reason(error, timeout)) from error
    except _NETWORK_ERRORS as error:
        raise _Cut(_reason(error, timeout)) from error


def _continues(answer: http.client.HTTPResponse, start: int) -> bool:
    """Whether the server really continues at byte `start`; many ignore Range and answer 200."""
    content_range = answer.headers.get("Content-Range", "")
    return answer.status == 206 and content_range.replace("=", " ").startswith(f"bytes {start}-")


def _total(answer: http.client.HTTPResponse, start: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _is_html(first: bytes) -> bool:
    """Return whether content is HTML; servers send archives as text/html and login pages as application/zip."""
    text = first[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--"))


def _problem(path: Path, source: Source) -> str:
    """Return what is wrong with a file that should be `source`; empty when nothing is."""
    size = path.stat().st_size
    if source.bytes is not None and size != source.bytes:
        return f"it has {size:,} bytes, expected {source.bytes:,}"
    digest = sha256_of(path)
    return (
        ""
        if digest == source.sha256
        else f"its sha256 is {digest[:12]}..., expected {source.sha256[:12]}..."
    )


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the name of the partial file, locked within the context, and whether another process held it before."""
    lock_file, has_waited = target.with_name(f".{target.name}.lock"), False
    while True:
        try:
            lock = acquire(lock_file)
            break
        except Busy:
            if not has_waited:
                _say(f"{target.name}: another process is fetching it; waiting")
            has_waited = True
            time.sleep(0.2)
        except NoLocks:  # a private name, at the price of not resuming
            handle, private = tempfile.mkstemp(
                prefix=f".{target.name}.", suffix=".part", dir=target.parent
            )
            os.close(handle)
            try:
                yield Path(private), has_waited
            finally:
                Path(private).unlink(missing_ok=True)
            return
    try:
        yield target.with_name(f"{target.name}.part"), has_waited
    finally:
        lock.release()


def _reason(error: BaseException, timeout: float) -> str:
    """Return the cause in a few words, on one line."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"no answer for {timeout:g} s"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, socket.gaierror):
        return "host not found (is the network closed?)"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate is not valid"
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return " ".join(str(text).split())


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
