"""The folder of one run.

    runs/<task>/<name>/  config.yaml  environment.json  metrics.jsonl  summary.json  log.txt  checkpoints/  report.html

`config.yaml` alone runs it again. A folder that is not empty is refused unless the run is resumed, and two runs cannot
write into one folder at once.
"""

from __future__ import annotations

import datetime
import errno
import functools
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.command import config as configuration
from shared.command import fields
from shared.errors import UserError
from shared.files import remove_leftovers, shell_quoted, whole_file, write_json
from shared.locks import Busy, NoLocks, acquire
from shared.runs.checkpoints import Checkpoint, Checkpoints
from shared.runs.listing import newest_run, task_of
from shared.runs.metrics_log import MetricsLog

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK = ".lock"
_FIRST = ("config.yaml", "environment.json", "log.txt")
"""What a run writes before it trains."""


class RunDirectory:
    """One run's folder, open for writing.

    Use `with RunDirectory.start(...) as run`; `RunDirectory.read` opens a finished one.

    Attributes
    ----------
    path : Path
    metrics : MetricsLog
    checkpoints : Checkpoints
    is_resumed : bool
        The folder held a run, which continues.
    is_read_only : bool
        Nothing is written into it.
    """

    def __init__(
        self,
        path: Path,
        *,
        quiet: bool = False,
        is_resumed: bool = False,
        is_read_only: bool = False,
    ) -> None:
        self.path = path
        self.quiet = quiet
        self.is_read_only = is_read_only
        self.is_resumed = is_resumed
        self.metrics = MetricsLog(path / "metrics.jsonl")
        self.checkpoints = Checkpoints(path / "checkpoints", say=self.say)
        self._lock: BaseFileLock | None = None

    @classmethod
    def start(
        cls,
        task: str,
        config: Any,
        *,
        out: str | None,
        resume: bool,
        quiet: bool = False,
        may_change: Iterable[str] = (),
    ) -> RunDirectory:
        """Make the folder of a new run, or open one to resume.

        Parameters
        ----------
        task : str
            Names the folder above when `out` is None: `runs/<task>/<date-time>`.
        config : dataclass
            Saved as `config.yaml`.
        out : str or None
        resume : bool
            Continue the run in the folder; an empty folder gets a new one.
        quiet : bool
            Log to the file only.
        may_change : iterable of str
            Fields that may differ from the saved configuration on resume.

        Raises
        ------
        UserError
            The folder is not empty and `resume` is False; another run is writing into it; it holds something
            other than a run; a setting differs from the saved one.
        """
        path = (
            Path(out) if out else Path("runs") / task / f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
        )
        is_filled = require_free(path, resume=resume)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, quiet=quiet, is_resumed=is_filled)
        run._take_lock()
        try:
            for folder in (path, path / "checkpoints"):
                remove_leftovers(folder)
            run._write_or_compare(task, config, may_change)
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def read(cls, path: str | Path, *, task: str) -> RunDirectory:
        """Open a folder that a run of `task` wrote; of a folder of runs, the newest one.

        Raises
        ------
        UserError
            There is no such folder, or it is no run and holds none.
        """
        folder = newest_run(Path(path), task)
        other = task_of(folder)
        if other not in (None, task.replace("-", "_")):
            raise UserError(f"{folder}: is a run of {other}, expected one of {task}.")
        if not (folder / "config.yaml").is_file():
            raise UserError(
                f"{folder}: is not a run (no config.yaml in it). Expected a folder that `{task} train --out` wrote."
            )
        return cls(folder, is_read_only=True)

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        if error is not None:
            error.run_folder = self.path  # type: ignore[attr-defined]  # for `shared.command.terminal`
        if isinstance(error, UserError) and not self.is_resumed and not self.is_read_only:
            self._undo()
        self.close()

    def _undo(self) -> None:
        """Remove the folder of a run that was refused before it began, so that the mended command can have it."""
        names = {entry.name for entry in self.path.iterdir()}
        checkpoints = self.path / "checkpoints"
        if names <= {*_FIRST, LOCK, "checkpoints"} and not (
            checkpoints.is_dir() and any(checkpoints.iterdir())
        ):
            for name in names & {*_FIRST}:
                (self.path / name).unlink(missing_ok=True)

    def say(self, line: str) -> None:
        """Print a line and append it to `log.txt`; of a run that is only read, print it to standard error."""
        if self.is_read_only:
            print(line, file=sys.stderr)
            return
        if not self.quiet:
            from tqdm import tqdm

            try:
                tqdm.write(line)  # goes above a progress bar instead of through it
            except OSError as error:
                if error.errno != errno.EIO:
                    raise  # EIO: the terminal has been closed, and what there is to save must be saved
        path = self.path / "log.txt"
        try:
            with path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                file.write(line + "\n")
        except OSError as error:  # a full disk does not say whose write failed
            raise OSError(error.errno, error.strerror, str(path)) from None

    def has_ended(self) -> bool:
        """Whether the run has ended before; says so."""
        if not (self.path / "summary.json").exists():
            return False
        self.say(f"{self.path}: this run has ended already; nothing is left to do.")
        return True

    def chosen(self, *, highest: bool = True) -> Checkpoint:
        """Return the best checkpoint, or the last one where none was measured yet.

        Parameters
        ----------
        highest : bool
            The metric is the better the higher it is.

        Raises
        ------
        UserError
            There is no whole checkpoint.
        """
        checkpoint = self.checkpoints.best(highest=highest)
        if checkpoint is None:
            raise UserError(
                f"{self.path}: has no checkpoint yet. Continue it with `{self._resuming()}`."
            )
        return checkpoint

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write `summary.json`."""
        write_json(self.path / "summary.json", summary)

    def summary(self) -> dict[str, Any]:
        """Read `summary.json`.

        Raises
        ------
        UserError
            The run did not end, or the file is damaged.
        """
        path = self.path / "summary.json"
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{path}: is missing, so the run did not end. Finish it with `{self._resuming()}`."
            ) from None
        except (ValueError, RecursionError):
            summary = None
        if not isinstance(summary, dict) or not isinstance(summary.get("metrics"), dict):
            raise UserError(f"{path}: is not JSON of a run. Restore it or train again.")
        return summary

    def _resuming(self) -> str:
        task = (task_of(self.path) or "").replace("_", "-")
        return f"{task} train --out {shell_quoted(self.path)} --resume".lstrip()

    def close(self) -> None:
        """Give up the lock."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take_lock(self) -> None:
        try:
            self._lock = acquire(self.path / LOCK)
        except Busy:
            raise UserError(
                f"{self.path}: another run is writing into it. Wait for it, or choose another --out."
            ) from None
        except NoLocks as problem:
            self.say(
                f"{self.path}: cannot be locked on this disk ({problem}); see that no other run writes into it."
            )

    def _write_or_compare(self, task: str, config: Any, may_change: Iterable[str]) -> None:
        if not self.is_resumed:
            with whole_file(self.path / "config.yaml") as file:
                file.write(configuration.dump(config))
        if not (self.path / "environment.json").exists():  # a kill may come between the two
            facts = {"task": task.replace("-", "_"), **environment()}
            write_json(self.path / "environment.json", facts)
        if not self.is_resumed:
            return
        saved = configuration.load(type(config), self.path / "config.yaml")
        changed = configuration.differences(saved, config, may_change)
        if changed:
            advice = "Leave them out, or choose another --out."
            has_init = hasattr(saved, "init") and not fields.unused(saved, ["init"])
            if has_init and (self.path / "summary.json").exists():
                advice = f"It has ended; to go on from its weights: {start_from(self.path)} with another --out."
            raise UserError(
                f"{self.path}: cannot resume with other settings ({'; '.join(changed)}). {advice}"
            )


