from __future__ import annotations

import bz2
import gzip
import io
import lzma
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UserError
from shared.text import text_files
from shared.text.text_files import (
    PACKED,
    as_they_arrive,
    read_line_parts,
    read_pieces,
    standard_input,
    without_packing,
)


@given(text=st.text(st.sampled_from("ab é戦\n "), max_size=60), size=st.integers(1, 9))
def test_pieces_joined_are_the_text_and_no_word_is_cut(
    text: str, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_text(text, encoding="utf-8", newline="\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "PIECE", size)
        pieces = list(read_pieces(path))
    assert "".join(pieces) == text
    for piece in pieces[:-1]:
        assert piece[-1] in " \n" or len(piece) > size


def test_lines_come_without_their_ends_and_like_those_of_python(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffa b\r\n\nc\nlast".encode())
    assert [text for text, _ in read_line_parts(path)] == ["a b", "", "c", "last"]


def test_long_line_comes_in_parts_of_which_the_last_one_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("word " * 800_000 + "\nshort\nlast")
    parts = list(read_line_parts(path))
    assert len(parts) > 3 and [text for text, _ in parts[-2:]] == ["short", "last"]
    assert [is_end for _, is_end in parts] == [False] * (len(parts) - 3) + [True] * 3
    assert "".join(text for text, _ in parts[:-2]) == "word " * 800_000


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def packed(text: bytes, suffix: str) -> bytes:
    if suffix == ".zst":
        return pytest.importorskip("backports.zstd", reason="needs the extra zst").compress(text)
    return PACKERS[suffix](text)


@pytest.mark.parametrize("suffix", PACKED)
def test_packed_text_is_read_like_plain_text(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix.upper()}"
    path.write_bytes(packed("é 1\n2\n".encode("latin-1"), suffix))
    assert [text for text, _ in read_line_parts(path, "latin-1")] == ["é 1", "2"]
    assert without_packing(path).name == "a.txt"


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_damaged_packed_text_is_named(suffix: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    whole = packed(b"a b\n" * 100, suffix)
    path.write_bytes(whole[:20] if damage == "cut" else b"no archive" * 9)
    with pytest.raises(UserError, match=rf"a\{suffix}: is a damaged \{suffix}"):
        list(read_pieces(path))


def test_other_packing_is_named_not_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt.7z").write_bytes(b"plain")
    with pytest.raises(UserError, match="is packed in a way that is not read here"):
        list(read_pieces(tmp_path / "a.txt.7z"))


def test_hundred_megabyte_line_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    with path.open("w") as file:
        for _ in range(100):
            file.write("word another " * 80_000)
    longest = words = 0
    for line, _ in read_line_parts(path):
        longest, words = max(longest, len(line)), words + line.count(" ")
    assert words == 100 * 160_000
    assert longest <= 3 * text_files.PIECE


BAD = {
    "NUL": (b"a b\nc \0 d\n", "utf-8", "a.txt:2: holds a NUL byte"),
    "UTF-16": ("a b\nc".encode("utf-16"), "utf-8", "a.txt:1: "),
    "latin-1": ("a b\nc\ncafé\n".encode("latin-1"), "utf-8", "a.txt:3: is not utf-8"),
    "cut": ("a b\nc\ncafé".encode()[:-1], "utf-8", "a.txt:3: is not utf-8"),
    "gb18030": (b"a\nb \xff\xff c", "gb18030", "a.txt:2: is not gb18030"),
    "no mark": (b"plain text", "utf-16", ": is not utf-16 ("),
    "encoding": (b"a", "utf-99", "--encoding utf-99 is not known"),
    "no text": (b"a", "hex", "--encoding hex is not known"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("size", [1 << 20, 3])
def test_what_is_no_text_is_refused_by_line(
    case: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "PIECE", size)
    content, encoding, expected = BAD[case]
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError) as error:
        list(read_pieces(tmp_path / "a.txt", encoding))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: not found. Expected a book"):
        list(read_pieces(tmp_path / "none.txt", expected="a book"))
    with pytest.raises(UserError, match="is a folder"):
        list(read_pieces(tmp_path))


def test_text_in_utf16_is_said_to_hold_nul_bytes_rather_than_to_be_bad_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("a b\nc".encode("utf-16"))
    with pytest.raises(UserError, match="holds a NUL byte"):
        list(read_pieces(tmp_path / "a.txt"))


def test_what_arrives_is_handed_on_in_order_and_an_error_comes_behind_it() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise KeyError("last")

    seen: list[int] = []
    with pytest.raises(KeyError, match="last"):
        for batch in as_they_arrive(items(), 2):
            assert 1 <= len(batch) <= 2
            seen += batch
    assert seen == [0, 1, 2, 3, 4]
    waiting = threading.Event()

    def slow() -> Iterator[str]:
        yield "a"
        assert waiting.wait(60)
        yield "b"

    batches = as_they_arrive(slow(), 2)
    assert next(batches) == ["a"]  # while "b" is still to come
    waiting.set()
    assert list(batches) == [["b"]]


def test_standard_input_is_utf_8_whatever_the_machine_says_and_names_what_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lines_of(content: bytes) -> list[str]:
        wrapped = io.TextIOWrapper(io.BytesIO(content), encoding="ascii")
        monkeypatch.setattr("sys.stdin", wrapped)
        return list(standard_input())

    assert lines_of("\ufeffcafé\r\nthé".encode()) == ["café\n", "thé"]
    assert lines_of(b"one\rline\n") == ["one\rline\n"]
    assert lines_of(b"") == []
    with pytest.raises(
        UserError, match=r"^standard input, line 1 or one of the next: not UTF-8 .* iconv\.$"
    ):
        lines_of("café\n".encode("latin-1"))
    monkeypatch.setattr("sys.stdin", io.StringIO("a\nb"))  # has no bytes
    assert list(standard_input()) == ["a\n", "b"]
