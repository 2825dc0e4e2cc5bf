"""All images of a split in one memory-mapped file, decoded once, so that no epoch waits for decoding.

    <cache>/<key>/images.npy   uint8 (N, size, size, 3), rows in the order of the listing
    <cache>/<key>/pack.json    checksums of images.npy and of the image files, rows that are bad and why

The key is a hash of the listing (paths, bytes of each file, labels) and of the settings. Where files were touched
since, their content is compared too, and they are packed again if it differs. The data folder is only read.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resnet_tiny.config import DATA_SET, PackSettings
from resnet_tiny.data.decode import BadImage, decode
from resnet_tiny.data.layout import is_tiny_imagenet
from resnet_tiny.data.listing import ImageFiles
from shared.errors import UserError
from shared.files import sha256_of, whole_folder, write_json
from shared.locks import Busy, NoLocks, acquire
from shared.progress import progress_bar

if TYPE_CHECKING:
    from filelock import BaseFileLock

FORMAT = 2
IMAGES, MANIFEST = "images.npy", "pack.json"
CHUNK = 250
POLL_SECONDS = 0.5
MOST_NAMED = 10
"""Bad images that are named one by one; of more, only the number is given."""


@dataclass(frozen=True)
class Pack:
    """Pixels and labels of a split.

    Parameters
    ----------
    images : uint8 array (N, size, size, 3)
        Memory-mapped, read-only.
    labels : int64 array (N,)
    rows : int64 array (M,)
        Rows that hold an image; the others are of bad files, left out by `--on-bad-image skip`.
    listing : ImageFiles
        Which row is of which file.
    folder : Path
    sha256 : str
        Of images.npy.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    listing: ImageFiles
    folder: Path
    sha256: str

    def checksum(self) -> str:
        """Return a checksum of the pixels, the labels and the rows in use."""
        digest = hashlib.sha256(self.sha256.encode())
        digest.update(self.labels.astype("<i8").tobytes() + self.rows.astype("<i8").tobytes())
        return digest.hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the file's name, not its pixels, to worker processes that are spawned and not forked."""
        return _opened, (self.labels, self.rows, self.listing, self.folder, self.sha256)


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
    listing: ImageFiles,
    settings: PackSettings,
    *,
    say: Callable[[str], None] = lambda line: None,
    quiet: bool = True,
    verify: bool = True,
) -> Pack:
    """Return the packed images; they are packed first where that was not done yet.

    Parameters
    ----------
    listing : ImageFiles
    settings : PackSettings
        Cache folder, image size, what to do with bad images.
    say : callable
        Takes a line about the progress.
    quiet : bool
        No progress bar.
    verify : bool
        Compare the checksums of a file packed before; a damaged or outdated one is packed again.

    Raises
    ------
    UserError
        An image is bad and `on_bad_image` is `fail`; the cache folder cannot be written or is full.
    """
    folder = cache_folder(settings.cache) / _key(listing, settings)
    manifest = _usable(folder, listing, settings, say, verify=verify)
    if manifest is None:
        _require_space(folder, _bytes_of(listing, settings))
        with _alone(folder, say) as has_waited:
            if has_waited:
                manifest = _usable(folder, listing, settings, say, verify=verify)
            if manifest is None:
                manifest = _pack(listing, settings, folder, say, quiet)
    if warning := listing.warning():
        say(warning)
    bad = [(int(row), str(reason)) for row, reason in manifest["bad"]]
    for row, reason in bad[:MOST_NAMED]:
        say(f"{listing.path(row)}: {reason}; skipped.")
    if bad:
        say(f"{len(bad):,} of {len(listing):,} images of {listing.split} are bad and skipped.")
    is_good = np.ones(len(listing), dtype=bool)
    is_good[[row for row, _ in bad]] = False
    if not is_good.any():
        size = settings.image_size
        raise UserError(
            f"{listing.root}: every image of {listing.split} is bad. Expected {size}x{size} pixels "
            "(--image-size), or --resize."
        )
    return _opened(listing.labels, np.flatnonzero(is_good), listing, folder, manifest["sha256"])


def _opened(
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    listing: ImageFiles,
    folder: Path,
    sha256: str,
) -> Pack:
    images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    return Pack(images, labels, rows, listing, folder, sha256)


def _usable(
    folder: Path,
    listing: ImageFiles,
    settings: PackSettings,
    say: Callable[[str], None],
    *,
    verify: bool,
) -> dict[str, Any] | None:
    """Return the manifest of images packed before, or None where they must be packed; a line says why."""
    manifest = _read_manifest(folder, len(listing), settings.image_size)
    if manifest is None or not verify:
        return manifest
    problem = _outdated(folder, manifest, listing, settings)
    if problem is not None:
        say(problem)
    return manifest if problem is None else None


@contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[bool]:
    """Wait while another process packs the same images, and remove what a killed one left; yield whether it waited."""
    has_waited = False
    lock: BaseFileLock | None = None
    while lock is None:
        try:
            lock = acquire(folder.with_name(f".{folder.name}.lock"))
        except Busy:
            if not has_waited:
                say(f"{folder}: another process packs these images; waiting for it.")
            has_waited = True
            time.sleep(POLL_SECONDS)
        except NoLocks:
            yield False
            return
    try:
        for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
        yield has_waited
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _outdated(
    folder: Path, manifest: dict[str, Any], listing: ImageFiles, settings: PackSettings
) -> str | None:
    """Return why a pack must be made again, or None. Files that were only touched or copied are noted as such."""
    if sha256_of(folder / IMAGES) != manifest["sha256"]:
        return f"{folder / IMAGES}: is damaged (its checksum differs); packing again."
    stamp = _stamp(listing)
    if manifest["stamp"] == stamp:
        return None
    threads = _threads(settings)
    with ThreadPoolExecutor(threads) as pool:
        digests = list(pool.map(lambda row: _digest(listing.path(row)), range(len(listing))))
    if _content(digests) != manifest["content"]:
        return f"{listing.root}: images of {listing.split} have changed since they were packed; packing again."
    if os.access(folder, os.W_OK):
        write_json(folder / MANIFEST, manifest | {"stamp": stamp})
    return None


