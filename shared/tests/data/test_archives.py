"""Unpacking: good archives of every kind, and archives made to do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.data import archives
from shared.data.archives import extract
from shared.errors import UserError
from shared.locks import acquire

FILES = {"set/a.txt": b"one\n", "set/deep/er/b.bin": bytes(range(256)), "set/empty": b""}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return pack(path, raw.getvalue())


def make_tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member)
    return path


def pack(path: Path, data: bytes) -> Path:
    packers = {".gz": gzip.compress, ".tgz": gzip.compress, ".xz": lzma.compress}
    packers |= {".bz2": bz2.compress}
    path.write_bytes(packers.get(path.suffix, bytes)(data))
    return path


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def assert_refused(archive: Path, match: str, **options: int) -> None:
    """Refused with one line, and nothing of it is left anywhere near."""
    around = archive.parent
    before = sorted(around.rglob("*"))
    with pytest.raises(UserError, match=match) as caught:
        extract(archive, around / "out", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert sorted(around.rglob("*")) == before


KINDS: list[tuple[str, Callable[[Path, dict[str, bytes]], Path]]] = [
    ("x.zip", make_zip), ("x.tar", make_tar), ("x.tar.gz", make_tar), ("x.tgz", make_tar),
    ("x.tar.xz", make_tar), ("x.tar.bz2", make_tar),
]  # fmt: skip


@pytest.mark.parametrize("name, make", KINDS)
def test_every_kind_gives_the_same_files(
    tmp_path: Path, name: str, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    folder = extract(make(tmp_path / name, FILES), tmp_path / "out")
    assert content(folder) == FILES
    assert {path.name for path in tmp_path.iterdir()} == {name, "out"}


def test_gz_of_one_file_gives_that_file(tmp_path: Path) -> None:
    folder = extract(pack(tmp_path / "text8.gz", b"words " * 1000), tmp_path / "out")
    assert content(folder) == {"text8": b"words " * 1000}


def test_many_small_tar_members_pass_the_header_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_HEADER_ROOM", 1 << 16)
    files = {f"d/{number}.txt": b"x" * 600 for number in range(300)}  # 150 kB of headers
    assert content(extract(make_tar(tmp_path / "x.tar", files), tmp_path / "out")) == files


def test_one_top_folder_can_be_stripped(tmp_path: Path) -> None:
    folder = extract(make_zip(tmp_path / "x.zip", FILES), tmp_path / "set2", strip_top=True)
    assert set(content(folder)) == {"a.txt", "deep/er/b.bin", "empty"}


def test_two_top_entries_are_not_stripped(tmp_path: Path) -> None:
    files = FILES | {"readme": b""}
    folder = extract(make_zip(tmp_path / "x.zip", files), tmp_path / "out", strip_top=True)
    assert set(content(folder)) == set(files)


def test_desktop_leftovers_are_skipped(tmp_path: Path) -> None:
    junk = ["__MACOSX/set/._a.txt", "set/.DS_Store", "set/Icon\r", "set/._a.txt"]
    archive = make_zip(tmp_path / "x.zip", FILES | dict.fromkeys(junk, b"junk"))
    assert content(extract(archive, tmp_path / "out", strip_top=True)).keys() == {
        "a.txt",
        "deep/er/b.bin",
        "empty",
    }


def test_new_folder_is_open_to_others_as_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    folder = extract(make_zip(tmp_path / "x.zip", FILES), tmp_path / "out")
    assert folder.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_empty_folder_is_filled_but_content_is_never_overwritten(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", FILES)
    (tmp_path / "out").mkdir()
    extract(archive, tmp_path / "out")
    (tmp_path / "out" / "set" / "a.txt").write_text("mine")
    with pytest.raises(UserError, match="already there"):
        extract(archive, tmp_path / "out")
    assert (tmp_path / "out" / "set" / "a.txt").read_text() == "mine"


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "set/../../evil",
        "/evil",
        "..\\evil",
        "C:\\evil",
        "C:evil",
        "\\\\host\\share\\evil",
        "//evil",
    ],
)
def test_name_that_leads_outside_is_refused(
    tmp_path: Path, name: str, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    archive = make(tmp_path / ("x.zip" if make is make_zip else "x.tar"), FILES | {name: b"bad"})
    assert_refused(archive, "leads outside")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_tar_link_or_device_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("set/odd")
    member.type, member.linkname = kind, "a.txt"
    assert_refused(make_tar_of(tmp_path / "x.tar", member), "link or a device")


def test_zip_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("set/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert_refused(tmp_path / "x.zip", "link or a device")


def test_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a": b"\0" * 600_000, "b": b"\0" * 600_000})
    assert_refused(archive, "more than 1,000,000 bytes", max_bytes=1_000_000)


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.xz"])
def test_tar_bomb_is_refused(tmp_path: Path, name: str) -> None:
    archive = make_tar(tmp_path / name, {"a": b"\0" * 600_000, "b": b"\0" * 600_000})
    assert_refused(archive, "more than 1,000,000 bytes", max_bytes=1_000_000)


def test_gz_bomb_is_refused_by_its_real_size(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.gz", b"\0" * 3_000_000)
    assert_refused(archive, "more than 1,000,000 bytes", max_bytes=1_000_000)


def test_tar_header_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.XHDTYPE, 40_000_000
    raw = header.tobuf() + b"\0" * 40_000_000
    pack(tmp_path / "x.tar.gz", raw)
    assert_refused(tmp_path / "x.tar.gz", "header is too large")


def test_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a": b"\0" * 5_000_000})
    raw = archive.read_bytes()
    true, false = (5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert raw.count(true) == 2  # local header and central directory
    archive.write_bytes(raw.replace(true, false))
    assert_refused(archive, "damaged")


def test_same_name_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "2")
    assert_refused(tmp_path / "x.zip", "holds a twice")


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a": b"secret"})
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(raw)
    assert_refused(archive, "encrypted")


@pytest.mark.parametrize("name, make", KINDS)
def test_cut_archive_leaves_nothing(
    tmp_path: Path, name: str, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    archive = make(tmp_path / name, {"a": bytes(range(256)) * 4000, "b": b"b" * 100_000})
    raw = archive.read_bytes()
    archive.write_bytes(raw[: len(raw) // 2])
    assert_refused(archive, "damaged")


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a": bytes(range(256)) * 40})
    raw = bytearray(archive.read_bytes())
    raw[60] ^= 0xFF
    archive.write_bytes(raw)
    assert_refused(archive, "damaged")


def test_flipped_bits_in_a_compressed_tar_are_noticed(tmp_path: Path) -> None:
    """The checksum is behind the mark that ends the tar, where tarfile stops reading."""
    tar = make_tar(tmp_path / "x.tar", {"a": bytes(range(256)) * 40}).read_bytes()
    (tmp_path / "x.tar").unlink()
    raw = bytearray(gzip.compress(tar, compresslevel=0))
    raw[2000] ^= 0xFF  # in the file's content
    (tmp_path / "x.tar.gz").write_bytes(raw)
    assert_refused(tmp_path / "x.tar.gz", "damaged")


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:1024], lambda raw: raw[:1100], lambda raw: raw.replace(b"b.txt", b"c.txt")],
    ids=["cut between members", "cut in a header", "header that is not its checksum's"],
)  # fmt: skip
def test_tar_with_a_member_that_cannot_be_read_is_not_taken_for_a_shorter_one(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    archive = make_tar(tmp_path / "x.tar", {"a.txt": b"one", "b.txt": b"two"})
    archive.write_bytes(damage(archive.read_bytes()))
    assert_refused(archive, "damaged")


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.xz", "x.tar", "x.gz"])
def test_web_page_named_as_an_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"<!DOCTYPE html><html>" + b"log in " * 500)
    assert_refused(tmp_path / name, "damaged")


def test_what_a_killed_call_left_is_removed_and_that_of_a_running_one_is_not(
    tmp_path: Path,
) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a": b"1"})
    leftover = tmp_path / ".out.k1ll3d.part"
    (leftover / "content").mkdir(parents=True)
    (tmp_path / ".outer.k1ll3d.part").mkdir()
    with_lock = acquire(tmp_path / ".out.lock")
    extract(archive, tmp_path / "out")
    assert leftover.exists()
    with_lock.release()
    shutil.rmtree(tmp_path / "out")
    extract(archive, tmp_path / "out")
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {".out.lock"} == {"x.zip", "out", ".outer.k1ll3d.part"}


def test_empty_archive_is_refused(tmp_path: Path) -> None:
    assert_refused(make_zip(tmp_path / "x.zip", {}), "no files")


def test_unknown_kind_and_missing_file_are_user_errors(tmp_path: Path) -> None:
    (tmp_path / "x.rar").write_bytes(b"Rar!")
    assert_refused(tmp_path / "x.rar", "its name is not")
    assert_refused(tmp_path / "none.zip", "not found")
