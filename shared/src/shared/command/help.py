"""What `--help` prints: the options of a verb in groups, with what they take, their default and an example.

`--help` of a training lists the options that are used most; `--help-all` lists the others too. A configuration class
may say which are used most (`COMMON`, a tuple of field names) and name groups of its fields (`GROUPS`, title -> field
names); without, the options of one class are a group.
"""

from __future__ import annotations

import dataclasses
import shutil
import textwrap
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from shared.command.fields import described_fields, flag, in_usage

COMMON = (
    *("recipe", "data", "text_column", "label_column", "init", "limit", "model", "arch", "objective", "dimension"),
    *("hidden_size", "dropout", "vectors", "weights", "epochs", "minutes", "batch_size", "optimizer", "learning_rate"),
    *("seed", "device", "workers", "out", "resume", "quiet"),
)  # fmt: skip
"""Names of options that are used most, of classes that do not say themselves."""
_TAKES = {
    "recipe": "NAME", "arch": "NAME", "checkpoint": "NAME", "run": "RUN", "cache": "FOLDER", "wordnet": "FOLDER",
    **dict.fromkeys(("data", "test_data", "out", "vectors", "weights", "init"), "PATH"),
    **dict.fromkeys(("file", "text", "corpus", "words", "synonyms", "analogies", "pairs"), "FILE"),
    **dict.fromkeys(("names", "gradescope", "attention"), "FILE"),
}  # fmt: skip
"""What stands for the value of an option that is a text, by its name; a path is a file or a folder."""
_WIDEST = 100
_INDENT = 26


def help_text(
    prog: str,
    description: str,
    classes: Sequence[type],
    defaults: Mapping[str, Any],
    *,
    example: str = "",
    layers: Sequence[tuple[str, str, str]] = (),
    is_short: bool = False,
) -> str:
    """Return the help of a verb.

    Parameters
    ----------
    prog, description, example : str
    classes : sequence of dataclasses
    defaults : mapping of field name to value
        With the recipe and files that were named.
    layers : sequence of (flag, what it takes, text)
        Options that are no field: `--config`, `--print-config`.
    is_short : bool
        Only the options that are used most.
    """
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    fields = {f.name: (f, kind, text) for cls in classes for f, kind, text in described_fields(cls)}
    positionals = [name for name, (f, _, _) in fields.items() if f.metadata.get("positional")]
    shown = [in_usage(*fields[name][:2]) for name in positionals]
    lines = [f"usage: {' '.join([prog, *shown, '[options]'])}", ""]
    lines += textwrap.wrap(description, width) or [""]
    if example:
        lines += ["", "example:", f"  {example}"]
    if positionals:
        lines += ["", "arguments:"]
        for name in positionals:
            _, kind, text = fields[name]
            if typing.get_origin(kind) is typing.Literal:
                text += f" One of {', '.join(typing.get_args(kind))}."
            lines += _entry(name.upper(), text, width)
    groups = {
        title: chosen
        for title, names in _groups(classes, is_short).items()
        if (chosen := [name for name in names if name not in positionals])
    }
    if len(groups) == 1 and not is_short:
        groups = {"options": next(iter(groups.values()))}
    for title, names in groups.items():
        lines += ["", f"{title}:"]
        for name in names:
            field, kind, text = fields[name]
            default = _default_text(defaults.get(name, field.default), kind)
            is_on = defaults.get(name, field.default) is True
            lines += _entry(_left(name, kind, is_on), f"{text}{default}", width)
            if name == "recipe":
                for option, takes, more in layers:
                    lines += _entry(f"{option} {takes}".strip(), more, width)
    lines += ["", "other:"]
    lines += _entry("-h, --help", "Show this and stop.", width)
    if is_short:
        lines += _entry("--help-all", "Show all options.", width)
    return "\n".join(lines)


def _groups(classes: Sequence[type], is_short: bool) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    if is_short:
        own = dict.fromkeys(name for cls in classes for name in vars(cls).get("COMMON", ()))
        known = [f.name for cls in classes for f in dataclasses.fields(typing.cast(Any, cls))]
        chosen = [*own, *(name for name in COMMON if name not in own)] if own else list(COMMON)
        return {"options used most": [name for name in chosen if name in known]}
    for cls in classes:
        for name, title in _titles(cls).items():
            groups.setdefault(title, []).append(name)
    return groups


def _titles(cls: type) -> dict[str, str]:
    """Return the group of each field: that of `GROUPS`, else that of the class which defines it."""
    titles: dict[str, str] = {}
    for base in cls.__mro__[:-1]:  # a task's own options before those of the loop
        named = {
            name: title for title, names in vars(base).get("GROUPS", {}).items() for name in names
        }
        for name in vars(base).get("__annotations__", {}):
            if name in getattr(cls, "__dataclass_fields__", {}):
                fallback = (base.__doc__ or "options").split(";")[0].split(".")[0]
                titles.setdefault(name, named.get(name, fallback[:1].lower() + fallback[1:]))
    fields = [field.name for field in dataclasses.fields(typing.cast(Any, cls))]
    order = {title: n for n, title in enumerate(dict.fromkeys(titles.values()))}
    return {n: titles[n] for n in sorted(fields, key=lambda n: (order[titles[n]], fields.index(n)))}


def _left(name: str, kind: Any, is_on: bool) -> str:
    if kind is bool:
        return f"{flag(name)}, --no-{name.replace('_', '-')}" if is_on else flag(name)
    return f"{flag(name)} {_takes(name, kind)}"


def _takes(name: str, kind: Any) -> str:
    """Return what stands for an option's value: a choice, N (a whole number), X (a number), or a word of `_TAKES`."""
    arguments = [part for part in typing.get_args(kind) if part is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        return "{" + ",".join(str(argument) for argument in arguments) + "}"
    if typing.get_origin(kind) is tuple:
        return f"{_takes('', arguments[0])},..."
    if arguments:
        return "|".join(dict.fromkeys(_takes(name, part) for part in arguments))
    return {int: "N", float: "X", str: _TAKES.get(name, "TEXT")}.get(kind, "VALUE")


def _default_text(value: Any, kind: Any) -> str:
    if value is dataclasses.MISSING or value is None or value == ():
        return ""
    if isinstance(value, bool):
        return " (default: yes)" if value else ""
    if isinstance(value, list | tuple):
        value = ",".join(str(item) for item in value)
    return f" (default: {value})"


def _entry(left: str, text: str, width: int) -> list[str]:
    wrapped = textwrap.wrap(text, max(width - _INDENT, 30))
    if len(left) > _INDENT - 4:
        return [f"  {left}", *(" " * _INDENT + line for line in wrapped)]
    first, *rest = wrapped or [""]
    return [f"  {left:<{_INDENT - 2}}{first}", *(" " * _INDENT + line for line in rest)]