def _pack(
    listing: ImageFiles,
    settings: PackSettings,
    folder: Path,
    say: Callable[[str], None],
    quiet: bool,
) -> dict[str, Any]:
    """Decode everything into a new folder that takes its place when it is complete; return its manifest."""
    began, size = time.monotonic(), settings.image_size
    shape = (len(listing), size, size, 3)
    megabytes = _bytes_of(listing, settings) / 1e6
    say(
        f"packing {len(listing):,} images of {listing.split}, once, into {folder} ({megabytes:,.0f} MB)"
    )
    label = f"packing {listing.split}"
    with (
        whole_folder(folder) as aside,
        progress_bar(len(listing), label=label, unit="image", quiet=quiet) as bar,
    ):
        images = np.lib.format.open_memmap(aside / IMAGES, mode="w+", dtype=np.uint8, shape=shape)
        _reserve_space(aside / IMAGES)
        bad: list[tuple[int, str]] = []
        digests: list[bytes] = []
        for chunk_digests, chunk_bad in _decoded(listing, settings, images):
            digests += chunk_digests
            bad += chunk_bad
            bar.update(len(chunk_digests))
            if bad and settings.on_bad_image == "fail":
                row, reason = bad[0]
                advice = (
                    "Train, evaluate and pack scale images of any size with --resize"
                    if "pixels, expected" in reason
                    else "Replace it; train, evaluate and pack leave bad images out with --on-bad-image skip"
                )
                raise UserError(f"{listing.path(row)}: {reason}. {advice}.")
        images.flush()
        del images
        manifest = {
            "format": FORMAT,
            "shape": list(shape),
            "sha256": sha256_of(aside / IMAGES),
            "content": _content(digests),
            "stamp": _stamp(listing),
            "bad": sorted(bad),
        }
        write_json(aside / MANIFEST, manifest)
    say(f"packed {len(listing):,} images in {time.monotonic() - began:.1f} s")
    return manifest


def _decoded(
    listing: ImageFiles, settings: PackSettings, images: NDArray[np.uint8]
) -> Iterator[tuple[list[bytes], list[tuple[int, str]]]]:
    """Fill `images` chunk by chunk; yield the digests of each chunk's files and which of them were bad.

    Threads are enough: PIL decodes without holding Python's lock, and while one waits for the disk another decodes.
    """

    def chunk(first: int) -> tuple[list[bytes], list[tuple[int, str]]]:
        digests, bad = [], []
        for row in range(first, min(first + CHUNK, len(listing))):
            path = listing.path(row)
            digests.append(_digest(path))
            try:
                images[row] = decode(path, settings.image_size, resize=settings.resize)
            except BadImage as problem:
                bad.append((row, str(problem)))
                if settings.on_bad_image == "fail":
                    break
        return digests, bad

    with ThreadPoolExecutor(_threads(settings)) as pool:
        try:
            yield from pool.map(chunk, range(0, len(listing), CHUNK))
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the rest is not decoded


def _threads(settings: PackSettings) -> int:
    return settings.pack_threads or min(8, 2 * (os.cpu_count() or 1))


def _digest(path: Path) -> bytes:
    """Return a hash of a file's content; of one that cannot be read, which `decode` will name, of nothing."""
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        return bytes(16)


def _content(digests: list[bytes]) -> str:
    return hashlib.blake2b(b"".join(digests), digest_size=16).hexdigest()


def _stamp(listing: ImageFiles) -> str:
    """Return a hash of where the files are and when they were changed."""
    digest = hashlib.blake2b(str(listing.root.resolve()).encode("utf-8", "surrogateescape"))
    digest.update(listing.mtimes.astype("<i8").tobytes())
    return digest.hexdigest()[:32]


def _key(listing: ImageFiles, settings: PackSettings) -> str:
    """Return a name that changes with the listing and with every setting that changes the pixels."""
    settings_used = [FORMAT, settings.image_size, settings.resize, settings.on_bad_image]
    digest = hashlib.sha256(json.dumps(settings_used).encode())
    digest.update("\0".join(listing.files).encode("utf-8", "surrogateescape"))
    digest.update(listing.sizes.astype("<i8").tobytes() + listing.labels.astype("<i8").tobytes())
    return f"{_folder_name(listing.root)}-{listing.split}-{digest.hexdigest()[:16]}"


def _folder_name(root: Path) -> str:
    """Return what a pack is called: Tiny ImageNet wherever it lies, own images by their folder, safe in a file name."""
    if is_tiny_imagenet(root):
        return DATA_SET
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", root.resolve().name).strip("-.")[:40] or "images"


def _read_manifest(folder: Path, count: int, size: int) -> dict[str, Any] | None:
    """Return the manifest of a pack that looks complete, or None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    needed = {"format", "sha256", "content", "stamp", "bad"}
    if not isinstance(manifest, dict) or not needed <= manifest.keys():
        return None
    fits = manifest["format"] == FORMAT and images.shape == (count, size, size, 3)
    return manifest if fits and images.dtype == np.uint8 else None


def _bytes_of(listing: ImageFiles, settings: PackSettings) -> int:
    return len(listing) * settings.image_size**2 * 3


def _reserve_space(path: Path) -> None:
    """Take the space of a file now: a disk that fills up later ends a process that writes to a mapped file (SIGBUS)."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OSError(error.errno, error.strerror, str(path)) from None


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
