"""The commands and the Python that the documents show, as a reader would copy them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
COMMANDS = {package.name.replace("_", "-"): package.name for package in PACKAGES}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A command that a document shows.

    Parameters
    ----------
    words : tuple of str
        The command's name, its verb, and so on, without what comes after `|`, `>` or `#`.
    is_block : bool
        It stands in a block, to be copied whole; else in the text, where a mere `cbow study` names a verb.
    """

    words: tuple[str, ...]
    is_block: bool

    def __str__(self) -> str:
        """Return the line as it was."""
        return shlex.join(self.words)


def documents() -> list[Path]:
    """Return all documents, without those of the past."""
    paths = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("packages/*/README.md")]
    return sorted(path for path in paths if path.name != "CHANGELOG.md")


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of a document in one language; `""`: those without a language."""
    text = path.read_text(encoding="utf-8")
    return [content for name, content in FENCE.findall(text) if name == language]


def commands(path: Path) -> list[Shown]:
    """Return the commands of the five packages that a document shows, in its order within blocks and text."""
    text = path.read_text(encoding="utf-8")
    lines = [
        (line, True)
        for language in ("", "sh", "bash", "console", "shell")
        for block in blocks(path, language)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    # A line may end in the middle of a span.
    spans = re.findall(r"`([^`]+)`", FENCE.sub("", text))
    lines += [(" ".join(span.split()), False) for span in spans]
    shown = []
    for line, is_block in lines:
        line = line.removeprefix("$ ")
        command, _, rest = line.partition(" ")
        if command in COMMANDS and rest:
            shown.append(Shown(_words(line), is_block))
    return shown


def flags(path: Path) -> list[tuple[str, str]]:
    """Return the flags that a document shows by themselves, as in `--seed N`: (package, span).

    A package's README and `docs/<task>.md` are about that package; elsewhere a heading that names one decides.
    """
    text = path.read_text(encoding="utf-8")
    package = path.parent.name if path.name == "README.md" else path.stem
    shown = []
    for part in re.split(r"^(?=## )", FENCE.sub("", text), flags=re.MULTILINE):
        heading = re.match(r"## .*`(\w+)`", part)
        about = heading[1] if heading else package
        spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", part)]
        shown += [(about, span) for span in spans if re.match(r"--[a-z]", span)]
    return shown


def _words(line: str) -> tuple[str, ...]:
    """Split a line as a shell does, up to a comment, a pipe or a redirection."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|><;&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if word[0] in "|><;&":
            break
        words.append(word)
    return tuple(words)
