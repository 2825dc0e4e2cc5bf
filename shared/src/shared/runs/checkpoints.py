"""Checkpoints: folders that are whole, say what they hold, and are never unpickled.

    runs/<task>/<name>/checkpoints/step-00001000/
        manifest.json   format, step, metric, the sha256 of every other file
        ...             what the task wrote

A folder is written aside and renamed. The last and the best one are chosen by what the manifests say, not by name or
time. A damaged one is named and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.files import sha256_of, whole_folder, write_json

FORMAT = 1
MANIFEST = "manifest.json"
OWN = "sha256_of_manifest"
# What reading a manifest raises if it is missing, torn, or is other JSON than a manifest.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError),
    *(AttributeError, OverflowError, RecursionError),
)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are as they were written.

    Parameters
    ----------
    folder : Path
    step : int
        Training steps (the task says which) done when it was written.
    metric : float or None
        What "best" compares.
    facts : dict
        What the task noted beside its files.
    """

    folder: Path
    step: int
    metric: float | None
    facts: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    folder : Path
        Usually `<run>/checkpoints`.
    keep : int
        How many of the newest to keep; named ones are kept always.
    say : callable
        Takes one line about a damaged checkpoint.
    """

    def __init__(self, folder: Path, keep: int = 2, say: Callable[[str], None] = print) -> None:
        self.folder = folder
        self.keep = keep
        self.say = say
        self._whole: set[Path] = set()  # written or checked by this object

    def save(
        self,
        step: int,
        write: Callable[[Path], None],
        *,
        metric: float | None = None,
        name: str | None = None,
        **facts: Any,
    ) -> Checkpoint:
        """Write one checkpoint.

        Parameters
        ----------
        step : int
        write : callable
            Takes an empty folder and puts the task's files into it.
        metric : float, optional
        name : str, optional
            Instead of `step-N`: for checkpoints that stay, `best` for one.
        **facts
            Small JSON values: position in the data, versions.
        """
        folder = self.folder / (name or f"step-{step:08d}")
        with whole_folder(folder) as aside:
            try:
                write(aside)
            except _safetensors_errors():
                raise UserError(
                    f"{self.folder}: a checkpoint cannot be written. Earlier ones are kept. "
                    "Check that the disk has space, and continue with --resume."
                ) from None
            hashes = {path.name: sha256_of(path) for path in sorted(aside.iterdir())}
            manifest = {
                "format": FORMAT,
                "step": step,
                "metric": metric,
                "facts": facts,
                "sha256": hashes,
            }
            write_json(aside / MANIFEST, manifest | {OWN: _digest(manifest)})
        self._whole.add(folder)
        if name is None:
            self._drop_old(folder)
        return Checkpoint(folder, step, metric, facts)

    def last(self) -> Checkpoint | None:
        """Return the undamaged checkpoint with the highest step, or None if there is none at all.

        Raises
        ------
        UserError
            There are checkpoints, and all of them are damaged.
        """
        return self._first_whole(sorted(self._manifests(), key=lambda pair: -pair[1]["step"]))

    def best(self, *, highest: bool = True) -> Checkpoint | None:
        """Return the undamaged checkpoint with the highest (or lowest) metric, or None if there is none at all.

        Where none with a metric is whole, it is the last one.

        Raises
        ------
        UserError
            There are checkpoints, and all of them are damaged.
        """
        sign = -1 if highest else 1
        manifests = self._manifests()
        scored = [pair for pair in manifests if pair[1].get("metric") is not None]
        others = [pair for pair in manifests if pair[1].get("metric") is None]
        return self._first_whole(
            [
                *sorted(scored, key=lambda pair: sign * pair[1]["metric"]),
                *sorted(others, key=lambda pair: -pair[1]["step"]),
            ]
        )

    def named(self, name: str) -> Checkpoint | None:
        """Return the checkpoint in the folder of this name, or None if there is none.

        Raises
        ------
        UserError
            It is damaged.
        """
        folder = self.folder / name
        if not (folder / MANIFEST).is_file():
            return None
        try:
            manifest = _read_manifest(folder)
            problem = _problem(folder, manifest)
        except _UNREADABLE:
            problem = f"{MANIFEST} cannot be read"
        if problem is not None:
            raise UserError(f"{folder}: is damaged ({problem}). Name another checkpoint.")
        return Checkpoint(folder, manifest["step"], manifest.get("metric"), manifest["facts"])

    def _manifests(self) -> list[tuple[Path, dict[str, Any]]]:
        """Read the manifests; a folder whose manifest cannot be read counts as damaged."""
        readable, damaged = [], []
        for folder in sorted(self.folder.glob("[!.]*")):
            try:
                readable.append((folder, _read_manifest(folder)))
            except _UNREADABLE:
                damaged.append(folder)
                self.say(
                    f"{folder}: is damaged ({MANIFEST} cannot be read); the one before it is used."
                )
        if damaged and not readable:
            raise self._nothing_whole()
        return readable

    def _first_whole(self, ordered: list[tuple[Path, dict[str, Any]]]) -> Checkpoint | None:
        for folder, manifest in ordered:
            problem = _problem(folder, manifest)
            if problem is None:
                return Checkpoint(
                    folder, manifest["step"], manifest.get("metric"), manifest["facts"]
                )
            self.say(f"{folder}: is damaged ({problem}); the one before it is used.")
        if ordered:
            raise self._nothing_whole()
        return None

    def _nothing_whole(self) -> UserError:
        return UserError(
            f"{self.folder}: every checkpoint in it is damaged. Train again into another --out, or restore the folder."
        )

    def _drop_old(self, newest: Path) -> None:
        """Keep so many of the numbered checkpoints: damaged ones go first, then the oldest, never the newest."""
        others = [path for path in self.folder.glob("step-*") if path != newest]
        if len(others) < self.keep:
            return
        # By length first: from a hundred million steps on, names have more digits.
        ranked = sorted(others, key=lambda path: (self._is_whole(path), len(path.name), path.name))
        for folder in ranked[: len(others) + 1 - self.keep]:
            shutil.rmtree(folder)

    def _is_whole(self, folder: Path) -> bool:
        if folder not in self._whole:
            try:
                problem = _problem(folder, _read_manifest(folder))
            except _UNREADABLE:
                return False
            if problem is not None:
                return False
            self._whole.add(folder)
        return True


def _safetensors_errors() -> tuple[type[Exception], ...]:
    """Return what safetensors raises where others raise an OSError; nothing where it is not installed."""
    try:
        from safetensors import SafetensorError
    except ImportError:
        return ()
    return (SafetensorError,)


def _read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint's manifest says; one of `_UNREADABLE` is raised where it says nothing of use."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    own = manifest.pop(OWN, None)  # older ones have none
    if own is not None and own != _digest(manifest):
        raise ValueError("has changed since it was written")
    return {**manifest, "step": int(manifest["step"])}


def _digest(manifest: dict[str, Any]) -> str:
    """Return the SHA-256 of what a manifest says."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _problem(folder: Path, manifest: dict[str, Any]) -> str | None:
    """Return what is wrong with a checkpoint's files, or None."""
    if manifest.get("format") != FORMAT:
        return f"format {manifest.get('format')}, this version reads {FORMAT}"
    hashes = manifest.get("sha256")
    if not isinstance(hashes, dict) or not isinstance(manifest.get("facts"), dict):
        return f"{MANIFEST} is incomplete"
    for name, expected in hashes.items():
        path = folder / Path(name).name
        if not path.is_file():
            return f"{name} is missing"
        if sha256_of(path) != expected:
            return f"{name} has changed since it was written"
    return None
