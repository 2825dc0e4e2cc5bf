"""Frames between the grader and the worker: plain values only, and nothing is trusted that arrives.

A frame is two big-endian uint32 (length of the JSON part, length of the arrays' bytes), the JSON, and the bytes. The
JSON names arrays by dtype and shape; they lie behind each other in the bytes. Nothing is pickled. This file uses the
standard library and numpy alone, since the worker reads it too, inside the sandbox.
"""

from __future__ import annotations

import json
import math
import os
import struct
import time
from collections.abc import Callable
from select import select
from typing import Any

import numpy as np

MOST_JSON = 4 << 20
MOST_BYTES = 64 << 20
MOST_TEXT = 2000
DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")
_DEEPEST = 20
_INTEGERS = 1 << 63
"""Whole numbers that come through are below it: many larger ones have one hash."""
_READY = 512
"""Bytes that a pipe which is ready takes without blocking, by POSIX."""


class WireError(Exception):
    """What arrived is no frame of ours, or too large a one; or a value is not a plain one."""


class Silence(Exception):
    """The other side has not written, or not read, in time."""


class Closed(Exception):
    """The other side has gone."""


def encode(value: Any, keep: Callable[[Any], int] | None = None) -> bytes:
    """Return the frame of a value.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple, dict, numpy array or number, torch tensor
    keep : callable, optional
        Takes any other object, keeps it and returns its number; without it other objects are a `WireError`.
    """
    arrays: list[bytes] = []
    text = json.dumps(_plain(value, arrays, keep, 0)).encode()
    body = b"".join(arrays)
    if len(text) > MOST_JSON or len(body) > MOST_BYTES:
        raise WireError("the value is too large")
    return struct.pack(">II", len(text), len(body)) + text + body


def decode(text: bytes, body: bytes) -> Any:
    """Return the value of a frame's two parts.

    Raises
    ------
    WireError
        It is not well-formed.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise WireError("no JSON") from None
    try:
        return _value(value, [body], 0)
    except (ValueError, TypeError, OverflowError):  # from numpy
        raise WireError("not well-formed") from None


def send(descriptor: int, frame: bytes, deadline: float | None = None) -> None:
    """Write a frame to a file descriptor.

    Parameters
    ----------
    descriptor : int
    frame : bytes
    deadline : float, optional
        In the time of `time.monotonic`.

    Raises
    ------
    Closed
        Nobody reads it any more.
    Silence
        It was not read in time.
    """
    view = memoryview(frame)
    while view:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not select([], [descriptor], [], left)[1]:
                raise Silence
        try:
            view = view[os.write(descriptor, view[:_READY]) :]
        except BrokenPipeError:
            raise Closed from None


def receive(descriptor: int, deadline: float | None = None) -> Any:
    """Read one value from a file descriptor.

    Parameters
    ----------
    descriptor : int
    deadline : float, optional
        In the time of `time.monotonic`.

    Raises
    ------
    Silence, Closed, WireError
    """
    lengths = struct.unpack(">II", _read(descriptor, 8, deadline))
    if lengths[0] > MOST_JSON or lengths[1] > MOST_BYTES:
        raise WireError("the frame is too large")
    text = _read(descriptor, lengths[0], deadline)
    return decode(text, _read(descriptor, lengths[1], deadline))


def _read(descriptor: int, count: int, deadline: float | None) -> bytes:
    parts: list[bytes] = []
    while count:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not select([descriptor], [], [], left)[0]:
                raise Silence
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            raise Closed
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _plain(value: Any, arrays: list[bytes], keep: Callable[[Any], int] | None, depth: int) -> Any:
    """Return a value as JSON, arrays set aside."""
    if depth > _DEEPEST:
        raise WireError("the value is nested too deeply")
    kind = type(value)
    if kind is Handle:
        return {"object": int(value)}
    if kind is Tensor:
        return {"tensor": _plain(value.array, arrays, keep, depth + 1)}
    if value is None or kind is bool or (kind is int and abs(value) < _INTEGERS):
        return value
    if kind is str:
        return value[:MOST_TEXT] if keep else value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind in (list, tuple):
        items = [_plain(item, arrays, keep, depth + 1) for item in value]
        return items if kind is list else {"tuple": items}
    if kind is dict:
        pairs = [[_plain(part, arrays, keep, depth + 1) for part in pair] for pair in value.items()]
        return {"dict": pairs}
    if isinstance(value, np.generic):
        return _plain(value.item(), arrays, keep, depth + 1)
    if kind is np.ndarray and value.dtype.name in DTYPES:
        if value.nbytes > MOST_BYTES:
            raise WireError("the value is too large")
        arrays.append(np.ascontiguousarray(value).tobytes())
        return {"array": [value.dtype.name, list(value.shape)]}
    if kind.__module__.split(".")[0] == "torch" and hasattr(value, "detach"):
        plain = np.asarray(value.detach().cpu().numpy())
        return {"tensor": _plain(plain, arrays, keep, depth + 1)}
    if keep is None:
        raise WireError(f"{kind.__name__} is not a plain value")
    return {"object": keep(value)}


def _value(value: Any, rest: list[bytes], depth: int) -> Any:
    """Turn JSON back into a value; `rest` holds the bytes that are not used yet."""
    if depth > 2 * _DEEPEST:
        raise WireError("the value is nested too deeply")
    if isinstance(value, list):
        return [_value(item, rest, depth + 1) for item in value]
    if isinstance(value, str):
        return value.encode(
            "utf-8", "replace"
        ).decode()  # half a surrogate pair cannot be written to a file
    if not isinstance(value, dict):
        if type(value) is int and abs(value) >= _INTEGERS:
            raise WireError("an integer of more than 64 bits")
        return value
    if len(value) != 1:
        raise WireError("an object with another number of keys than one")
    ((name, content),) = value.items()
    if name == "float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if name == "tuple" and isinstance(content, list):
        return tuple(_value(item, rest, depth + 1) for item in content)
    if name == "dict" and isinstance(content, list):
        pairs = [_value(pair, rest, depth + 1) for pair in content]
        if all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            # Keys of other sorts can be chosen to have the same hash, and would then take hours.
            if not all(type(key) in (str, bool, int, float, type(None)) for key, _ in pairs):
                raise WireError("a key that cannot be one")
            return dict(pairs)
    if name == "array":
        return _array(content, rest)
    if name == "tensor":
        return Tensor(_value(content, rest, depth + 1))
    if name == "object" and type(content) is int and 0 <= content < _INTEGERS:
        return Handle(content)
    raise WireError(f"an object of an unknown sort: {name[:20]}")


def _array(content: Any, rest: list[bytes]) -> np.ndarray:
    if not (isinstance(content, list) and len(content) == 2 and content[0] in DTYPES):
        raise WireError("an array of an unknown sort")
    dtype, shape = np.dtype(content[0]), content[1]
    if not (
        isinstance(shape, list) and len(shape) < 9 and all(type(n) is int and n >= 0 for n in shape)
    ):
        raise WireError("an array without a shape")
    size = math.prod(shape) * dtype.itemsize
    if size > len(rest[0]):
        raise WireError("an array that is longer than its frame")
    array = np.frombuffer(rest[0][:size], dtype=dtype).reshape(shape).copy()
    rest[0] = rest[0][size:]
    return array


class Handle(int):
    """Number of an object that stays in the worker."""


class Tensor:
    """An array that is, or shall be, a torch tensor on the worker's side."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = np.asarray(array)
