"""The verb `recipes`: what each recipe is for, what to expect of it, and how long it takes.

A recipe says so in its first lines:

    # For two CPU cores: esim train --recipe laptop --seed 1
    # Expected on SNLI's subset: valid accuracy 73.8 %.
    # Time: 6 min on 2 CPU cores.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.command.config import recipes_of
from shared.command.options import RecipesOptions


@dataclass(frozen=True)
class Recipe:
    """The first lines of a recipe, parsed; empty where one is missing."""

    name: str
    purpose: str
    expected: str
    time: str
    command: str


def run(package: str, options: RecipesOptions) -> int:
    """List the recipes of a package (verb `recipes` of every command)."""
    for name, path in recipes_of(package).items():
        recipe = read_recipe(name, path)
        if options.json:
            print(json.dumps(asdict(recipe), ensure_ascii=False))
            continue
        print(f"{recipe.name}: {recipe.purpose}")
        for label, text in (("expected", recipe.expected), ("time", recipe.time)):
            if text:
                print(
                    textwrap.fill(
                        f"{label}: {text}", 96, initial_indent="  ", subsequent_indent="    "
                    )
                )
        print(f"  $ {recipe.command}\n")
    return 0


def read_recipe(name: str, path: Path) -> Recipe:
    """Read what a recipe's comments say."""
    comments: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# ").strip())
    purpose, _, command = (comments or [""])[0].rpartition(": ")
    return Recipe(
        name,
        purpose,
        _after("Expected", comments),
        _after("Time", comments),
        command,
    )


def _after(word: str, comments: list[str]) -> str:
    for line in comments[1:]:
        if line.startswith(word):
            return line.removeprefix(word).lstrip(": ")
    return ""
