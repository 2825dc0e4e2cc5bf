"""Fields of a configuration: help texts, types in words, which option needs which setting, and collected problems."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from shared.errors import UserError

OnlyWith: TypeAlias = Mapping[str, Mapping[Any, Any]]
"""Option -> setting -> the values of the setting with which the option has an effect; see `unused`."""


def positional(**kwargs: Any) -> Any:
    """Return a dataclass field that is a positional argument, not a `--flag`."""
    return dataclasses.field(metadata={"positional": True}, **kwargs)


class Problems:
    """Collects what is wrong with a configuration, to say all of it at once.

    Use it in `__post_init__`::

        with Problems() as problem:
            problem(self.window < 1, "window", self.window, ">= 1")

    Raises
    ------
    UserError
        On leaving the block, if there is any problem.
    """

    def __init__(self) -> None:
        self.problems: list[tuple[str, object, str]] = []

    def __call__(self, is_wrong: bool, name: str, got: object, expected: str) -> None:
        """Note that field `name` holds `got` where `expected` was wanted, if `is_wrong`."""
        if is_wrong:
            self.problems.append((name, "not set" if got is None else got, expected))

    def page(self, name: str, path: str | None) -> None:
        """Note a page that has the name of an image; there may be an image beside it."""
        is_image = Path(path or "").suffix.lower() in (".jpeg", ".jpg", ".pdf", ".png", ".svg")
        self(is_image, name, path, "the name of an HTML file")

    def __enter__(self) -> Problems:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if kind is None and self.problems:
            raise WrongValues(self.problems)


class WrongValues(UserError):
    """Says which fields are wrong, by (field, value, expected), in the spelling of a class's command line."""

    def __init__(
        self, problems: Iterable[tuple[str, object, str]], cls: type | None = None
    ) -> None:
        super().__init__(problems, cls)

    def __str__(self) -> str:
        problems, cls = self.args
        texts = (f"{spelled(name, cls)} is {got}, expected {need}" for name, got, need in problems)
        return "; ".join(texts) + "."


def flag(name: str) -> str:
    """Return the command-line spelling of a field: `learning_rate` -> `--learning-rate`."""
    return "--" + name.replace("_", "-")


def spelled(name: str, cls: type | None) -> str:
    """Return the spelling of a field in messages: its flag, or in capitals if `cls` has it as a positional argument."""
    fields = dataclasses.fields(typing.cast(Any, cls)) if cls else ()
    is_positional = any(f.name == name and f.metadata.get("positional") for f in fields)
    return name.upper() if is_positional else flag(name)


def in_usage(field: dataclasses.Field, kind: Any) -> str:
    """Return a positional argument as a usage line has it: `[TEXTS...]` may be left out, and be several."""
    is_required = field.default is field.default_factory is dataclasses.MISSING
    name = f"{field.name.upper()}{'...' if typing.get_origin(kind) is tuple else ''}"
    return name if is_required else f"[{name}]"


@functools.cache  # docstrings are read from the source: a fifth of the time of a short command
def described_fields(cls: type) -> tuple[tuple[dataclasses.Field, Any, str], ...]:
    """Return (field, type, attribute docstring) for each field of a dataclass.

    Raises
    ------
    TypeError
        A field has no docstring: what cannot be explained in `--help` should not be a flag.
    """
    from docstring_parser import parse_from_object

    # Base classes first, so that an attribute docstring may be inherited or overridden.
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        texts |= {p.arg_name: p.description or "" for p in parse_from_object(base).params}
    types = typing.get_type_hints(cls)
    fields = dataclasses.fields(typing.cast(Any, cls))
    for field in fields:
        if not texts.get(field.name):
            raise TypeError(f"{cls.__name__}.{field.name} has no attribute docstring.")
    return tuple((f, types[f.name], " ".join(texts[f.name].split())) for f in fields)


def default_of(field: dataclasses.Field) -> Any:
    """Return the default of a field that has one."""
    if field.default is not dataclasses.MISSING:
        return field.default
    return typing.cast(Callable[[], Any], field.default_factory)()


def unused(config: Any, given: Iterable[str]) -> list[str]:
    """Return a message for each given option that has no effect with the other settings.

    A configuration class says which options need which settings in the class variable `ONLY_WITH`; those of its base
    classes count too. `...` stands for any value but null, false, 0 and an empty list; of several settings in
    parentheses one suffices::

        ONLY_WITH: ClassVar[OnlyWith] = {
            "beta2": {"optimizer": ("adam", "adamw")},
            "average_from": {"average": ...},
            "mix_probability": {("mixup", "cutmix"): ...},
        }

    Parameters
    ----------
    config : dataclass instance
    given : iterable of str
        Names of the fields that the user has set.
    """
    rules: dict[str, Any] = {}
    for base in reversed(type(config).__mro__):
        rules |= vars(base).get("ONLY_WITH", {})
    messages = []
    for name in given:
        for settings, values in rules.get(name, {}).items():
            settings = (settings,) if isinstance(settings, str) else settings
            actual = [getattr(config, setting) for setting in settings]
            if any(value if values is ... else value in values for value in actual):
                continue
            flags = " or ".join(spelled(setting, type(config)) for setting in settings)
            if values is ...:
                messages.append(f"{flag(name)} has no effect without {flags}")
            else:
                shown = ", ".join(map(_shown, actual))
                expected = " or ".join(map(_shown, values))
                messages.append(
                    f"{flag(name)} has no effect with {flags} {shown}, only with {flags} {expected}"
                )
    return messages


def _shown(value: Any) -> str:
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def near(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean x or y?)` for the known spellings near `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.75)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def type_in_words(kind: Any) -> str:
    """Say what a type expects: `int | None` -> `a whole number or null (not set)`."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if typing.get_origin(kind) is tuple:
        size = "" if arguments[-1] is ... else f" of {len(arguments)}"
        return f"a list{size}, each {type_in_words(arguments[0])}"
    if arguments:
        return " or ".join(type_in_words(argument) for argument in arguments)
    words = {int: "a whole number", float: "a number", str: "text", type(None): "null (not set)"}
    return words.get(kind, str(kind))
