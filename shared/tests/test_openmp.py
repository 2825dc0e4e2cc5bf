from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shared.openmp import SPINS, let_waiting_threads_sleep

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is for Linux alone")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "restored after the test")
        monkeypatch.delenv(name)


def values() -> list[str | None]:
    return [os.environ.get(name) for name in NAMES]


@on_linux
def test_waiting_threads_sleep_after_a_short_spin() -> None:
    let_waiting_threads_sleep()
    assert values() == ["passive", str(SPINS)]


@pytest.mark.parametrize(
    ("name", "value"), [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "7")]
)
def test_what_the_user_has_set_stays(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    let_waiting_threads_sleep()
    assert [v for v in values() if v is not None] == [value]


def test_other_systems_keep_their_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    let_waiting_threads_sleep()
    assert values() == [None, None]


@on_linux
def test_commands_set_it_before_any_verb_is_loaded_and_children_inherit_it() -> None:
    code = (
        "import subprocess, sys\n"
        "from shared.command.cli import run_verbs\n"
        "assert run_verbs('demo', '1', 'Demo.', [], ['--version']) == 0\n"
        "assert 'torch' not in sys.modules\n"
        "subprocess.run([sys.executable, '-c', 'import os; print(os.environ[\"OMP_WAIT_POLICY\"])'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ["1", "demo", "passive"]
