"""Every command in the documents names a verb, flags and a recipe that exist.

Runs in the environment of each package, where that package alone is installed; the others' commands are skipped there.
"""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))


@functools.cache
def help_of(package: str, verb: str) -> tuple[int, str]:
    """Return the exit code and the text of `<package> <verb> --help`."""
    done = subprocess.run(
        [sys.executable, "-m", package, verb, "--help"], check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_commands_in_the_documents_parse(package: Path) -> None:
    """Every `cbow ...` line of the documents names verbs, flags and recipes that exist."""
    pytest.importorskip(package.name, reason=f"{package.name} is not installed here")
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), package / "README.md"]
    command = package.name.replace("_", "-")
    text = "\n".join(path.read_text(encoding="utf-8").replace("\\\n", " ") for path in documents)
    lines = set(re.findall(rf"(?:^|`|\$ )({command} [a-z][^`#\n]*)", text, re.MULTILINE))
    assert len(lines) >= 3
    for line in lines:
        verb, *words = line.split()[1:]
        code, known = help_of(package.name, verb)
        assert code == 0, line
        for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
            assert flag in known, line
        if "--recipe" in words and (name := words[words.index("--recipe") + 1]).islower():
            assert (package / "src" / package.name / "recipes" / f"{name}.yaml").exists(), line


def test_links_in_the_documents_lead_somewhere() -> None:
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("packages/*/README.md"),
        *ROOT.glob("docs/**/*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_contributing_names_files_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:[\w.-]+/)*[\w-]+(?:/|\.py|\.txt))`", text))
    assert len(names) > 30
    homes = [
        ROOT,
        ROOT / "tests" / "reliability",
        ROOT / "shared" / "src" / "shared",
        *(package / "src" / package.name for package in PACKAGES),
    ]
    assert not [name for name in sorted(names) if not any((home / name).exists() for home in homes)]
