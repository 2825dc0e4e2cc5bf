"""Frames: plain values come through, and nothing that is malformed does."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.teaching import wire

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda part: (
        st.lists(part, max_size=4)
        | st.dictionaries(st.text(), part, max_size=4)
        | st.tuples(part, part)
    ),
    max_leaves=20,
)


def through(value: object) -> object:
    frame = wire.encode(value)
    first, _ = struct.unpack(">II", frame[:8])
    return wire.decode(frame[8 : 8 + first], frame[8 + first :])


@given(PLAIN)
def test_plain_values_come_through_as_they_are(value: object) -> None:
    assert through(value) == value


@pytest.mark.parametrize("dtype", wire.DTYPES)
def test_arrays_come_through_with_dtype_and_shape(dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype)
    result = through([array, array[:, 1]])
    assert isinstance(result, list)
    np.testing.assert_array_equal(result[0], array, strict=True)
    np.testing.assert_array_equal(result[1], array[:, 1], strict=True)


def test_not_finite_numbers_come_through() -> None:
    result = through([float("inf"), float("-inf"), float("nan")])
    assert isinstance(result, list)
    assert result[:2] == [float("inf"), float("-inf")]
    assert np.isnan(result[2])


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_any_bytes_are_a_value_or_an_error_of_ours(text: bytes, body: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        wire.decode(text, body)


@pytest.mark.parametrize(
    "text",
    [
        b'{"array": ["float64", [1000000000]]}',
        b'{"array": ["object", [1]]}',
        b'{"array": ["float64", [-1]]}',
        b'{"array": ["float64", [true]]}',
        b'{"pickle": "x"}',
        b'{"a": 1, "b": 2}',
        b"[" * 100_000,
        b'{"dict": [[[1], 2]]}',
        b'{"tensor": [[1], [1, 2]]}',
        b'{"array": ["float64", [0, 1180591620717411303424]]}',
        b'{"object": -1}',
        b'{"object": 9223372036854775808}',
        b"-9223372036854775808",
        b'{"dict": [[{"tuple": [1, 2]}, 3]]}',
    ],
)
def test_malformed_frames_are_refused(text: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(text, b"\0" * 8)


def test_keys_that_have_one_hash_take_no_time() -> None:
    modulus = sys.hash_info.modulus
    pairs = ", ".join(f"[{number * modulus}, 0]" for number in range(1, 20_000))
    began = time.process_time()
    with pytest.raises(wire.WireError):
        wire.decode(f'{{"dict": [{pairs}]}}'.encode(), b"")
    assert time.process_time() - began < 4


def test_objects_of_other_classes_are_refused_or_kept() -> None:
    class Fake(np.ndarray):
        pass

    value = np.zeros(3).view(Fake)
    with pytest.raises(wire.WireError):
        wire.encode(value)
    kept: list[object] = []
    wire.encode([value], lambda item: kept.append(item) or len(kept) - 1)
    assert kept == [value] or kept[0] is value


def test_text_that_arrives_can_be_written_to_a_file() -> None:
    assert wire.decode(rb'["\ud800", "caf\u00e9"]', b"") == ["?", "café"]


def test_value_that_is_too_large_is_refused_before_it_is_copied() -> None:
    with pytest.raises(wire.WireError):
        wire.encode(np.broadcast_to(np.zeros(1), (1 << 40,)))  # 8 TB


def test_writing_stops_at_the_deadline() -> None:
    source, sink = os.pipe()
    try:
        with pytest.raises(wire.Silence):
            wire.send(sink, bytes(1 << 20), time.monotonic() + 0.05)
    finally:
        os.close(source)
        os.close(sink)


def test_reading_stops_at_the_deadline_and_at_the_end() -> None:
    source, sink = os.pipe()
    try:
        with pytest.raises(wire.Silence):
            wire.receive(source, time.monotonic() + 0.05)
        os.write(sink, struct.pack(">II", wire.MOST_JSON + 1, 0))
        with pytest.raises(wire.WireError):
            wire.receive(source, time.monotonic() + 1)
    finally:
        os.close(sink)
    with pytest.raises(wire.Closed):
        wire.receive(source, time.monotonic() + 1)
    os.close(source)
