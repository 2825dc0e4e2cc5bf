"""Verbs that every command has: `recipes`, `completion`; and RUN as a folder of runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

from shared.command.cli import Verb, run_verbs


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with two recipes and the verb `show RUN`."""
    folder = tmp_path / "made_up"
    (folder / "recipes").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "recipes" / "small.yaml").write_text(
        "# For a laptop: made-up train --recipe small\n# Expected on the sample: 90 %.\n"
        "# Time: 6 min on 2 CPU cores.\nepochs: 3\n"
    )
    (folder / "recipes" / "large.yaml").write_text("# For a GPU: made-up train --recipe large\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "made_up", raising=False)
    return "made_up"


def call(package: str, *words: str) -> int:
    verbs = (Verb("report", "Make the page.", "shared.command.options:ReportOptions"),)
    return run_verbs(package, "1", "Made up.", verbs, words)


def test_recipes_say_what_they_are_for_and_what_to_expect(
    package: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(package, "recipes") == 0
    printed = capsys.readouterr().out
    assert "small: For a laptop\n  expected: on the sample: 90 %.\n  time: 6 min on 2" in printed
    assert "large: For a GPU\n  $ made-up train --recipe large\n" in printed
    assert call(package, "recipes", "--json") == 0
    large, small = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert small["time"] == "6 min on 2 CPU cores."
    assert (large["expected"], large["name"]) == ("", "large")


def test_run_may_be_a_folder_of_runs(
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, started in (("a", "2026-01-02"), ("b", "2026-01-01")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").touch()
        (tmp_path / "runs" / name / "environment.json").write_text(f'{{"started": "{started}"}}')
    seen: list[str] = []
    report = types.ModuleType("report")
    report.run = lambda options: seen.append(options.run)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up.commands", types.ModuleType("commands"))
    monkeypatch.setitem(sys.modules, "made_up.commands.report", report)
    assert call(package, "report", str(tmp_path / "runs")) == 0
    assert call(package, "report", str(tmp_path / "runs" / "b")) == 0
    assert seen == [str(tmp_path / "runs" / "a"), str(tmp_path / "runs" / "b")]
    assert capsys.readouterr().err == f"{tmp_path / 'runs'}: using its newest run, a.\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_options_and_choices(
    package: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert call(package, "completion", "bash") == 0
    (tmp_path / "complete.sh").write_text(capsys.readouterr().out)
    script = (
        f". {tmp_path}/complete.sh; "
        "COMP_WORDS=(made-up $1 ''); COMP_CWORD=$2; _shtab_made_up; printf '%s ' \"${COMPREPLY[@]}\""
    )

    def completed(verb: str, position: int) -> list[str]:
        words = ["bash", "-c", script, "bash", verb, str(position)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()

    assert {"report", "recipes", "compare", "completion"} <= set(completed("", 1))
    assert {"bash", "zsh"} <= set(completed("completion", 2))
