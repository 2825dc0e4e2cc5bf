"""The parser of one verb, and the conversion of values from files: everything here goes through jsonargparse."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shared.command.fields import (
    WrongValues,
    default_of,
    described_fields,
    flag,
    in_usage,
    near,
    type_in_words,
)
from shared.errors import UserError

T = TypeVar("T")


def make_parser(prog: str, description: str, classes: Sequence[type]) -> Any:
    """Build the jsonargparse parser whose arguments are the fields of `classes`."""
    import jsonargparse

    class Parser(jsonargparse.ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> typing.NoReturn:
            raise UserError(_one_line(message, self)) from None

    positionals = [
        in_usage(field, kind)
        for cls in classes
        for field, kind, _ in described_fields(cls)
        if field.metadata.get("positional")
    ]
    usage = " ".join([prog, *positionals, "[options]"])
    parser = Parser(prog=prog, usage=usage, description=description, allow_abbrev=False)
    for cls in classes:
        for field, kind, text in described_fields(cls):
            _add_field(parser, field, kind, text, jsonargparse.ActionYesNo)
    return parser


def typed(cls: type, parser: Any, values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Check the values of a file against the fields' types, and convert them (`6e-4` is a number)."""
    types = typing.get_type_hints(cls)
    for name, value in values.items():
        # The parser takes null for "not given", of any type.
        if value is None and type(None) not in typing.get_args(types[name]):
            expected = type_in_words(types[name])
            raise UserError(f"{path}: {flag(name)} is null, expected {expected}.")
        # Of these the parser does not say which it is.
        if types[name] is bool and str(value).lower() not in ("true", "false", "yes", "no"):
            raise UserError(f"{path}: {flag(name)} is {value}, expected true or false.")
    try:
        known = parser.parse_object(dict(values), defaults=False)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return {name: getattr(known, name) for name in values}


def instance_of(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return an instance of a dataclass from parsed values; those of other classes are left out."""
    fields = {field.name for field in dataclasses.fields(typing.cast(Any, cls))}
    chosen = {name: value for name, value in values.items() if name in fields}
    try:
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in chosen.items()})
    except WrongValues as wrong:
        raise WrongValues(wrong.args[0], cls) from None


def _add_field(
    parser: Any, field: dataclasses.Field, kind: Any, text: str, yes_no: Callable[..., Any]
) -> None:
    is_required = (
        field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    default = None if is_required else default_of(field)
    if field.metadata.get("positional"):
        many = (
            {"nargs": "*" if not is_required else "+"} if typing.get_origin(kind) is tuple else {}
        )
        kind = typing.get_args(kind)[0] if many else kind
        optional = {} if is_required or many else {"nargs": "?"}
        defaults = {} if is_required else {"default": list(default or ()) if many else default}
        parser.add_argument(field.name, type=kind, help=text, **many, **optional, **defaults)
    elif kind is bool:
        action = yes_no(no_prefix="no-")
        parser.add_argument(flag(field.name), action=action, default=default, help=text)
    else:
        parser.add_argument(
            flag(field.name), type=kind, default=default, help=text, required=is_required
        )


def _one_line(message: str, parser: Any) -> str:
    """Turn a message of jsonargparse into one that names the flag as the user typed it."""
    message = " ".join(message.split())
    names = {
        action.dest: (action.option_strings or [action.dest.upper()])[0]
        for action in parser._actions
    }
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        word = match[1].partition("=")[0]
        known = [text for action in parser._actions for text in action.option_strings]
        return f"{word} is not known to `{parser.prog}`{near(word, known)}. See `{parser.prog} --help`."
    if match := re.match(r'Parser key "([^"]+)".*?(?:[Gg]ot|Given) value:(.*)', message):
        types = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
        got = match[2].strip() or "empty"
        return f"{names.get(match[1], flag(match[1]))} is {got}, expected {type_in_words(types.get(match[1]))}."
    if match := re.match(r"argument (--\S+)/(--\S+): ignored explicit argument", message):
        return f"{match[1]} takes no value. Expected {match[1]} or {match[2]}."
    if match := re.match(r"argument (--\S+): expected one argument", message):
        return f"{match[1]} has no value. Expected one after it."
    if match := re.match(r"the following arguments are required: (.+)", message):
        missing = [names.get(name, name) for name in match[1].split(", ")]
        are = "is" if len(missing) == 1 else "are"
        listed = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        return f"{listed} {are} missing. Expected `{parser.usage}`."
    return message
