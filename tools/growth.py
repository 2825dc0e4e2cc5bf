"""Measure what grows with what: each task trained on a quarter, a half and all of its data, with time and peak memory.

    python tools/growth.py DATA OUT [TASK ...]

DATA holds the real data sets as `DLTASKS_DATA` does. Each task runs in its own environment, `.venv/<task>`. Uses the
standard library only; prints a table in Markdown.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = "Scripts" if os.name == "nt" else "bin"
FRACTIONS = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Case:
    """How one task is measured.

    Parameters
    ----------
    task, folder : str
        Folder under `packages/`; folder under DATA.
    unit : str
        What is counted.
    part : function (source, fraction, target) -> int
        Writes a fraction of the training data, everything else whole, and returns its size in units.
    words : tuple of str
        After `<command> train --data PART --out RUN`.
    """

    task: str
    folder: str
    unit: str
    part: Callable[[Path, float, Path], int]
    words: tuple[str, ...]


def first_lines(name: str) -> Callable[[Path, float, Path], int]:
    """Return a `part` that takes the first lines of one file and copies the other files; counts lines."""

    def part(source: Path, fraction: float, target: Path) -> int:
        shutil.copytree(source, target)
        lines = (source / name).read_text(encoding="utf-8").splitlines(keepends=True)
        kept = lines[: round(len(lines) * fraction)]
        (target / name).write_text("".join(kept), encoding="utf-8")
        return len(kept)

    return part


def some_reviews(source: Path, fraction: float, target: Path) -> int:
    """Take every n-th training review of each class."""
    shutil.copytree(source / "test", target / "test")
    step, kept = round(1 / fraction), 0
    for name in ("pos", "neg"):
        (target / "train" / name).mkdir(parents=True)
        reviews = sorted((source / "train" / name).iterdir())[::step]
        for review in reviews:
            shutil.copy(review, target / "train" / name)
        shutil.copy(source / "train" / f"urls_{name}.txt", target / "train")
        kept += len(reviews)
    return kept


def some_classes(source: Path, fraction: float, target: Path) -> int:
    """Take the first classes, with all their images."""
    names = (source / "wnids.txt").read_text(encoding="utf-8").split()
    names = names[: round(len(names) * fraction)]
    (target / "train").mkdir(parents=True)
    (target / "val" / "images").mkdir(parents=True)
    (target / "wnids.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    shutil.copy(source / "words.txt", target)
    images = 0
    for name in names:
        (target / "train" / name).symlink_to(source / "train" / name)
        images += sum(1 for _ in (source / "train" / name / "images").iterdir())
    with open(source / "val" / "val_annotations.txt", encoding="utf-8") as lines:
        kept = [line for line in lines if line.split("\t")[1] in set(names)]
    (target / "val" / "val_annotations.txt").write_text("".join(kept), encoding="utf-8")
    for line in kept:
        image = line.split("\t")[0]
        shutil.copy(source / "val" / "images" / image, target / "val" / "images")
    return images


CASES = (
    Case("cbow", "cbow", "lines", first_lines("treebank.txt"), ("--recipe", "baseline", "--epochs", "2")),
    Case("word_lm", "wikitext-2", "lines", first_lines("train.txt"), ("--recipe", "laptop", "--epochs", "1")),
    Case("esim", "snli", "pairs", first_lines("train_subset.jsonl"), ("--recipe", "laptop", "--epochs", "1")),
    Case("imdb_sentiment", "aclImdb", "reviews", some_reviews, ("--recipe", "nbsvm")),
    Case("resnet_tiny", "tiny-imagenet-200", "images", some_classes,
         ("--recipe", "laptop", "--epochs", "1", "--sizes", "[32]", "--size-fractions", "[1.0]")),
)  # fmt: skip


def main(data: Path, out: Path, tasks: list[str]) -> int:
    """Measure and print; a run that fails ends it with that run's output."""
    print("| task | command | size | seconds in all | training alone | peak memory |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        if tasks and case.task not in tasks:
            continue
        for fraction in FRACTIONS:
            folder = out / case.task / f"{fraction:g}"
            part, run = folder / "data", folder / "run"
            size = case.part((data / case.folder).resolve(), fraction, part)
            seconds, peak = time_and_memory(command_of(case, part, run))
            trained = json.loads((run / "summary.json").read_text(encoding="utf-8"))["seconds"]
            command = " ".join((case.task.replace("_", "-"), "train", *case.words))
            figures = f"{size:,} {case.unit} | {seconds:.1f} | {trained:.1f} | {peak:,.0f} MB"
            print(f"| {case.task} | `{command}` | {figures} |", flush=True)
            shutil.rmtree(part)
    return 0


def command_of(case: Case, part: Path, run: Path) -> list[str]:
    """Return the command that trains a task on a part of its data."""
    command = ROOT / ".venv" / case.task / BIN / case.task.replace("_", "-")
    where = ("--data", part, "--out", run, "--seed", "1", "--quiet")
    return [str(word) for word in (command, "train", *case.words, *where)]


def time_and_memory(command: list[str]) -> tuple[float, float]:
    """Run a command; return its wall time, in seconds, and its peak resident memory, in MB."""
    began = time.monotonic()
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=-2) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{said}{' '.join(command)} failed with exit code {process.returncode}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return time.monotonic() - began, kilobytes / 1024


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: {Path(sys.argv[0]).name} DATA OUT [TASK ...]")
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3:]))
