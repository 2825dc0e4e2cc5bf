"""Archives of any content, and archives damaged anywhere, unpack to plain files inside the folder, or not at all.

The known tricks have a test each beside `shared.data.archives`; here they are mixed.
"""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from fuzzing import broken, fuzz, read_or_named
from hypothesis import example, given
from hypothesis import strategies as st

from shared.data.archives import extract

LIMIT = 20_000
NAMES = st.sampled_from(
    (
        "a", "b", "a/b", "a/c", "./a", "a/./d", "..", "../a", "a/../../b", "/a", "//a/b", "C:/a", "C:a",
        "..\\a", "\\a", "a\\b", "", ".", "a/", "a//b", "~/a", "A", "a\0b", "\n", "x" * 300, "x/" * 200 + "x", "._a",
        "__MACOSX/a", "CON", "a:b", "\u00e9", "e\u0301", "\udc80", ".content", "link", "link/a",
    )
) | st.text(max_size=12)  # fmt: skip
SIZES = st.sampled_from((0, 1, 500, LIMIT, LIMIT + 1, 10 * LIMIT))
KINDS = (
    tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
    tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"Z",
)  # fmt: skip
TAR_MEMBERS = st.tuples(NAMES, st.sampled_from(KINDS), NAMES, SIZES)
MODES = (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO)
ZIP_MEMBERS = st.tuples(NAMES, st.sampled_from(MODES), SIZES)


def tar_of(members: list[tuple[str, bytes, str, int]], form: int) -> bytes:
    """Return a tar with these (name, kind, target of a link, size)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as archive:
        for name, kind, target, size in members:
            info = tarfile.TarInfo(name)
            has_content = kind in (tarfile.REGTYPE, tarfile.AREGTYPE)
            info.type, info.linkname, info.size = kind, target, size if has_content else 0
            info.mode, info.devmajor, info.devminor = 0o4777, 1, 3
            archive.addfile(info, io.BytesIO(b"x" * info.size))
    return raw.getvalue()


def zip_of(members: list[tuple[str, int, int]]) -> bytes:
    """Return a zip with these (name, kind of file, size)."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, size in members:
            info = zipfile.ZipInfo("a")
            info.filename, info.orig_filename = name, name  # without what ZipInfo mends
            info.external_attr = (mode | 0o4777) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, b"x" * size)
    return raw.getvalue()


def assert_harmless(folder: Path, name: str, content: bytes) -> None:
    """Unpack, and see that nothing but plain files, of a bounded size, inside the target came of it."""
    archive, target = folder / "inner" / name, folder / "inner" / "out"
    archive.parent.mkdir()
    archive.write_bytes(content)
    unpacked = read_or_named(lambda: extract(archive, target, max_bytes=LIMIT), archive.parent)
    assert sorted(folder.iterdir()) == [archive.parent]
    expected = {archive} if unpacked is None else {archive, target}
    assert set(archive.parent.iterdir()) == expected  # nothing half-unpacked either
    paths = list(target.rglob("*"))
    kinds = {stat.S_IFMT(path.lstat().st_mode) for path in paths}
    assert kinds <= {stat.S_IFREG, stat.S_IFDIR}
    files = [path for path in paths if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LIMIT
    assert all(path.stat().st_nlink == 1 and not path.stat().st_mode & 0o7000 for path in files)


@fuzz(200)
@given(
    members=st.lists(TAR_MEMBERS, max_size=5),
    form=st.sampled_from((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)),
)
def test_any_tar_is_unpacked_inside_its_folder_or_refused(
    members: list[tuple[str, bytes, str, int]],
    form: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    try:
        content = tar_of(members, form)
    except (ValueError, UnicodeError):  # the form can't say it
        return
    assert_harmless(tmp_path_factory.mktemp("tar"), "x.tar", content)


@fuzz(200)
@given(members=st.lists(ZIP_MEMBERS, max_size=5, unique_by=lambda member: member[0]))
@example(members=[("", 0, 5)])
def test_any_zip_is_unpacked_inside_its_folder_or_refused(
    members: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        content = zip_of(members)
    except (ValueError, UnicodeError):
        return
    assert_harmless(tmp_path_factory.mktemp("zip"), "x.zip", content)


GOOD = [("set/a.txt", 0, 300), ("set/b/c.bin", stat.S_IFREG, 2000), ("set/\u00e9", 0, 1)]
GOOD_ZIP = zip_of(GOOD)
GOOD_TAR = tar_of([(name, tarfile.REGTYPE, "", size) for name, _, size in GOOD], tarfile.PAX_FORMAT)
PACKED = {
    "x.zip": GOOD_ZIP,
    "x.tar": GOOD_TAR,
    "x.tar.gz": gzip.compress(GOOD_TAR, mtime=0),
    "x.tar.xz": lzma.compress(GOOD_TAR),
    "x.gz": gzip.compress(b"words " * 1000, mtime=0),
}


@pytest.mark.parametrize("name", PACKED)
def test_damaged_archive_is_unpacked_inside_its_folder_or_named(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @fuzz(120)
    @given(content=broken(PACKED[name]))
    def check(content: bytes) -> None:
        assert_harmless(tmp_path_factory.mktemp("damaged"), name, content)

    check()
