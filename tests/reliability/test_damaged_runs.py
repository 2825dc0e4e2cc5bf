"""Files of a run that are cut, overwritten, taken from elsewhere, or made to do harm.

`train --resume` and `evaluate` either do without them, ending as an undisturbed run does, or say in one line what is
wrong. Nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import pickletools
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attempts import Attempts
from comparing import checkpoints, differences, files_of
from fuzzing import read_or_named
from trainings import TRAININGS, Training, each_that_goes_on, each_training

from shared.runs.checkpoints import Checkpoints
from shared.runs.metrics_log import MetricsLog


def emptied(content: bytes, random: Random) -> bytes:
    return b""


def cut(content: bytes, random: Random) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes, random: Random) -> bytes:
    """One bit is another: what a bad memory or cable does."""
    place = random.randrange(len(content))
    bit = content[place] ^ 1 << random.randrange(8)
    return content[:place] + bytes([bit]) + content[place + 1 :]


def noise(content: bytes, random: Random) -> bytes:
    """Blocks of a file system after a power cut hold anything."""
    return random.randbytes(len(content))


DAMAGES = (emptied, cut, flipped, noise)


@each_training
def test_any_damaged_file_of_a_stopped_run_is_done_without_or_named(
    attempts: Attempts, tmp_path: Path
) -> None:
    random, problems = Random(attempts.training.name), []
    stopped = attempts.stopped(tmp_path / "stopped")
    for number, name in enumerate(files_of(stopped, *checkpoints(stopped)[-1:])):
        damage = random.choice(DAMAGES)
        run = Path(shutil.copytree(stopped, tmp_path / f"run-{number}"))
        (run / name).write_bytes(damage((run / name).read_bytes() or b"?", random))
        outcome = attempts.train(run, "--resume")
        if outcome.code == 0:
            tolerance = attempts.training.tolerance
            found = differences(attempts.whole, run, tolerance, with_log=False)
        else:
            found = [] if outcome.is_told else [str(outcome)]
        problems += [f"{name} {damage.__name__}: {line}" for line in found]
    assert not problems, "\n".join(problems)


@each_training
def test_any_damaged_file_of_a_finished_run_is_done_without_or_named_by_evaluate(
    attempts: Attempts, tmp_path: Path
) -> None:
    random, problems, told = Random(attempts.training.name), [], 0
    run = attempts.finished(tmp_path / "run")
    for number, name in enumerate(files_of(run, *run.glob("checkpoints/best"))):
        damage, content = DAMAGES[number % 4], (run / name).read_bytes()
        (run / name).write_bytes(damage(content or b"?", random))
        outcome = attempts.evaluate(run)
        told += outcome.is_told
        if outcome.code != 0 and not outcome.is_told:
            problems.append(f"{name} {damage.__name__}: {outcome}")
        (run / name).write_bytes(content)
    assert not problems, "\n".join(problems)
    assert told


@each_that_goes_on
def test_nothing_but_damaged_checkpoints_is_told_and_never_a_new_beginning(
    attempts: Attempts, tmp_path: Path
) -> None:
    run = attempts.stopped(tmp_path / "run")
    for folder in checkpoints(run):
        largest = max(folder.iterdir(), key=lambda path: path.stat().st_size)
        largest.write_bytes(largest.read_bytes()[:-1])
    for outcome in (attempts.train(run, "--resume"), attempts.evaluate(run)):
        assert outcome.is_told and str(run) in outcome.error, outcome


# Checkpoints from elsewhere


def replace_checkpoints(run: Path, source: Path) -> None:
    """Put the checkpoints of another run in the place of a run's own."""
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(source / "checkpoints", run / "checkpoints")


@each_that_goes_on
@pytest.mark.parametrize("source", ["another shape", "cbow", "esim"])
def test_checkpoints_of_another_shape_or_package_are_refused(
    source: str,
    attempts: Attempts,
    attempts_at: Callable[[Training], Attempts],
    tmp_path: Path,
) -> None:
    if source == attempts.training.task:
        pytest.skip("is the same package")
    run = attempts.stopped(tmp_path / "run")
    if source == "another shape":
        replace_checkpoints(run, attempts.other)
    else:
        training = next(training for training in TRAININGS if training.task == source)
        replace_checkpoints(run, attempts_at(training).whole)
    outcome = attempts.train(run, "--resume")
    assert outcome.is_told, outcome
    seen = attempts.evaluate(run)
    assert seen.is_told, seen


