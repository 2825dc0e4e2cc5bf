"""The verb `completion`: a script that lets a shell complete verbs, options and choices."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Sequence

from shared.command.cli import Verb, option_classes
from shared.command.config import recipes_of
from shared.command.fields import described_fields, flag
from shared.command.options import CompletionOptions


def run(package: str, options: CompletionOptions, *, verbs: Sequence[Verb]) -> int:
    """Print a completion script (verb `completion` of every command)."""
    import shtab

    print(shtab.complete(completion_parser(package, verbs), shell=options.shell))
    return 0


def completion_parser(package: str, verbs: Sequence[Verb]) -> argparse.ArgumentParser:
    """Return a parser of the standard library with the verbs and options of a command; it only describes them."""
    import shtab

    command = package.replace("_", "-")
    parser = argparse.ArgumentParser(prog=command)
    subparsers = parser.add_subparsers()
    recipes = list(recipes_of(package))
    for verb in verbs:
        one = subparsers.add_parser(verb.name, help=verb.help.replace("%", "%%"))
        for cls in option_classes(package, verb):
            for field, kind, text in described_fields(cls):
                _add(one, field.name, kind, text, bool(field.metadata.get("positional")), recipes)
        if verb.layered:
            one.add_argument("--config").complete = shtab.FILE  # type: ignore[attr-defined]
            one.add_argument("--print-config", action="store_true")
            one.add_argument("--help-all", action="store_true")
    return parser


def _add(
    parser: argparse.ArgumentParser, name: str, kind: typing.Any, text: str, is_positional: bool, recipes: list[str]
) -> None:  # fmt: skip
    import shtab

    help_text = text.replace("%", "%%")
    if kind is bool and not is_positional:
        parser.add_argument(flag(name), action="store_true", help=help_text)
        parser.add_argument(f"--no-{name.replace('_', '-')}", action="store_true")
        return
    names = [name] if is_positional else [flag(name)]
    choices = [str(choice) for part in (kind, *typing.get_args(kind)) for choice in _choices(part)]
    if name == "recipe":
        choices = recipes
    nargs = "*" if is_positional else None
    action = parser.add_argument(*names, help=help_text, choices=choices or None, nargs=nargs)  # type: ignore[arg-type]
    if not choices:
        action.complete = shtab.FILE  # type: ignore[attr-defined]


def _choices(kind: typing.Any) -> tuple[typing.Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
