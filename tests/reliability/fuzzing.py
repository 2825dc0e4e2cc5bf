"""What a reader of files may do with a broken one: read it, or name it in one line. How files are broken."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shared.errors import UserError

SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def fuzz(examples: int) -> settings:
    """Return settings that try the same examples each time."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=SLOW,
    )


def read_or_named(read: Callable[[], Any], *places: Path) -> Any:
    """Return what a reader returns, or None where it refuses: in one line that names one of these places.

    Any other exception goes through, and fails the test.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except UserError as error:
            message = str(error)
    assert any(str(place) in message for place in places), message
    assert "\n" not in message, message
    return None


BITS = (
    b"\0", b"\n", b"\r", b"\r\n", b" ", b"\t", b"  ", b"\x0b", b"\x1c", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"\xff",
    b"\xef\xbb\xbf", b"\xed\xa0\x80", b"-1", b"0", b"1e999", b"nan", b"inf", b"9" * 30, b"9" * 5000, b"1000000000000",
    b"{", b"}", b"[", b"]", b'"', b"'", b":", b",", b"null", b"true", b"1.5", b"[" * 3000, b"\\ud800", b"\\u0000",
    b"2001-99-99", b"!!python/object/apply:os.getcwd []", b"&a [*a]", b"../", b"/", b"%", b"<unk> 1",
)  # fmt: skip
"""What files go wrong by."""


@st.composite
def broken(draw: st.DrawFn, *originals: bytes) -> bytes:
    """Return a valid file with some pieces cut out, doubled, overwritten or put in; sometimes mere noise."""
    if draw(st.integers(0, 7)) == 0:
        return draw(st.binary(max_size=200))
    content = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from((0, 0, 1, 1, 2, 7, 40, 100_000))))
        double = st.just(content[start:end] * 2)
        piece = draw(st.sampled_from(BITS) | st.binary(max_size=4) | double)
        content = content[:start] + piece + content[end:]
    return content
