"""Standard output that takes every character, and what is said when a program ends unexpectedly."""

from __future__ import annotations

import codecs
import contextlib
import datetime
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

_SIZES = (
    "dimension",
    "batch_size",
    "batch_tokens",
    "batch",
    "bptt",
    "max_length",
    "max_tokens",
    "hidden_size",
)
"""Options that memory depends on, the most likely first."""


def use_utf8() -> None:
    """Make standard output and standard error UTF-8, whatever the locale.

    File names that are not UTF-8 are written as the bytes they are.
    """
    codecs.register_error("dltasks", _surrogates_or_escapes)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a notebook's stream has none
        if reconfigure is not None:
            # A stream whose file has been exchanged under it may refuse; then it stays as it is.
            with contextlib.suppress(OSError, ValueError):
                reconfigure(encoding="utf-8", errors="dltasks")


def _surrogates_or_escapes(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def tell_crash(command: str, error: Exception, options: Sequence[type]) -> None:
    """Say in one line what has happened, and write the traceback into a file.

    Parameters
    ----------
    command : str
    error : Exception
        If it has an attribute `run_folder`, the file goes there; else into the folder for temporary files.
    options : sequence of dataclasses
        Those of the verb.
    """
    what = " ".join(str(error).split())[:200]
    what = f"{type(error).__name__}: {what}" if what else type(error).__name__
    advice = "This is a defect of the program; please report it."
    if is_out_of_memory(error):
        fields = {name for cls in options for name in getattr(cls, "__dataclass_fields__", ())}
        sizes = [f"--{name.replace('_', '-')}" for name in _SIZES if name in fields]
        # What the library says of its allocator is in the crash file.
        what = "Not enough memory"
        advice = (
            f"Lower {' or '.join(sizes[:3])}." if sizes else "Use less data or a smaller model."
        )
    file = _write_crash_file(command, error)
    where = f" Its traceback is in {file}." if file else ""
    say_error(f"{command}: {what}. {advice}{where}")


def say_error(line: str) -> None:
    """Write a line to standard error, if there still is one: a closed terminal refuses it."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of Python, numpy or torch says that memory is used up."""
    text = str(error).lower()
    signs = ("out of memory", "allocate memory", "not enough memory")
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(sign in text for sign in signs))
    )


def _write_crash_file(command: str, error: Exception) -> Path | None:
    name = f"{command}-crash-{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    text = "".join(["$ ", " ".join(sys.argv), "\n", *traceback.format_exception(error)])
    for folder in (getattr(error, "run_folder", None), tempfile.gettempdir()):
        if folder is None:
            continue
        path = Path(folder) / name
        try:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return path
    return None
