"""Every reader of a file of others reads it or names it in one line, whatever is in it, and in the memory it is worth.

Valid files are cut, doubled, overwritten and mixed with what files go wrong by; the same ones each time.
"""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing import broken, fuzz, read_or_named
from hypothesis import example, given
from hypothesis import strategies as st
from readers import NPZ, PAIRS, READERS, zipped

from shared.text.vectors import load_pretrained
from shared.text.vocabulary import Vocabulary

ROOM = 2 << 30
"""Bytes that a reader of a small file may ask the system for, at the very most."""


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """Let a reader that believes any number fail with MemoryError instead of taking the machine down."""
    resource = pytest.importorskip("resource", reason="needs a POSIX system")
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs /proc")
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(statm.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", READERS)
def test_broken_file_is_read_or_named(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    reader = READERS[name]
    reader.read(reader.put(tmp_path_factory.mktemp("valid"), reader.valid[0]))

    @fuzz(reader.examples)
    @given(content=broken(*reader.valid))
    def check(content: bytes) -> None:
        root = tmp_path_factory.mktemp("broken")
        path = reader.put(root, content)
        read_or_named(lambda: reader.read(path), root)

    check()


def said_of_member(content: bytes, value: int, central: int, local: int) -> bytes:
    """Write 2 bytes into both headers of a zip's only member."""
    for mark, offset in ((b"PK\x01\x02", central), (b"PK\x03\x04", local)):
        place = content.find(mark) + offset
        content = content[:place] + struct.pack("<H", value) + content[place + 2 :]
    return content


ZIPS = [(name, READERS[name].valid[0]) for name in ("GloVe, zipped", "SNLI, zipped")]
# What noise would hardly meet: what it is -> the reader that gets it, the file
CASES = {
    **{f"{name}, encrypted": (name, said_of_member(content, 1, 8, 6)) for name, content in ZIPS},
    **{f"{name}, no lzma": (name, said_of_member(content, 14, 10, 8)) for name, content in ZIPS},
    **{f"{name}, unknown method": (name, said_of_member(content, 99, 10, 8)) for name, content in ZIPS},
    "dimension beyond 64 bits": ("word2vec text", b"3 " + b"9" * 30 + b"\nthe 1 2\n"),
    "count beyond 64 bits": ("vocabulary", b"<unk> 1\nthe 99999999999999999999\n"),
    "count of 5000 digits": ("vocabulary", b"<unk> 1\nthe " + b"9" * 5000 + b"\n"),
    "half of a surrogate pair": ("SNLI", PAIRS.replace(b"sleeps", b"\\ud83d sleeps")),
    "deep JSON": ("SNLI", b"[" * 100_000 + b"\n"),
    "deep synonyms": ("synonyms", b"[" * 100_000),
    "synonym of 5000 digits": ("synonyms", b"[" + b"9" * 5000 + b"]"),
    "label that is a list": ("SNLI", PAIRS.replace(b'"neutral"', b'["neutral"]')),
    "date that is none": ("settings, cbow", b"seed: 2001-99-99\n"),
    "deep YAML": ("settings, cbow", b"seed: " + b"[" * 3000),
    "YAML that names itself": ("settings, cbow", b"seed: &a [*a]\n"),
    "YAML that would run code": ("settings, cbow", b"seed: !!python/object/apply:os.getcwd []\n"),
    "key that is a list": ("settings, cbow", b"? [1, 2]\n: 3\n"),
    "number of 5000 digits": ("settings, cbow", b"seed: " + b"9" * 5000 + b"\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_odd_file_is_read_or_named(case: str, tmp_path: Path) -> None:
    name, content = CASES[case]
    path = READERS[name].put(tmp_path, content)
    read_or_named(lambda: READERS[name].read(path), tmp_path)


# Files that claim to be larger than they are


def npz_that_claims(shape: tuple[int, ...]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(NPZ)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    raw = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(raw, header)
    members["matrix.npy"] = raw.getvalue() + b"\0" * 24
    return zipped(**{name.replace(".", "__"): content for name, content in members.items()})


MANY = Vocabulary([f"w{number}" for number in range(100)], [1] * 100, unknown=None)


def some_vectors(path: Path) -> Any:
    return load_pretrained(path, MANY, on_bad_line="skip")


word2vec, vectors = READERS["word2vec text"].read, READERS["vectors, npz"].read
CLAIMS: dict[str, tuple[Callable[[Path], Any], str, bytes]] = {
    "text of 10^12 rows": (word2vec, "v.txt", b"1000000000000 300\nthe 1 2 3\n"),
    "binary of 10^12 rows": (word2vec, "v.bin", b"1000000000000 300\nthe " + b"\1" * 1200),
    "rows of 10^12 numbers": (word2vec, "v.txt", b"3 1000000000000\nthe 1 2 3\n"),
    "no row of a million numbers": (some_vectors, "v.txt", b"0 1000000\n"),
    "10^12 rows, some wanted": (some_vectors, "v.bin", b"1000000000000 1000000\nw1 " + b"\1" * 99),
    "prose without a line break": (some_vectors, "v.txt", b"word " * 200_000),
    "npz of 10^12 rows": (vectors, "v.npz", npz_that_claims((10**12, 300))),
    "npz of 10^9 rows": (vectors, "v.npz", npz_that_claims((10**9, 1))),
}  # fmt: skip


@pytest.mark.parametrize("claim", CLAIMS)
def test_memory_is_taken_for_what_is_there_and_not_for_what_is_claimed(
    claim: str, tmp_path: Path
) -> None:
    read, name, content = CLAIMS[claim]
    path = tmp_path / name
    path.write_bytes(content)
    tracemalloc.start()
    try:
        read_or_named(lambda: read(path), path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    allowed = 80_000_000 + 20 * len(content)  # 64 MB are a reader's first room for rows
    assert peak < allowed, f"{peak:,} bytes for a file of {len(content):,}"


# Reviews and images


@fuzz(100)
@given(
    names=st.lists(
        st.builds("{}_{}{}".format, st.integers(), st.integers(-3, 12), st.sampled_from((".txt", ".TXT", "", ".txt ")))
        | st.text(st.characters(exclude_characters="/\0", max_codepoint=0x2FFF), min_size=1, max_size=20),
        max_size=4, unique=True,
    ),
    texts=st.lists(broken(b"A fine film.<br /><br />Really.", "caf\u00e9".encode()), min_size=4, max_size=4),
    films=broken(b"http://www.imdb.com/title/tt0000001/usercomments\n" * 3),
)  # fmt: skip
@example(names=["1_7.txt\n"], texts=[b"a"] * 4, films=b"")
@example(names=["\u0661_\u0667.txt"], texts=[b"a"] * 4, films=b"x\n" * 3)
def test_reviews_with_any_names_texts_and_films_are_read_or_named(
    names: list[str], texts: list[bytes], films: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from imdb_sentiment.data.dataset import load

    root = tmp_path_factory.mktemp("reviews")
    for split in ("train", "test"):
        for label, rating in (("neg", 2), ("pos", 8)):
            (root / split / label).mkdir(parents=True)
            for number in range(4):
                (root / split / label / f"{number}_{rating}.txt").write_text("fine")
    (root / "train" / "urls_pos.txt").write_bytes(films)
    for name, text in zip(names, texts, strict=False):
        try:
            (root / "train" / "pos" / name).write_bytes(text)
        except (OSError, ValueError):  # the file system does not take the name
            continue
    data = read_or_named(lambda: load(str(root), valid_fraction=0.25, limit=None, seed=1), root)
    assert data is None or len(data.train) + len(data.valid) >= 8


def images_of_all_kinds() -> tuple[bytes, ...]:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 4, (64, 64, 3), dtype=np.uint8)
    contents = []
    for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        raw = io.BytesIO()
        Image.fromarray(noise * 64).save(raw, form)
        contents.append(raw.getvalue())
    return tuple(contents)


@fuzz(150)
@given(content=broken(*images_of_all_kinds()), resize=st.booleans())
def test_broken_image_is_decoded_or_bad(
    content: bytes, resize: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from resnet_tiny.data.decode import BadImage, decode

    path = tmp_path_factory.mktemp("image") / "x.JPEG"
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = decode(path, 64, resize=resize)
    except BadImage:
        return  # with a reason, which training tells with the file's name
    assert pixels.shape == (64, 64, 3)
