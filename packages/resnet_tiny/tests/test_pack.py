from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import pickle
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from resnet_tiny.commands.options import PackOptions
from resnet_tiny.config import TrainConfig
from resnet_tiny.data import pack as packing
from resnet_tiny.data.dataset import load_images
from resnet_tiny.data.decode import BadImage, decode
from resnet_tiny.data.layout import read_classes, train_images, val_images
from resnet_tiny.data.listing import ImageFiles
from resnet_tiny.data.pack import IMAGES, MANIFEST, open_pack
from shared.errors import UserError
from shared.locks import acquire

Caller = Callable[..., tuple[int, str, str]]


def listed(folder: Path) -> ImageFiles:
    return train_images(folder, read_classes(folder))


def spoil(folder: Path, make: Callable[[Path], object]) -> Path:
    path = sorted(folder.glob("train/*/images/*"))[11]
    make(path)
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def saved(mode: str, size: tuple[int, int], kind: str, path: Path) -> None:
    Image.new(mode, size).save(path, kind)


BAD = {
    "truncated": (truncate, "is truncated or damaged"),
    "cut in its header": (
        lambda p: p.write_bytes(p.read_bytes()[:30]), "is truncated or damaged"
    ),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "text": (lambda p: p.write_text("<html>not found</html>"), "is not an image"),
    "wrong size": (lambda p: saved("RGB", (48, 64), "JPEG", p), "is 48x64 pixels, expected 64x64"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_image_is_named_with_what_to_do(case: str, broken: Path) -> None:
    make, reason = BAD[case]
    path = spoil(broken, make)
    options = PackOptions(cache=str(broken / "cache"))
    with pytest.raises(UserError) as caught:
        open_pack(listed(broken), options)
    assert str(path) in str(caught.value) and reason in str(caught.value)
    advice = "--resize" if case == "wrong size" else "--on-bad-image skip"
    assert advice in str(caught.value) and "\n" not in str(caught.value)
    lines: list[str] = []
    skipping = PackOptions(cache=str(broken / "cache"), on_bad_image="skip")
    pack = open_pack(listed(broken), skipping, say=lines.append)
    assert 11 not in pack.rows and len(pack.rows) == 79
    assert any(str(path) in line and "skipped" in line for line in lines)
    assert not (set(os.listdir(broken / "cache")) - {pack.folder.name})  # nothing half done is left


def test_other_sizes_can_be_scaled(broken: Path) -> None:
    spoil(broken, lambda p: saved("RGB", (100, 70), "JPEG", p))
    pack = open_pack(listed(broken), PackOptions(cache=str(broken / "cache"), resize=True))
    assert len(pack.rows) == 80


@pytest.mark.parametrize(
    "mode, kind", [("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("I;16", "PNG")]
)  # fmt: skip
def test_every_kind_of_image_becomes_rgb_of_the_same_colour(
    mode: str, kind: str, tmp_path: Path
) -> None:
    grey = {
        "I;16": 100 * 256,
        "RGBA": (100, 100, 100, 255),
        "LA": (100, 255),
        "CMYK": (0, 0, 0, 155),
        "P": 0,
    }
    image = Image.new(mode, (64, 64), grey.get(mode, 100))
    if mode == "P":
        image.putpalette([100, 100, 100])
    image.save(tmp_path / "x.JPEG", kind)
    pixels = decode(tmp_path / "x.JPEG", 64)
    assert pixels.shape == (64, 64, 3) and pixels.dtype == np.uint8
    assert abs(pixels.astype(int) - 100).max() <= 3


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "x.png")
    assert decode(tmp_path / "x.png", 64).min() == 255


def test_training_and_predict_hold_an_image_the_same_way_up(
    sample_folder: Path, broken: Path, tmp_path: Path
) -> None:
    """One decoder for both: a camera that was turned notes so, and does not turn the pixels."""
    path = sorted(broken.glob("train/*/images/*"))[0]
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:32] = 255  # white above black
    turned = Image.fromarray(np.rot90(pixels))  # stored a quarter to the left
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn a quarter to the right to see it"
    turned.save(path, "PNG", exif=exif)
    packed = open_pack(listed(broken), PackOptions(cache=str(tmp_path / "c"))).images[0]
    assert np.array_equal(packed, pixels)
    assert np.array_equal(decode(path, 64, resize=True), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(decode(tmp_path / "x.png", 64), expected)


def test_wrong_tag_of_exif_does_not_spoil_an_image(tmp_path: Path) -> None:
    """The width is text; the orientation is a quarter turn."""
    width, turned = (
        struct.pack("<HHI4s", 0x0100, 2, 4, b"abc\0"),
        struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0),
    )
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + width + turned + bytes(4)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(decode(tmp_path / "x.png", 64), np.rot90(pixels, -1))


@pytest.mark.parametrize("mode, value", [("F", 0.5), ("I", 1 << 20), ("I", -1), ("I", 255)])
def test_values_of_unknown_range_are_named_and_not_clipped(
    mode: str, value: float, tmp_path: Path
) -> None:
    Image.new(mode, (64, 64), value).save(tmp_path / "x.tiff")
    with pytest.raises(BadImage, match="range is not known"):
        decode(tmp_path / "x.tiff", 64)


def test_integers_of_16_bits_are_scaled_in_any_mode(tmp_path: Path) -> None:
    Image.new("I;16", (64, 64), 100 * 256).save(tmp_path / "x.tiff")
    Image.new("I;16", (64, 64), 100 * 256).save(tmp_path / "x.png")
    for name in ("x.tiff", "x.png"):
        assert abs(decode(tmp_path / name, 64).astype(int) - 100).max() <= 1


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".gif", ".tif"])
def test_formats_other_than_jpeg_are_read_in_class_folders(
    suffix: str, broken: Path, tmp_path: Path
) -> None:
    old = sorted(broken.glob("train/*/images/*"))[0]
    boxes = next(old.parent.parent.glob("*_boxes.txt"))
    boxes.write_text(boxes.read_text().replace(old.name, old.with_suffix(suffix).name))
    with Image.open(old) as image:
        frames = {"save_all": True, "append_images": [Image.new("RGB", (64, 64))]}
        image.convert("RGB").save(old.with_suffix(suffix), **(frames if suffix == ".gif" else {}))
        expected = np.asarray(image.convert("RGB")).astype(int)
    old.unlink()
    pack = open_pack(listed(broken), PackOptions(cache=str(tmp_path / "c")))
    row = pack.listing.files.index(old.with_suffix(suffix).relative_to(broken).as_posix())
    assert len(pack.rows) == 80 and abs(pack.images[row].astype(int) - expected).mean() < 6


