"""All pictures of a split in one memory-mapped file, decoded once, so that no epoch waits for decoding.

    <cache>/<key>/images.npy   uint8 (N, side, side, 3), rows in the order of the listing
    <cache>/<key>/pack.json    checksum of images.npy, rows that are bad and why

The key is a checksum of the listing (paths, bytes of each file, labels) and of the settings: a file that is exchanged
for one of other length is packed anew. The data folder is only read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resnet_tiny.config import DATA_SET, PackSettings
from resnet_tiny.data.decode import BadPicture, decode
from resnet_tiny.data.layout import Pictures
from shared.errors import UserError
from shared.files import sha256_of, whole_folder, write_json
from shared.progress import progress_bar

FORMAT = 1
IMAGES, MANIFEST = "images.npy", "pack.json"
CHUNK = 250
NAMED = 10
"""Bad pictures that are named one by one; of more, the number is told."""


@dataclass(frozen=True)
class Pack:
    """A split's pixels and labels.

    Parameters
    ----------
    images : uint8 array (N, side, side, 3)
        Memory-mapped, read-only.
    labels : int64 array (N,)
    rows : int64 array (M,)
        Rows that hold a picture; the others are of bad files, left out by `--on-bad-image skip`.
    pictures : Pictures
        What row came from which file.
    folder : Path
    sha256 : str
        Of images.npy.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    pictures: Pictures
    folder: Path
    sha256: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the file's name, not its pixels, to loading processes that are spawned and not forked."""
        return _opened, (self.labels, self.rows, self.pictures, self.folder, self.sha256)


def cache_folder(given: str | None) -> Path:
    """Return the folder of packed data: what the user named, else `dltasks/packed` in the user's cache folder."""
    if given is not None:
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    return base / "dltasks" / "packed"


def open_pack(
    pictures: Pictures,
    settings: PackSettings,
    *,
    say: Callable[[str], None] = lambda line: None,
    quiet: bool = True,
    verify: bool = True,
) -> Pack:
    """Return the packed pictures, packing them first where that was not done yet.

    Parameters
    ----------
    pictures : Pictures
    settings : PackSettings
        Cache folder, side, what to do with bad pictures.
    say : callable
        Takes a line about what is going on.
    quiet : bool
        No bar.
    verify : bool
        Compare the checksum of a file packed before; a damaged one is packed again.

    Raises
    ------
    UserError
        A picture is bad and `on_bad_image` is `fail`; the cache folder cannot be written or is full.
    """
    folder = cache_folder(settings.cache) / _key(pictures, settings)
    manifest = _read_manifest(folder, len(pictures), settings.side)
    if manifest is not None and verify and sha256_of(folder / IMAGES) != manifest["sha256"]:
        say(f"{folder / IMAGES}: is damaged (another checksum); it is made anew.")
        manifest = None
    if manifest is None:
        manifest = _pack(pictures, settings, folder, say, quiet)
    bad = [(int(row), str(reason)) for row, reason in manifest["bad"]]
    for row, reason in bad[:NAMED]:
        say(f"{pictures.root / pictures.files[row]}: {reason}; skipped.")
    if bad:
        say(f"{len(bad):,} of {len(pictures):,} pictures of {pictures.split} are bad and skipped.")
    is_good = np.ones(len(pictures), dtype=bool)
    is_good[[row for row, _ in bad]] = False
    if not is_good.any():
        raise UserError(
            f"{pictures.root / pictures.split}: every picture in it is bad. Expected {settings.side}x{settings.side} "
            "pixels (--side), or --resize."
        )
    rows = np.flatnonzero(is_good)
    return _opened(pictures.labels, rows, pictures, folder, manifest["sha256"])


def _opened(
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    pictures: Pictures,
    folder: Path,
    sha256: str,
) -> Pack:
    images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    return Pack(images, labels, rows, pictures, folder, sha256)


