"""Every command in the documents is understood by the command it is for; links lead somewhere.

Runs in the environment of each package, where that package alone is installed; the others' commands are skipped there.
`tests/reliability/test_documents_run.py` runs them.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from documents import PACKAGES, ROOT, Shown, commands, documents, flags

PLACEHOLDERS = {"N": "1", "VERB": "train"}
"""Other words in capitals stand for files and folders, which are not looked for here."""
FOREIGN = {"--host"}
"""Flags of other programs: mpirun."""
each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)


@each_package
def test_commands_in_the_documents_are_understood(
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Verbs, flags, recipes, and the values of flags; nothing runs."""
    (tmp_path / "config.yaml").touch()
    placeholders = {**PLACEHOLDERS, "RUN/config.yaml": str(tmp_path / "config.yaml")}
    pytest.importorskip(package.name, reason=f"{package.name} is not installed here")
    cli = importlib.import_module("shared.command.cli")
    load = cli._load

    def load_options(name: str) -> Any:
        is_function = name.partition(":")[2].islower()  # of a verb, not the class of its options
        return (lambda *_, **__: 0) if is_function else load(name)

    monkeypatch.setattr(cli, "_load", load_options)
    main = importlib.import_module(f"{package.name}.cli").main
    command = package.name.replace("_", "-")
    problems, number = [], 0
    for path in documents():
        for shown in commands(path):
            if shown.words[0] != command:
                continue
            number += 1
            code = main([placeholders.get(word, word) for word in words_of(shown)])
            printed = capsys.readouterr()
            if code != 0:
                problems.append(f"{path.relative_to(ROOT)}: {shown}\n  {printed.err.strip()}")
    assert not problems, "\n".join(problems)
    assert number >= 10


def words_of(shown: Shown) -> list[str]:
    """Return what comes after the command's name; of a mere mention, its help."""
    is_mention = not shown.is_block and len(shown.words) == 2
    return [*shown.words[1:], *(["--help"] if is_mention else [])]


@each_package
def test_flags_in_the_documents_exist(package: Path) -> None:
    """A flag of yes or no takes no value: `--tied`, `--no-tied`."""
    pytest.importorskip(package.name, reason=f"{package.name} is not installed here")
    known = {
        field.name: field.type
        for verb in importlib.import_module(f"{package.name}.cli").VERBS
        for name in verb.options
        for field in dataclasses.fields(option_class(package.name, name))
    }
    layered = {"recipe", "config", "print_config", "help", "help_all"}
    problems = []
    for path in documents():
        for about, span in flags(path):
            flag, _, value = span.replace("=", " ").partition(" ")
            name = flag[2:].replace("-", "_")
            if about != package.name or name in layered or flag in FOREIGN:
                continue
            is_switch = known.get(name, known.get(name.removeprefix("no_"))) in ("bool", bool)
            if name not in known and not (is_switch and name.startswith("no_")):
                problems.append(f"{path.relative_to(ROOT)}: `{span}` does not exist")
            elif is_switch and value.split(" ")[0].lower() in ("true", "false"):
                problems.append(f"{path.relative_to(ROOT)}: `{span}` takes no value")
    assert not problems, "\n".join(problems)


def option_class(package: str, name: str) -> Any:
    """Return an option class by its name in a table of verbs."""
    name = name if ":" in name else f"{package}.commands.options:{name}"
    module, _, attribute = name.format(package=package).partition(":")
    return getattr(importlib.import_module(module), attribute)


def test_links_in_the_documents_lead_somewhere() -> None:
    for path in [*documents(), *ROOT.glob("docs/**/*.md"), ROOT / "CHANGELOG.md"]:
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


def test_site_has_the_pages_of_its_navigation_and_no_dead_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    importlib.import_module("site_sources").main(tmp_path)
    for language, settings in (("en", "mkdocs.yml"), ("zh", "mkdocs.zh.yml")):
        folder = tmp_path / language
        listed = set(
            re.findall(r"[\w/.-]+\.md$", (ROOT / settings).read_text("utf-8"), re.MULTILINE)
        )
        pages = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
        assert listed == pages
        for page in pages:
            text = (folder / page).read_text(encoding="utf-8")
            for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
                assert ((folder / page).parent / target).exists(), f"{page}: {target}"