def start_from(run: str | Path) -> str:
    """Return the options with which training starts from a run's weights, with its settings."""
    return f"--config {shell_quoted(Path(run) / 'config.yaml')} --init {shell_quoted(run)}"


def require_free(path: Path, *, resume: bool) -> bool:
    """Check that a run may be written into a folder; return whether it holds one to continue.

    Raises
    ------
    UserError
        It is not empty and `resume` is False, or it holds something other than a run.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file, expected a folder or nothing. Choose another --out.")
    # A kill may leave a lock, and a config.yaml that has not got its name yet.
    is_filled = path.is_dir() and any(
        entry.name != LOCK and not entry.name.startswith(".config.yaml.")
        for entry in path.iterdir()
    )
    has_config = (path / "config.yaml").is_file()
    if is_filled and not resume:
        hint = "continue it with --resume or choose" if has_config else "choose"
        raise UserError(f"{path}: is not empty. To keep what it holds, {hint} another --out.")
    if is_filled and not has_config:
        raise UserError(
            f"{path}: holds no config.yaml, so it is not a run folder. Choose another --out."
        )
    return is_filled


def environment(
    packages: Iterable[str] = (
        *("numpy", "scipy", "numba", "scikit-learn", "torch", "torchvision", "accelerate"),
        *("transformers", "nltk"),
    ),
) -> dict[str, Any]:
    """Return what a run's figures depend on: Python, system, cores, package versions, the command."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "folder": os.getcwd(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": versions(packages),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of those packages that are installed, and of ours."""
    installed = {}
    for name in [*packages, *_ours()]:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


@functools.cache  # the metadata of everything that is installed is read for it
def _ours() -> tuple[str, ...]:
    names = {distribution.name or "" for distribution in importlib.metadata.distributions()}
    return tuple(sorted(name for name in names if name.startswith("dltasks-")))


def _processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
