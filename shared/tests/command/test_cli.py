from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from shared.command.cli import Verb, run_verbs
from shared.command.config import positional
from shared.errors import UserError
from shared.interrupt import Interrupted, StopRequest


@dataclass(frozen=True)
class Greeting:
    """Options of a made-up verb."""

    name: str = positional()
    """Whom to greet."""
    times: int = 1
    """How often."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a caller of a command with one verb, `greet`, whose code is given."""

    def call(words: list[str], run: Callable[[Greeting], int | None] = lambda options: None) -> int:
        options, code = types.ModuleType("options"), types.ModuleType("greet")
        options.Greeting, code.run = Greeting, run  # type: ignore[attr-defined]
        modules = {"demo": None, "demo.commands": None, "demo.commands.options": options}
        for name, module in (modules | {"demo.commands.greet": code}).items():
            monkeypatch.setitem(sys.modules, name, module or types.ModuleType(name))
        verbs = (Verb("greet", "Say hello.", "Greeting"),)
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


def test_our_own_defects_keep_their_traceback(command: Callable[..., int]) -> None:
    with pytest.raises(ZeroDivisionError):
        command(["greet", "Ada"], raising(ZeroDivisionError()))


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
    assert "name" in error


def test_overview_lists_verbs_without_importing_them(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = (Verb("train", "Train.", "no_such_module:run", ("no_such_module:Config",)),)
    assert run_verbs("demo", "1.2", "A made-up command.", verbs, ["--help"]) == 0
    assert "train  Train." in capsys.readouterr().out
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_remembered_and_old_handlers_come_back(number: int) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.signal_number is None
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
    assert signal.getsignal(number) is before


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
