"""The checksum of data: the same bytes have the same one, and other bytes another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.data import checksum as checksum_module
from shared.data import datasets
from shared.data.checksum import describe
from shared.errors import UserError


@pytest.fixture(params=["small", "large"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two files, once so large that its checksum is kept."""
    if request.param == "large":
        monkeypatch.setattr(checksum_module, "LARGE", 1)
    monkeypatch.setattr(datasets, "cache_root", lambda: tmp_path / "cache")
    (tmp_path / "set" / "sub").mkdir(parents=True)
    (tmp_path / "set" / "z").write_text("12")
    (tmp_path / "set" / "sub" / "a").write_text("123")
    return tmp_path / "set"


def test_content_and_names_inside_count_and_the_name_of_the_folder_does_not(folder: Path) -> None:
    first = describe(folder)
    assert (first.name, first.files, len(first.sha256)) == ("set", 2, 64)
    assert first.as_dict().keys() == {"name", "sha256", "files"}
    assert describe(folder) == first
    moved = folder.rename(folder.with_name("moved"))
    assert (describe(moved).name, describe(moved).sha256) == ("moved", first.sha256)
    (moved / "sub" / "a").write_text("124")  # as long as before
    changed = describe(moved).sha256
    (moved / "z").rename(moved / "c")
    assert len({first.sha256, changed, describe(moved).sha256}) == 3


def test_hidden_files_and_what_desktops_leave_do_not_count(folder: Path) -> None:
    first = describe(folder)
    for name in (".DS_Store", ".treebank.txt.lock", "Thumbs.db"):
        (folder / name).write_text("junk")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("junk")
    (folder / ".#z").symlink_to("someone@host.123")  # Emacs's lock
    assert describe(folder) == first


def test_link_to_nothing_is_named(folder: Path) -> None:
    (folder / "train.txt").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"train\.txt: is a link to a file that does not exist"):
        describe(folder)


def test_same_bytes_in_one_file_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1234")
    first = describe(tmp_path / "a.txt")
    assert (first.name, first.files) == ("a.txt", 1)
    (tmp_path / "a.txt").rename(tmp_path / "b.txt")
    assert describe(tmp_path / "b.txt").sha256 == first.sha256
    (tmp_path / "b.txt").write_text("1235")
    assert describe(tmp_path / "b.txt").sha256 != first.sha256


def test_linked_folder_counts_and_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f").write_text("1")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    assert describe(tmp_path / "set").files == 1


def test_large_data_is_read_once_and_again_when_a_file_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksum_module, "LARGE", 1)
    monkeypatch.setattr(datasets, "cache_root", lambda: tmp_path / "cache")
    read: list[str] = []
    real = checksum_module._digest_of
    monkeypatch.setattr(
        checksum_module, "_digest_of", lambda file: (read.append(file.name), real(file))[1]
    )
    path = tmp_path / "a.txt"
    path.write_text("1234")
    first = describe(path)
    assert describe(path) == first
    assert read == ["a.txt"]
    path.write_text("1235")
    os.utime(path, ns=(1, 1))
    assert describe(path) != first
    for kept in (tmp_path / "cache" / "checksums").iterdir():
        kept.write_text("torn")
    assert describe(path) != first
    assert len(read) == 3


def test_kept_checksum_is_not_taken_for_another_folder_with_the_same_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksum_module, "LARGE", 1)
    monkeypatch.setattr(datasets, "cache_root", lambda: tmp_path / "cache")
    for name, text in (("one", "1234"), ("two", "1235")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(text)
        os.utime(tmp_path / name / "a.txt", ns=(1, 1))
    assert describe(tmp_path / "one").sha256 != describe(tmp_path / "two").sha256


def test_cache_that_cannot_be_written_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksum_module, "LARGE", 1)
    (tmp_path / "file").touch()
    monkeypatch.setattr(datasets, "cache_root", lambda: tmp_path / "file")
    (tmp_path / "a.txt").write_text("1234")
    assert describe(tmp_path / "a.txt").files == 1
