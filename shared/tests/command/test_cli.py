from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.command.cli import Verb, run_verbs
from shared.command.config import positional
from shared.errors import UserError
from shared.interrupt import Interrupted, StopRequest
from shared.runs.run_directory import RunDirectory


@dataclass(frozen=True)
class Greeting:
    """Options of a made-up verb."""

    name: str = positional()
    """Whom to greet."""
    times: int = 1
    """How often."""
    batch_size: int = 8
    """Batch size."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a caller of a command with one verb, `greet`, whose code is given."""

    def call(words: list[str], run: Callable[[Greeting], int | None] = lambda options: None) -> int:
        options, code = types.ModuleType("options"), types.ModuleType("greet")
        options.Greeting, code.run = Greeting, run  # type: ignore[attr-defined]
        modules = {"demo": None, "demo.commands": None, "demo.commands.options": options}
        for name, module in (
            modules | {"demo.commands.greet": code, "demo.commands.go": code}
        ).items():
            monkeypatch.setitem(sys.modules, name, module or types.ModuleType(name))
        verbs = (
            Verb("greet", "Say hello.", "Greeting"),
            Verb("go", "Train.", "shared.command.options:RunOptions"),
        )
        return run_verbs("demo", "1.2", "A made-up command.", verbs, words)

    return call


def raising(error: BaseException) -> Callable[[Greeting], int | None]:
    def run(options: Greeting) -> int | None:
        raise error

    return run


def test_verb_gets_its_options_and_its_return_value_is_the_exit_code(
    command: Callable[..., int],
) -> None:
    seen = []
    assert command(["greet", "Ada", "--times", "2"], lambda options: seen.append(options)) == 0
    assert seen == [Greeting("Ada", 2)]
    assert command(["greet", "Ada"], lambda options: 1) == 1


@pytest.mark.parametrize(
    "error, code, printed",
    [
        (UserError("corpus.txt: is empty."), 2, "demo: corpus.txt: is empty.\n"),
        (Interrupted(signal.SIGINT, "saved."), 130, "demo: saved.\n"),
        (Interrupted(signal.SIGTERM, "saved."), 143, "demo: saved.\n"),
        (KeyboardInterrupt(), 130, "demo: interrupted.\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "log.txt"),
            2,
            "demo: log.txt: No space left on device. Check that the path exists, is yours to use, and has space.\n",
        ),
    ],
)
def test_each_way_to_end_has_its_code_and_one_line(
    error: BaseException,
    code: int,
    printed: str,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(["greet", "Ada"], raising(error)) == code
    assert capsys.readouterr().err == printed


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    "error, expected",
    [
        (ZeroDivisionError("division by zero"), "demo: ZeroDivisionError: division by zero. This is a defect"),
        (ValueError("two\nlines"), "demo: ValueError: two lines. This is a defect"),
        (KeyError(), "demo: KeyError. This is a defect"),
        (MemoryError(), "demo: Not enough memory. Lower --batch-size."),
        (OutOfMemoryError("CUDA out of memory. Tried"), "Not enough memory. Lower --batch-size."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Not enough memory. Lower"),
    ],
)  # fmt: skip
def test_defect_is_one_line_and_its_traceback_a_file(
    error: Exception,
    expected: str,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DLTASKS_TRACEBACK", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert command(["greet", "Ada"], raising(error)) == 1
    printed = capsys.readouterr().err
    assert expected in printed
    assert printed.count("\n") == 1
    (file,) = tmp_path.iterdir()
    assert str(file) in printed
    assert "Traceback" in file.read_text()
    monkeypatch.setenv("DLTASKS_TRACEBACK", "1")
    with pytest.raises(type(error)):
        command(["greet", "Ada"], raising(error))


def test_traceback_of_a_run_lies_in_its_folder(
    command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DLTASKS_TRACEBACK", raising=False)

    def crash(options: Greeting) -> None:
        with RunDirectory.start(
            "demo", options, out=str(tmp_path / "run"), resume=False, quiet=True
        ):
            raise ZeroDivisionError

    assert command(["greet", "Ada"], crash) == 1
    assert len(list((tmp_path / "run").glob("demo-crash-*.txt"))) == 1


def test_occupied_folder_is_refused_before_the_verb_begins(
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "thesis.tex").touch()
    began: list[object] = []
    assert command(["go", "--out", str(tmp_path)], began.append) == 2
    assert "is not empty" in capsys.readouterr().err
    assert not began
    monkeypatch.setenv("RANK", "1")  # another process may have made the folder
    assert command(["go", "--out", str(tmp_path)], began.append) == 0


def test_stream_that_cannot_be_changed_stays_as_it_is(
    command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stubborn(io.StringIO):
        def reconfigure(self, **settings: str) -> None:
            raise OSError(errno.ESPIPE, "Illegal seek")

    monkeypatch.setattr("sys.stderr", Stubborn())
    assert command(["greet", "Ada"]) == 0


UNPRINTABLE = """
import sys
from shared.command.cli import Verb, run_verbs
sys.exit(run_verbs("demo", "1", "电影", [Verb("a", "é", "b:C")], sys.argv[1:]))
"""


@pytest.mark.parametrize("locale", ["cp1252", "ascii", "utf-16"])
def test_output_is_utf8_whatever_the_locale(locale: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": locale, "LC_ALL": "C"}

    def call(*words: str | bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", UNPRINTABLE, *words],
            check=False, capture_output=True, env=environment,
        )  # fmt: skip

    assert "电影" in call("--help").stdout.decode("utf-8")
    done = call("运行")
    assert done.returncode == 2
    assert done.stderr.decode("utf-8").startswith("demo: '运行' is not a verb")
    if os.name != "nt":
        assert call(b"caf\xe9").returncode == 2


def test_unknown_verb_is_named_with_near_spellings(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["gret"]) == 2
    assert "'gret' is not a verb (did you mean greet?)" in capsys.readouterr().err


def test_missing_place_is_an_error_of_one_line(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["greet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "NAME is missing. Expected `demo greet NAME" in error


def test_overview_lists_verbs_without_importing_them(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = (Verb("train", "Train.", "no_such_module:run", ("no_such_module:Config",)),)
    assert run_verbs("demo", "1.2", "A made-up command.", verbs, ["--help"]) == 0
    assert "train       Train." in capsys.readouterr().out
    assert run_verbs("demo", "1.2", "A made-up command.", verbs, ["--version"]) == 0
    assert capsys.readouterr().out == "demo 1.2\n"
    assert run_verbs("demo", "1.2", "A made-up command.", verbs, []) == 2


def test_overview_needs_neither_numpy_nor_jsonargparse() -> None:
    code = (
        "import sys; from shared.command.cli import run_verbs, Verb;"
        "run_verbs('demo', '1', 'd', (Verb('a', 'b', 'c:d', ()),), ['--help']);"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'jsonargparse', 'yaml', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=-1).returncode == 0


SIGNALS = [signal.SIGINT, signal.SIGTERM]
SIGNALS += [getattr(signal, name) for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)]


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_is_remembered_and_old_handlers_come_back(number: int) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.signal_number is None
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
    assert signal.getsignal(number) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal on Windows")
def test_hang_up_under_nohup_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.signal_number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signal_of_the_other_kind_is_not_a_second_one() -> None:
    # Ctrl-C, and then a supervisor's SIGTERM while what it asked for is being saved.
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal_number == signal.SIGINT


def test_second_signal_ends_the_process() -> None:
    code = (
        "import os, signal\n"
        "from shared.interrupt import StopRequest\n"
        "with StopRequest():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == b""