def test_files_that_are_no_images_are_counted_by_their_endings(broken: Path) -> None:
    folder = sorted(broken.glob("train/*/images"))[0]
    for name in ("a.heic", "b.HEIC", "c.txt", ".hidden", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    lines: list[str] = []
    open_pack(listed(broken), PackOptions(cache=str(broken / "cache")), say=lines.append)
    (line,) = [line for line in lines if "ignored" in line]
    assert "3 files of train ignored" in line and ".heic (2), .txt (1)" in line


def test_annotated_file_of_another_format_is_named(broken: Path) -> None:
    old = sorted(broken.glob("val/images/*"))[0]
    path = broken / "val" / "val_annotations.txt"
    path.write_text(path.read_text().replace(old.name, "x.heic"))
    old.rename(old.with_name("x.heic"))
    with pytest.raises(UserError, match=r"x.heic is not an image by its ending"):
        val_images(broken, read_classes(broken))


def test_file_that_changed_without_changing_its_size_is_packed_again(broken: Path) -> None:
    options = PackOptions(cache=str(broken / "cache"))
    first = open_pack(listed(broken), options)
    path = sorted(broken.glob("train/*/images/*"))[5]
    content = bytearray(path.read_bytes())
    content[-40:-30] = bytes(10)  # inside the compressed pixels
    path.write_bytes(bytes(content))
    os.utime(path, ns=(1, 1))
    lines: list[str] = []
    again = open_pack(listed(broken), options, say=lines.append)
    assert again.sha256 != first.sha256 and any("have changed" in line for line in lines)


def test_data_that_was_only_copied_is_not_packed_again(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = PackOptions(cache=str(broken / "cache"))
    first = open_pack(listed(broken), options)
    for path in broken.glob("train/*/images/*"):
        os.utime(path, ns=(5, 5))
    monkeypatch.setattr(packing, "decode", lambda *_, **__: pytest.fail("decoded again"))
    assert open_pack(listed(broken), options).sha256 == first.sha256


def test_labels_are_part_of_the_checksum_that_a_resumed_run_compares(broken: Path) -> None:
    files = listed(broken)
    pack = open_pack(files, PackOptions(cache=str(broken / "cache")))
    other = dataclasses.replace(pack, labels=pack.labels[::-1].copy())
    assert pack.checksum() != other.checksum()


def test_missing_image_and_folder_are_bad_images(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="not found"):
        decode(tmp_path / "none.png", 64)
    with pytest.raises(BadImage):
        decode(tmp_path, 64)


def test_rows_are_the_files_pixels_in_the_listings_order(sample_folder: Path) -> None:
    files = listed(sample_folder)
    pack = open_pack(files, PackOptions())
    for row in (0, 13, 79):
        with Image.open(sample_folder / files.files[row]) as image:
            assert np.array_equal(pack.images[row], np.asarray(image.convert("RGB")))


def test_spawned_processes_get_the_files_name_and_not_its_pixels(sample_folder: Path) -> None:
    pack = open_pack(listed(sample_folder), PackOptions())
    assert len(pickle.dumps(pack)) < pack.images.nbytes / 10
    reopen, sent = pack.__reduce__()
    again = reopen(*sent)
    assert isinstance(again.images, np.memmap) and np.array_equal(again.images, pack.images)
    assert np.array_equal(again.labels, pack.labels) and again.listing.files == pack.listing.files


def test_packed_once_and_anew_when_the_data_changes(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = PackOptions(cache=str(broken / "cache"))
    first = open_pack(listed(broken), options)
    monkeypatch.setattr(packing, "decode", lambda *_, **__: pytest.fail("decoded again"))
    assert open_pack(listed(broken), options).sha256 == first.sha256
    monkeypatch.undo()
    spoil(broken, lambda p: saved("RGB", (64, 64), "PNG", p))
    assert open_pack(listed(broken), options).sha256 != first.sha256


def test_damaged_pack_is_noticed_and_made_anew(broken: Path) -> None:
    options = PackOptions(cache=str(broken / "cache"))
    first = open_pack(listed(broken), options)
    with (first.folder / IMAGES).open("r+b") as file:
        file.seek(-5, io.SEEK_END)
        file.write(b"x")
    lines: list[str] = []
    again = open_pack(listed(broken), options, say=lines.append)
    assert again.sha256 == first.sha256
    assert any("is damaged" in line for line in lines)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "bad": []}'])
def test_manifest_that_is_none_is_made_anew(content: str, broken: Path) -> None:
    options = PackOptions(cache=str(broken / "cache"))
    first = open_pack(listed(broken), options)
    (first.folder / MANIFEST).write_text(content)
    assert open_pack(listed(broken), options).sha256 == first.sha256
    assert json.loads((first.folder / MANIFEST).read_text())["sha256"] == first.sha256


def test_data_folder_is_only_read(broken: Path) -> None:
    cache = broken.parent / "cache"
    folders = [broken, *(p for p in broken.rglob("*") if p.is_dir())]
    before = sorted(broken.rglob("*"))
    for folder in folders:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        open_pack(listed(broken), PackOptions(cache=str(cache)))
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert sorted(broken.rglob("*")) == before


def test_full_disk_is_said_before_anything_is_decoded(
    sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="MB are needed"):
        open_pack(listed(sample_folder), PackOptions(cache=str(tmp_path / "cache")))


def test_images_of_other_sizes_are_told_before_any_is_decoded(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    real = packing.decode

    def noted(path: Path, *sizes: int, **settings: bool) -> np.ndarray:
        opened.append(path)
        return real(path, *sizes, **settings)

    monkeypatch.setattr(packing, "decode", noted)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    options = PackOptions(cache=str(broken / "cache"), image_size=32, pack_threads=1)
    with pytest.raises(UserError, match="is 64x64 pixels, expected 32x32.*--resize"):
        open_pack(listed(broken), options)
    assert len(opened) == 1


def test_image_of_too_many_pixels_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved("RGB", (64, 64), "PNG", tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(BadImage, match="has too many pixels"):
        decode(tmp_path / "x.png", 64)


def test_link_to_nothing_is_a_bad_image(broken: Path) -> None:
    path = sorted(broken.glob("train/*/images/*"))[11]
    path.unlink()
    path.symlink_to("nothing.JPEG")
    with pytest.raises(UserError, match=f"{path}: not found"):
        open_pack(listed(broken), PackOptions(cache=str(broken / "cache")))
    skipping = PackOptions(cache=str(broken / "cache"), on_bad_image="skip")
    assert len(open_pack(listed(broken), skipping).rows) == 79


def test_class_of_which_nothing_is_left_is_refused(broken: Path) -> None:
    for path in sorted(broken.glob("train/*/images/*"))[:8]:
        path.write_bytes(b"")
    config = TrainConfig(data=str(broken), cache=str(broken / "cache"), on_bad_image="skip")
    with pytest.raises(
        UserError, match="1 of the 10 classes have no image of train that is not bad"
    ):
        load_images(config)


def test_what_a_killed_process_left_is_removed(broken: Path) -> None:
    cache = broken / "cache"
    folder = open_pack(listed(broken), PackOptions(cache=str(cache))).folder
    for name in (f".{folder.name}.ab12cd34", ".another-train-0.ab12cd34"):
        (cache / name).mkdir()
    (folder / MANIFEST).unlink()
    open_pack(listed(broken), PackOptions(cache=str(cache)))
    assert set(os.listdir(cache)) == {folder.name, ".another-train-0.ab12cd34"}


def test_images_that_another_process_is_packing_are_waited_for(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, lines = PackOptions(cache=str(broken / "cache")), list[str]()
    folder = open_pack(listed(broken), options).folder
    folder.rename(broken / "packed")
    lock = acquire(folder.with_name(f".{folder.name}.lock"))

    def sleep(seconds: float) -> None:  # meanwhile the other one ends
        (broken / "packed").rename(folder)
        lock.release()

    monkeypatch.setattr(packing.time, "sleep", sleep)
    monkeypatch.setattr(packing, "decode", lambda *_, **__: pytest.fail("decoded again"))
    assert len(open_pack(listed(broken), options, say=lines.append).rows) == 80
    assert [line for line in lines if "another process packs" in line] == lines


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="not on this system")
def test_disk_without_the_space_is_an_error_and_no_signal(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left") as caught:
        open_pack(listed(broken), PackOptions(cache=str(broken / "cache")))
    assert str(caught.value.filename).endswith(IMAGES)
    assert os.listdir(broken / "cache") == []


def test_verb_packs_both_splits(resnet_tiny: Caller, sample_folder: Path, tmp_path: Path) -> None:
    code, printed, _ = resnet_tiny("pack", "--data", sample_folder, "--cache", tmp_path / "c")
    assert code == 0
    assert "80 images of train" in printed and "30 images of val" in printed
    assert printed.count("sha256") == 2
