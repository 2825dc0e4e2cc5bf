"""Commands in processes of their own, which are killed, starved, locked out and doubled.

A fork server has torch and the packages loaded, so an attempt costs little more than its own work. No attempt may ask
for the network: the first try ends it.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from comparing import checkpoints
from harm import Harm, run_harmed
from trainings import TASKS, Training

SECONDS = 300
"""An attempt that takes longer hangs."""
COMMANDS = tuple(f"{task.replace('_', '-')}: " for task in TASKS)

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *(
            f"{task}.{role}"
            for task in TASKS
            for role in ("cli", "train", "measure", "measures.protocols")
        ),
        *(f"{task}.commands.{verb}" for task in TASKS for verb in ("train", "evaluate", "report")),
        *(
            "imdb_sentiment.train_linear",
            "imdb_sentiment.train_network",
            "imdb_sentiment.model.linear",
        ),
        # What they import as late as they can.
        *("jsonargparse", "docstring_parser", "accelerate", "torch._dynamo", "numba.typed", "nltk"),
        *("tensorboard.compat.proto.event_pb2", "tensorboard.summary.writer.record_writer"),
        *("sklearn.linear_model", "sklearn.feature_extraction.text", "scipy.sparse"),
    ]
)
NOTHING = Harm()


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Parameters
    ----------
    code : int
        Exit code; below 0, the number of the signal that ended it.
    error : str
        What it wrote on standard error.
    seconds : float
    """

    code: int
    error: str
    seconds: float

    @property
    def is_killed(self) -> bool:
        """A signal ended it, at once (-9, -15) or after saving (143)."""
        return self.code in (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM)

    @property
    def is_told(self) -> bool:
        """It was refused as users are told: exit code 2 and one line; notes on checkpoints may stand before it."""
        *notes, last = self.error.split("\n")[:-1] or [""]
        is_note = all(note.endswith("the one before it is used.") for note in notes)
        return self.code == 2 and is_note and last.startswith(COMMANDS)

    def __str__(self) -> str:
        """Return the end of it, for a message."""
        return f"exit code {self.code}, {(self.error.splitlines() or ['nothing said'])[-1]}"


def attempt(module: str, *commands: Sequence[object], harm: Harm = NOTHING) -> list[Outcome]:
    """Run `main(words)` of a module, for several commands at once."""
    children = [_Child(module, [str(word) for word in words], harm) for words in commands]
    return [child.end(harm) for child in children]


class _Child:
    """One attempt, seen from here."""

    def __init__(self, module: str, words: list[str], harm: Harm) -> None:
        self.said, end = CONTEXT.Pipe(duplex=False)
        self.process = CONTEXT.Process(target=run_harmed, args=(end, module, words, harm))
        self.began = time.monotonic()
        self.process.start()
        end.close()

    def end(self, harm: Harm) -> Outcome:
        """Send the signal when it is time, and wait for the end."""
        if harm.signal is not None:
            self.process.join(harm.after)
            with suppress(ProcessLookupError):
                if self.process.is_alive():
                    os.kill(self.process.pid, harm.signal)
        self.process.join(SECONDS)
        is_hung = self.process.exitcode is None
        self.process.kill()
        self.process.join()
        assert not is_hung, "hangs"
        seconds = time.monotonic() - self.began
        error = b"".join(iter(lambda: os.read(self.said.fileno(), 1 << 16), b""))
        self.said.close()
        return Outcome(self.process.exitcode, error.decode(errors="replace"), seconds)


class Attempts:
    """Attempts at one training.

    Parameters
    ----------
    training : Training
    data : Path
        The package's sample.
    folder : Path
        New; for runs that several tests look at.
    """

    def __init__(self, training: Training, data: Path, folder: Path) -> None:
        self.training, self.data, self.folder = training, data, folder
        self.module = f"{training.task}.cli"
        folder.mkdir()

    def words(self, out: Path, *more: object) -> list[object]:
        """Return the words of a training into a folder."""
        own = ("--data", self.data, "--out", out, "--quiet")
        return ["train", *self.training.settings, *own, *more]

    def train(self, out: Path, *more: object, **harm: Any) -> Outcome:
        """Train into a folder."""
        return attempt(self.module, self.words(out, *more), harm=Harm(**harm))[0]

    def evaluate(self, run: Path, **harm: Any) -> Outcome:
        """Evaluate a run."""
        return attempt(self.module, ["evaluate", run, "--json"], harm=Harm(**harm))[0]

    @cached_property
    def whole(self) -> Path:
        """A run that nothing disturbed."""
        self._finished("first")  # fills the caches
        began = time.monotonic()
        path = self._finished("whole")
        self.seconds = time.monotonic() - began
        return path

    @cached_property
    def other(self) -> Path:
        """A finished run on the same data with a model of another shape."""
        return self._finished("other", *self.training.other)

    def stopped(self, to: Path) -> Path:
        """Copy a run that was killed when it had written some checkpoints, and had work left."""
        return Path(shutil.copytree(self._stopped, to))

    def finished(self, to: Path) -> Path:
        """Copy the run that nothing disturbed."""
        return Path(shutil.copytree(self.whole, to))

    @cached_property
    def _stopped(self) -> Path:
        path, share = self.folder / "stopped", 0.6
        enough = 2 if self.training.goes_on else 0
        whole = self.whole
        while True:
            outcome = self.train(path, signal=signal.SIGKILL, after=share * self.seconds)
            is_begun = (path / "config.yaml").exists() and len(checkpoints(path)) >= enough
            if outcome.is_killed and is_begun and not (path / "summary.json").exists():
                return path
            share *= 1.1 if outcome.is_killed and not is_begun else 0.9
            assert 0.05 < share < 3, f"{outcome}, while {whole} took {self.seconds:.1f} s"
            shutil.rmtree(path, ignore_errors=True)

    def _finished(self, name: str, *more: object) -> Path:
        path = self.folder / name
        outcome = self.train(path, *more)
        assert (outcome.code, outcome.error) == (0, ""), outcome.error
        return path
