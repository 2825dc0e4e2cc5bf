"""Where data is looked for, how a folder is told from another, and what is fetched."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.data import datasets
from shared.data.datasets import SOURCES, data_root, fetch_dataset, find_data
from shared.data.fetch import Source
from shared.errors import UserError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Stands in for the network: file name -> bytes; what is missing fails as `fetch` does."""
    served: dict[str, bytes] = {}

    def fetch(source: Source, folder: Path, *, quiet: bool) -> Path:
        if source.file not in served:
            raise UserError(f"{source.file} could not be downloaded.")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / source.file).write_bytes(served[source.file])
        return folder / source.file

    monkeypatch.setattr(datasets, "fetch", fetch)
    return served


def zipped(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return raw.getvalue()


def test_data_root_is_the_environment_s_choice(root: Path) -> None:
    assert data_root() == root


@pytest.mark.parametrize(
    "platform, variable, expected",
    [
        ("linux", "XDG_CACHE_HOME", "{variable}/dltasks"),
        ("linux", None, "{home}/.cache/dltasks"),
        ("darwin", None, "{home}/Library/Caches/dltasks"),
        ("win32", "LOCALAPPDATA", "{variable}/dltasks"),
        ("win32", None, "{home}/AppData/Local/dltasks"),
    ],
)
def test_data_root_is_else_the_platform_s_cache(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    platform: str,
    variable: str | None,
    expected: str,
) -> None:
    for name in ("DLTASKS_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "chosen"))
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert data_root() == Path(expected.format(variable=tmp_path / "chosen", home=tmp_path))


def test_relative_xdg_cache_home_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DLTASKS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert data_root() == tmp_path / ".cache" / "dltasks"


def test_given_data_comes_before_the_root_s(root: Path, tmp_path: Path) -> None:
    (root / "cbow").mkdir(parents=True)
    (root / "cbow" / "treebank.txt").write_text("a")
    assert find_data("cbow", str(tmp_path)) == tmp_path
    assert find_data("cbow", None) == root / "cbow"


def test_given_data_that_is_missing_is_an_error_not_the_sample(root: Path) -> None:
    # Without --data, `evaluate` measures on the run's data, and `report` has no such option.
    with pytest.raises(UserError, match=r"--data no/such/folder: not found\..* exists\.$"):
        find_data("cbow", "no/such/folder")
    # As of `--data "$NAME"` where the variable is not set: not the working folder.
    with pytest.raises(UserError, match="--data is empty"):
        find_data("cbow", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, with no DLTASKS_DATA."""
    monkeypatch.delenv("DLTASKS_DATA", raising=False)
    monkeypatch.setattr(datasets, "cache_root", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_no_data_in_the_cache_means_the_sample_and_so_does_what_a_failed_fetch_left(
    cache: Path,
) -> None:
    assert find_data("cbow", None) is None
    (cache / "cbow").mkdir(parents=True)
    assert find_data("cbow", None) is None
    (cache / "cbow" / ".treebank.txt.lock").touch()
    (cache / "cbow" / "treebank.txt.part").touch()
    assert find_data("cbow", None) is None
    (cache / "cbow" / "treebank.txt").touch()
    assert find_data("cbow", None) == cache / "cbow"


def test_no_data_where_the_environment_says_is_an_error_not_the_sample(root: Path) -> None:
    with pytest.raises(UserError, match=r"DLTASKS_DATA is set, but there is no data in .*cbow"):
        find_data("cbow", None)
    (root / "cbow").mkdir(parents=True)
    (root / "cbow" / ".treebank.txt.lock").touch()
    with pytest.raises(UserError, match="DLTASKS_DATA is set"):
        find_data("cbow", None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_pipe_is_copied_since_it_can_be_read_only_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(
        target=(tmp_path / "pipe").write_text, args=("some words",), daemon=True
    )
    writer.start()
    path = find_data("cbow", str(tmp_path / "pipe"))
    writer.join()
    assert path is not None
    assert path.read_text() == path.read_text() == "some words"


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_can_be_fetched_and_checked(name: str) -> None:
    assert SOURCES[name]
    for source in SOURCES[name]:
        assert len(source.sha256) == 64
        assert set(source.sha256) <= set("0123456789abcdef")
        assert "/" not in source.file
        assert source.urls
        for url in source.urls:
            assert url.isascii()
            assert urlsplit(url).scheme in ("http", "https")


def test_plain_files_land_in_the_data_set_s_folder(root: Path, web: dict[str, bytes]) -> None:
    web |= {"treebank.txt": b"t", "synonyms.json": b"{}", "debug.txt": b"d"}
    assert fetch_dataset("cbow", quiet=True) == root / "cbow"
    assert {path.name for path in (root / "cbow").iterdir()} == set(web)
    assert find_data("cbow", None) == root / "cbow"


def test_archive_is_laid_out_without_its_top_folder(root: Path, web: dict[str, bytes]) -> None:
    web["snli_1.0.zip"] = zipped({"snli_1.0/snli_1.0_dev.txt": b"x", "__MACOSX/._y": b"y"})
    folder = fetch_dataset("snli", quiet=True)
    assert [path.name for path in folder.iterdir()] == ["snli_1.0_dev.txt"]
    assert (root / "downloads" / "snli_1.0.zip").exists()


def test_data_set_that_is_there_is_left_alone(root: Path, web: dict[str, bytes]) -> None:
    (root / "snli").mkdir(parents=True)
    (root / "snli" / "mine.txt").write_text("mine")
    assert fetch_dataset("snli", quiet=True) == root / "snli"
    assert (root / "snli" / "mine.txt").read_text() == "mine"


def test_wikitext_comes_from_the_publisher_s_archive_when_its_files_cannot_be_had(
    root: Path, web: dict[str, bytes]
) -> None:
    splits = {split: split.encode() for split in ("train", "valid", "test")}
    web["train.txt"] = b"train"  # the others fail
    web["wikitext-2-v1.zip"] = zipped(
        {f"wikitext-2/wiki.{split}.tokens": text for split, text in splits.items()}
    )
    folder = fetch_dataset("wikitext-2", quiet=True)
    assert {path.stem: path.read_bytes() for path in folder.iterdir()} == splits
    assert {path.name for path in root.iterdir()} == {"wikitext-2", "downloads"}


def test_both_ways_to_wikitext_failing_names_both(root: Path, web: dict[str, bytes]) -> None:
    with pytest.raises(UserError, match=r"train.txt could not.*wikitext-2-v1.zip could not"):
        fetch_dataset("wikitext-2", quiet=True)


def test_unknown_data_set_lists_the_known(root: Path) -> None:
    with pytest.raises(UserError, match="cbow, snli"):
        fetch_dataset("mnist")