def _pack(
    pictures: Pictures,
    settings: PackSettings,
    folder: Path,
    say: Callable[[str], None],
    quiet: bool,
) -> dict[str, Any]:
    """Decode everything into a new folder that takes its place when it is whole; return its manifest."""
    began, side = time.monotonic(), settings.side
    shape = (len(pictures), side, side, 3)
    size = int(np.prod(shape))
    _require_space(folder, size)
    say(
        f"packing {len(pictures):,} pictures of {pictures.split}, once, into {folder} ({size / 1e6:,.0f} MB)"
    )
    label = f"packing {pictures.split}"
    with (
        whole_folder(folder) as aside,
        progress_bar(len(pictures), label=label, unit="image", quiet=quiet) as bar,
    ):
        images = np.lib.format.open_memmap(aside / IMAGES, mode="w+", dtype=np.uint8, shape=shape)
        bad: list[tuple[int, str]] = []
        for count, found in _decoded(pictures, settings, images):
            bad += found
            bar.update(count)
            if bad and settings.on_bad_image == "fail":
                row, reason = bad[0]
                raise UserError(
                    f"{pictures.root / pictures.files[row]}: {reason}. Replace it, or leave bad pictures out with "
                    "--on-bad-image skip (pictures of other sizes can be scaled with --resize)."
                )
        images.flush()
        del images
        manifest = {
            "format": FORMAT,
            "shape": list(shape),
            "sha256": sha256_of(aside / IMAGES),
            "bad": sorted(bad),
        }
        write_json(aside / MANIFEST, manifest)
    say(f"packed {len(pictures):,} pictures in {time.monotonic() - began:.1f} s")
    return manifest


def _decoded(
    pictures: Pictures, settings: PackSettings, images: NDArray[np.uint8]
) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Fill `images` chunk by chunk; yield how many files each had and which were bad.

    Threads are enough: PIL decodes without holding Python's lock, and while one waits for the disk another decodes.
    """

    def chunk(first: int) -> tuple[int, list[tuple[int, str]]]:
        end, bad = min(first + CHUNK, len(pictures)), []
        for row in range(first, end):
            try:
                images[row] = decode(
                    pictures.root / pictures.files[row], settings.side, resize=settings.resize
                )
            except BadPicture as problem:
                bad.append((row, str(problem)))
        return end - first, bad

    threads = settings.pack_threads or min(8, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from pool.map(chunk, range(0, len(pictures), CHUNK))
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the rest is not decoded


def _key(pictures: Pictures, settings: PackSettings) -> str:
    """Return a name that changes with the listing and with every setting that changes the pixels."""
    kept = [FORMAT, settings.side, settings.resize, settings.on_bad_image]
    digest = hashlib.sha256(json.dumps(kept).encode())
    digest.update("\0".join(pictures.files).encode("utf-8", "surrogateescape"))
    digest.update(pictures.sizes.astype("<i8").tobytes() + pictures.labels.astype("<i8").tobytes())
    return f"{DATA_SET}-{pictures.split}-{digest.hexdigest()[:16]}"


def _read_manifest(folder: Path, count: int, side: int) -> dict[str, Any] | None:
    """Return the manifest of a pack that looks whole, or None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or not {"format", "sha256", "bad"} <= manifest.keys():
        return None
    is_whole = manifest["format"] == FORMAT and images.shape == (count, side, side, 3)
    return manifest if is_whole and images.dtype == np.uint8 else None


def _require_space(folder: Path, size: int) -> None:
    parent = folder.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(parent).free
    except OSError as error:
        raise UserError(
            f"{parent}: cannot be made ({error.strerror}). Choose another folder with --cache."
        ) from None
    if not os.access(parent, os.W_OK):
        raise UserError(f"{parent}: is read-only. Choose another folder with --cache.")
    if free < size * 1.02:
        raise UserError(
            f"{parent}: {free / 1e6:,.0f} MB are free, {size / 1e6:,.0f} MB are needed. Choose another --cache."
        )