# Files made to do harm


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def write_payload(mark: Path, path: Path) -> None:
    """Write a file that makes the mark when it is unpickled, as torch does it or plainly."""
    if path.suffix == ".pt":
        import torch

        torch.save({"optimizers": [Payload(mark)], "average": None, "random": Payload(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(mark), protocol=2))


@pytest.mark.parametrize("name", ["a.pt", "b"])
def test_payload_would_leave_its_mark(name: str, tmp_path: Path) -> None:
    """Its instructions are read, not followed: it calls `Path.touch`, the mark among its values."""
    path, mark = tmp_path / name, tmp_path / "mark"
    write_payload(mark, path)
    content = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = next(entry for entry in archive.namelist() if entry.endswith("data.pkl"))
            content = archive.read(inside)
    steps = [(code.name, value) for code, value, _ in pickletools.genops(content)]
    assert ("REDUCE", None) in steps
    assert {"touch", "mark"} <= {value for _, value in steps}


@each_training
def test_pickle_in_any_file_of_a_model_is_never_executed(
    attempts: Attempts, tmp_path: Path
) -> None:
    """The manifests are made to say that all files are as they should be."""
    mark, problems = tmp_path / "executed", []
    original = attempts.finished(tmp_path / "original")
    (original / "summary.json").unlink()
    inside = {path.name for folder in checkpoints(original) for path in folder.iterdir()}
    beside = {path.name for path in original.glob("*.safetensors")}
    for name in sorted(inside - {"manifest.json"} | beside):
        run = Path(shutil.copytree(original, tmp_path / f"run with {name}"))
        for path in run.rglob(name):
            write_payload(mark, path)
        for folder in checkpoints(run):
            sign(folder)
        ends = (attempts.evaluate(run), attempts.train(run, "--resume"))
        problems += [f"{name}: {end}" for end in ends if end.code != 0 and not end.is_told]
        problems += [f"{name}: was executed"] if mark.exists() else []
        mark.unlink(missing_ok=True)
    assert not problems, "\n".join(problems)


def sign(checkpoint: Path) -> None:
    """Make the manifest of a checkpoint say that its files are as they should be."""
    path = checkpoint / "manifest.json"
    files = [file for file in checkpoint.iterdir() if file != path]
    sha256 = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    manifest = json.loads(path.read_text()) | {"sha256": sha256}
    del manifest["sha256_of_manifest"]
    path.write_text(json.dumps(manifest))


# Manifests and logs, by themselves


def two_checkpoints(folder: Path) -> Checkpoints:
    found = Checkpoints(folder, say=lambda line: None)
    for step in (1, 2):
        found.save(step, lambda aside: (aside / "w").write_bytes(b"w" * 50), metric=0.5, at=[step])
    return found


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"\xff\xfe", b"[" * 100_000, b'{"step": 1e400}', b'{"step": ' + b"9" * 5000 + b"}", b'{"step": 3}'],
    ids=["empty", "null", "not UTF-8", "deep", "infinite", "long", "incomplete"],
)  # fmt: skip
def test_manifest_that_is_none_is_passed_over(content: bytes, tmp_path: Path) -> None:
    found = two_checkpoints(tmp_path)
    (found.folder / "step-00000002" / "manifest.json").write_bytes(content)
    checkpoint = found.last()
    assert checkpoint is not None and checkpoint.step == 1


def test_any_flipped_bit_of_a_checkpoint_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """A position read wrong is worse than a checkpoint lost: the run would end otherwise, and nobody would know."""
    found, random, problems = two_checkpoints(tmp_path), Random(1), []
    for path in sorted((found.folder / "step-00000002").iterdir()):
        content = path.read_bytes()
        for place in range(len(content)):
            bit = content[place] ^ 1 << random.randrange(8)
            path.write_bytes(content[:place] + bytes([bit]) + content[place + 1 :])
            try:
                checkpoint = found.last()
            except Exception as error:
                problems.append(f"{path.name}, byte {place}: {error!r}")
                continue
            assert checkpoint is not None
            read = (checkpoint.step, checkpoint.metric, checkpoint.facts)
            if read not in ((1, 0.5, {"at": [1]}), (2, 0.5, {"at": [2]})):
                problems.append(f"{path.name}, byte {place}: {read}")
        path.write_bytes(content)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "line", [b"", b"null", b"[]", b"{}", b'{"step": null}', b'{"step": "1"}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "null", "list", "no step", "null as step", "text as step", "not UTF-8", "deep"],
)  # fmt: skip
def test_log_of_figures_that_holds_anything_is_read_or_named(line: bytes, tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n')
    read_or_named(lambda: log.keep_until(1), log.path)
    kept = read_or_named(log.records, log.path)
    assert kept is None or kept[0] == {"step": 1}
