"""What goes wrong outside the program: disks, permissions, kills, damaged and hostile files, texts that are no text.

Each ends with one line and nothing lost: what was saved stays whole, and the run can be resumed, to the same bits.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from word_lm import cli, train
from word_lm.commands import train as commands_train

Caller = Callable[..., tuple[int, str, str]]

TRAIN = (
    "train", "--device", "cpu", "--threads", "1", "--embedding-size", "24", "--hidden-size", "24",
    "--batch-size", "16", "--steps", "50", "--evaluate-every", "20", "--checkpoint-every", "10", "--log-every", "1",
    "--learning-rate", "0.01", "--softmax", "adaptive", "--cutoffs", "[30,60]",
)  # fmt: skip
"""39 steps are an epoch of the sample: step 45 is in the middle of the second one."""


class Runs:
    """Runs that nothing disturbed, one for each number format."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data

    def whole(self, *more: str) -> Path:
        out = self.folder / ("-".join(more) or "plain")
        if not out.exists():
            assert cli.main([*self.command(out), "--quiet", *more]) == 0
        return out

    def command(self, out: Path) -> list[str]:
        return [*TRAIN, "--data", str(self.data), "--out", str(out)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Runs:
    return Runs(tmp_path_factory.mktemp("whole"), sample_folder)


@pytest.fixture(autouse=True)
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the page of a run, which takes as long as the run."""
    monkeypatch.setattr(commands_train, "write_page", lambda folder: None)


def bits(run: Path) -> dict[str, torch.Tensor]:
    """Return the weights after the last step."""
    return load_file(run / "checkpoints" / "step-00000050" / "model.safetensors")


def is_same(run: Path, other: Path) -> bool:
    a, b = bits(run), bits(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def one_line(error: str) -> bool:
    return error.startswith("word-lm: ") and error.count("\n") == 1 and "Traceback" not in error


def unfinished(run: Path, to: Path, *, last: int = 50) -> Path:
    """Return a copy of a finished run as a kill just after step `last` would have left it."""
    shutil.copytree(run, to)
    (to / "summary.json").unlink()
    (to / "report.html").unlink(missing_ok=True)
    for folder in (to / "checkpoints").iterdir():
        if json.loads((folder / "manifest.json").read_text())["step"] > last:
            shutil.rmtree(folder)
    return to


def sign(folder: Path) -> None:
    """Make the manifest of a checkpoint say that its files are as they should be."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["sha256"]:
        manifest["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    del manifest["sha256_of_manifest"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def checkpoints(run: Path) -> list[Path]:
    """Return the folders of the checkpoints, hidden ones too."""
    return sorted((run / "checkpoints").iterdir())


# A full disk


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let every write past so many bytes of a file fail, in torch and safetensors too, as on a full disk."""
    resource = pytest.importorskip("resource", reason="needs a POSIX system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 16_384], ids=["for the log too", "for checkpoints only"])
def test_disk_that_fills_up_costs_no_checkpoint_and_the_run_resumes_to_the_same_bits(
    size: int, runs: Runs, word_lm: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    real, calls = train.SegmentLoss.__call__, 0
    with monkeypatch.context() as patch, no_file_beyond(1 << 40):
        resource = pytest.importorskip("resource")

        def loss_on_a_disk_that_fills_up(self: Any, *inputs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 25:
                hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
            return real(self, *inputs)

        patch.setattr(train.SegmentLoss, "__call__", loss_on_a_disk_that_fills_up)
        code, _, error = word_lm(*runs.command(out), "--quiet")
    assert code == 2 and one_line(error), error
    assert "space" in error
    names = [path.name for path in checkpoints(out)]
    assert names == ["best", "step-00000010", "step-00000020"]  # and nothing half-written
    code, _, error = word_lm(*runs.command(out), "--quiet", "--resume")
    assert (code, error) == (0, "")
    assert is_same(out, runs.whole())


def test_disk_that_is_full_at_the_end_costs_only_the_end(
    runs: Runs, word_lm: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        real = train._finish

        def finish_on_a_full_disk(*inputs: Any) -> None:
            with no_file_beyond(0):
                real(*inputs)

        patch.setattr(train, "_finish", finish_on_a_full_disk)
        code, _, error = word_lm(*runs.command(out), "--quiet")
    assert code == 2 and one_line(error), error
    assert not (out / "summary.json").exists()
    assert word_lm(*runs.command(out), "--quiet", "--resume")[0] == 0
    assert json.loads((out / "summary.json").read_text())["steps"] == 50
    assert is_same(out, runs.whole())


# Folders that cannot be written


@pytest.fixture
def no_override() -> Iterator[None]:
    """Take from root the right to write where permission bits forbid it, so that these tests hold for root too."""
    if sys.platform == "win32" or not hasattr(os, "geteuid"):
        pytest.skip("needs POSIX permissions")
    if os.geteuid() != 0:
        yield
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("root writes everywhere, and only Linux can take that right away")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    before = (ctypes.c_uint32 * 6)()
    if libc.capget(header, before):
        pytest.skip("root's rights cannot be read here")
    reduced = (ctypes.c_uint32 * 6)(*before)
    reduced[0] &= ~(1 << 1)  # CAP_DAC_OVERRIDE, of those in effect
    if libc.capset(header, reduced):
        pytest.skip("root's rights cannot be reduced here")
    yield
    assert libc.capset(header, before) == 0


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def test_read_only_folder_is_refused_and_named(
    runs: Runs, word_lm: Caller, no_override: None, tmp_path: Path
) -> None:
    holder = tmp_path / "holder"
    holder.mkdir()
    with read_only(holder):
        code, _, error = word_lm(*runs.command(holder / "run"), "--quiet")
    assert code == 2 and one_line(error) and str(holder / "run") in error, error
    assert not list(holder.iterdir())


def test_read_only_run_is_read_but_not_resumed(
    runs: Runs, word_lm: Caller, no_override: None, tmp_path: Path
) -> None:
    out = unfinished(runs.whole(), tmp_path / "run")
    before = sorted(path.name for path in out.iterdir())
    with read_only(out), read_only(out / "checkpoints"):
        code, _, error = word_lm(*runs.command(out), "--quiet", "--resume")
        assert code == 2 and one_line(error) and str(out) in error, error
        code, printed, error = word_lm("evaluate", out, "--json")
        assert (code, error) == (0, "") and json.loads(printed)["ppl"] > 1
        code, _, error = word_lm("surprisal", out, "--words", 5)
        assert code == 2 and one_line(error) and str(out) in error, error
    assert sorted(path.name for path in out.iterdir()) == before


def test_checkpoints_that_cannot_be_written_end_the_run_and_keep_the_old_ones(
    runs: Runs, word_lm: Caller, no_override: None, tmp_path: Path
) -> None:
    out = unfinished(runs.whole(), tmp_path / "run", last=40)
    kept = [path.name for path in checkpoints(out)]
    with read_only(out / "checkpoints"):
        code, _, error = word_lm(*runs.command(out), "--quiet", "--resume")
    assert code == 2 and one_line(error) and "checkpoints" in error, error
    assert [path.name for path in checkpoints(out)] == kept
    assert word_lm(*runs.command(out), "--quiet", "--resume")[0] == 0
    assert is_same(out, runs.whole())


def test_file_where_a_folder_is_expected_is_named_by_every_verb_that_writes(
    runs: Runs, word_lm: Caller, tmp_path: Path
) -> None:
    run, file = runs.whole(), tmp_path / "file"
    file.write_text("mine")
    for words in (
        runs.command(file),
        runs.command(file / "run"),
        ["surprisal", run, "--words", 5, "--out", file / "page.html"],
        ["context", run, "--lengths", "[1,2]", "--tokens", 20, "--out", file / "folder"],
        ["report", run, "--out", file / "page.html"],
        ["export", run, "--out", file],
        ["export", run, "--out", file / "folder"],
        ["sample", "--out", file],
    ):
        code, _, error = word_lm(*words)
        assert code == 2 and one_line(error) and str(file) in error, (words, error)
    assert file.read_text() == "mine"


# Kills


def interrupted(command: list[str], number: int, *, whole_group: bool) -> tuple[int, str, str]:
    """Run the command by itself and send it a signal as soon as it has made a step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "word_lm", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    limit = threading.Timer(60, process.kill)
    limit.start()
    assert process.stdout is not None and process.stderr is not None
    with process:
        seen = next((line for line in process.stdout if "/50 lr " in line), None)
        if seen is not None:
            (os.killpg if whole_group else os.kill)(process.pid, number)
        printed, error = process.stdout.read(), process.stderr.read()
    limit.cancel()
    assert seen is not None, error
    return process.returncode, printed, error


@pytest.mark.reliability
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    "precision, workers, resumed_with, number, whole_group",
    [
        # As Ctrl-C in a terminal does: the processes that fetch batches get it too.
        ("float32", "2", "0", signal.SIGINT, True),
        ("bf16", "0", "2", signal.SIGTERM, False),
    ],
    ids=["float32", "bf16"],
)
def test_process_that_is_told_to_stop_saves_and_resumes_to_the_same_bits(
    precision: str,
    workers: str,
    resumed_with: str,
    number: signal.Signals,
    whole_group: bool,
    runs: Runs,
    word_lm: Caller,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    command = [*runs.command(out), "--precision", precision]
    code, _, error = interrupted([*command, "--workers", workers], number, whole_group=whole_group)
    assert code == 128 + number and one_line(error) and "--resume" in error, (code, error)
    assert not (out / "summary.json").exists()
    code, _, error = word_lm(*command, "--workers", resumed_with, "--quiet", "--resume")
    assert (code, error) == (0, "")
    assert is_same(out, runs.whole("--precision", precision))


def test_killed_while_a_checkpoint_is_written_resumes_from_the_one_before(
    runs: Runs, word_lm: Caller, tmp_path: Path
) -> None:
    out = unfinished(runs.whole(), tmp_path / "run", last=40)
    torn = out / "checkpoints" / ".step-00000050.x1y2z3"  # what SIGKILL leaves of a folder aside
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"\0" * 1000)
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 51, "train_lo')
    assert word_lm(*runs.command(out), "--quiet", "--resume")[0] == 0
    assert is_same(out, runs.whole())


# Damaged and hostile checkpoints


@pytest.mark.parametrize("name", ["model.safetensors", "training.pt", "manifest.json"])
def test_truncated_checkpoint_is_named_and_the_one_before_it_used(
    name: str, runs: Runs, word_lm: Caller, tmp_path: Path
) -> None:
    out = unfinished(runs.whole(), tmp_path / "run")
    for damaged in ("best", "step-00000050"):
        file = out / "checkpoints" / damaged / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    code, printed, error = word_lm(*runs.command(out), "--resume")
    assert (code, error) == (0, "")
    assert f"step-00000050: is damaged ({name}" in printed
    assert "continuing from step 40" in printed
    assert is_same(out, runs.whole())


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def saved_by_torch(payload: Payload, path: Path) -> None:
    torch.save({"optimizers": [payload], "average": None}, path)


def plain_pickle(payload: Payload, path: Path) -> None:
    path.write_bytes(pickle.dumps(payload, protocol=2))


@pytest.mark.parametrize("write", [saved_by_torch, plain_pickle])
@pytest.mark.parametrize("name", ["training.pt", "process-0.pt", "model.safetensors", "vocab.txt"])
def test_pickle_in_a_checkpoint_is_never_executed(
    write: Callable[[Payload, Path], None], name: str, runs: Runs, word_lm: Caller, tmp_path: Path
) -> None:
    out, mark = unfinished(runs.whole(), tmp_path / "run"), tmp_path / "executed"
    write(Payload(mark), tmp_path / "control")
    with suppress(RuntimeError):  # of torch, about a file that it did not write, when all is done
        torch.load(tmp_path / "control", weights_only=False)
    assert mark.exists()  # it does work where it is let
    mark.unlink()
    for folder in checkpoints(out):
        write(Payload(mark), folder / name)
        sign(folder)
    commands: list[list[Any]] = [[*runs.command(out), "--quiet", "--resume"]]
    if name in ("model.safetensors", "vocab.txt"):
        commands += [
            ["evaluate", out],
            ["generate", out],
            ["export", out, "--out", tmp_path / "onnx"],
        ]
    if name == "vocab.txt":
        del commands[0]  # training makes it from the data and compares that
    for words in commands:
        code, _, error = word_lm(*words)
        assert code == 2 and one_line(error) and name in error, (words, error)
        assert not mark.exists()


@pytest.mark.parametrize("verb", ["evaluate", "generate", "surprisal", "context", "export"])
@pytest.mark.parametrize("change", ["shorter", "longer"])
def test_vocabulary_that_does_not_fit_the_weights_is_refused_by_every_verb(
    verb: str, change: str, runs: Runs, word_lm: Caller, tmp_path: Path
) -> None:
    out = unfinished(runs.whole(), tmp_path / "run")
    for folder in checkpoints(out):
        lines = (folder / "vocab.txt").read_text().splitlines()
        lines = lines[:-3] if change == "shorter" else [*lines, "neverseen 1"]
        (folder / "vocab.txt").write_text("\n".join(lines) + "\n")
        sign(folder)
    code, _, error = word_lm(verb, out)
    assert code == 2 and one_line(error) and "does not fit the model" in error, error


# Texts that are none


BAD_TEXTS = {
    "empty": (b"", "is empty"),
    "blank lines": (b"\n \n\n", "is empty"),
    "one token": (b"word", "a single word"),
    "NUL bytes": (b"a b c\nd \0 e\n", ":2: holds a NUL byte"),
    "UTF-16": ("a b c\n".encode("utf-16"), ":1: "),
    "Latin-1": ("a b\nc d\ncafé au lait\n".encode("latin-1"), ":3: is not utf-8"),
    "cut within a letter": ("a b\nc é".encode()[:-1], ":2: is not utf-8"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_text_that_is_none_is_refused_by_every_verb_that_reads_one(
    case: str, runs: Runs, word_lm: Caller, tmp_path: Path
) -> None:
    content, expected = BAD_TEXTS[case]
    run, text = runs.whole(), tmp_path / "text.txt"
    text.write_bytes(content)
    for words in (
        [*TRAIN, "--data", text, "--out", tmp_path / "run"],
        ["evaluate", run, "--data", text],
        ["surprisal", run, "--text", text, "--out", tmp_path / "page.html"],
        ["context", run, "--data", text, "--out", tmp_path],
    ):
        code, _, error = word_lm(*words)
        assert code == 2 and one_line(error), (words, error)
        assert str(text) in error and expected in error, (words, error)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize("text", ["a\n", "a b\n"])
def test_text_shorter_than_the_rows_of_a_protocol_is_refused_by_it(
    text: str, runs: Runs, word_lm: Caller, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text(text)
    code, _, error = word_lm("evaluate", runs.whole(), "--data", "text.txt")
    assert code == 2 and one_line(error), error


MEASURED = """
import resource, sys
from pathlib import Path
from word_lm.config import TrainConfig
from word_lm.data.dataset import encode_split, load_text
from shared.text.vocabulary import Vocabulary
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
if sys.argv[2] == "load":
    text = load_text(TrainConfig(data=sys.argv[1]))
    tokens, known = sum(len(ids) for ids in text.splits.values()), len(text.vocabulary)
else:
    vocabulary = Vocabulary(["<unk>", "<eos>", "word00000"], [1, 1, 1])
    tokens, known = len(encode_split(sys.argv[1], "test", vocabulary)), 0
print(peak() - before, tokens, known)
"""


@pytest.mark.reliability
@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
@pytest.mark.parametrize(
    "words, call, tokens",  # a word of 20 MB is cut into pieces of a megabyte or two
    [(1000, "load", [2_000_001]), (1000, "encode", [2_000_001]), (1, "encode", range(2, 22))],
    ids=["training", "evaluating", "without a space"],
)
def test_line_of_20_megabytes_is_read_in_bounded_memory(
    words: int, call: str, tokens: Sequence[int], tmp_path: Path
) -> None:
    file, size = tmp_path / "line.txt", 20_000_000
    line = " ".join(f"word{number:05d}" for number in range(words)) + " " * (words > 1)
    file.write_bytes((line.encode() * (size // len(line) + 1))[:size])
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(file), call],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peak, found, known = map(int, done.stdout.split())
    # The line as a string, its words in a list and a string for each word would be eight times the file and more.
    assert peak < 3 * size, f"{peak / size:.1f} times the file"
    assert found in tokens
    if known:
        assert known == words + 2
