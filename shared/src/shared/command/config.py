"""Configuration: one frozen dataclass per verb is the flags, the help, the YAML and the saved run.

A field's attribute docstring is its help text; `__post_init__` checks values and reports every problem at once through
`Problems`. Values are layered: defaults < saved run (on resume) < recipe < `--config FILE` < flags, in whatever order
they are typed. Unknown flags and unknown keys are errors. All parsing goes through jsonargparse, which is imported
here only, and only when a verb runs.

    @dataclass(frozen=True)
    class TrainConfig:
        learning_rate: float = 0.1
        '''Step size of SGD, > 0.'''
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import yaml

from shared.errors import UserError

T = TypeVar("T")


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
        self.problems: list[str] = []

    def __call__(self, is_wrong: bool, name: str, got: object, expected: str) -> None:
        """Note that field `name` holds `got` where `expected` was wanted, if `is_wrong`."""
        if is_wrong:
            self.problems.append(f"{flag(name)} is {got}, expected {expected}")

    def __enter__(self) -> Problems:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if kind is None and self.problems:
            raise UserError("; ".join(self.problems) + ".")


def flag(name: str) -> str:
    """Return the command-line spelling of a field: `learning_rate` -> `--learning-rate`."""
    return "--" + name.replace("_", "-")


def parse(
    prog: str,
    description: str,
    classes: Sequence[type],
    arguments: Sequence[str],
    recipes: Mapping[str, Path] | None = None,
) -> list[Any]:
    """Read the command line of one verb into its dataclasses.

    Parameters
    ----------
    prog : str
        What the usage line starts with, for example `cbow train`.
    description : str
        One or two sentences for `--help`.
    classes : sequence of dataclasses
        Their fields become flags; names must not clash. With `recipes` the first one is the layered configuration.
    arguments : sequence of str
        The words after the verb.
    recipes : mapping of name to YAML file, optional
        Adds `--recipe NAME`, `--config FILE` and `--print-config`. The first class then has a field `recipe`, which
        keeps the name.

    Returns
    -------
    list
        One instance per class.

    Raises
    ------
    UserError
        An unknown flag, recipe or key; a value of the wrong type or out of range.
    SystemExit
        After `--help` and `--print-config`.
    """
    words = [_hyphenated(word) for word in arguments]
    parser = _parser(prog, description, classes)
    if recipes is not None:
        _add_layer_flags(parser, recipes)
        words, layers = _take_layers(words, recipes)
        parser.set_defaults(_layered_defaults(classes[0], layers, recipes))
    values = vars(parser.parse_args(words))
    instances: list[Any] = [_instance(cls, values) for cls in classes]
    if values.get("print_config"):
        print(dump(instances[0]), end="")
        raise SystemExit(0)
    return instances


def recipes_of(package: str) -> dict[str, Path]:
    """Return the YAML files of a package's `recipes` folder by name, in alphabetical order."""
    folder = Path(str(importlib.import_module(package).__file__)).parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def recipe_file(package: str, name: str) -> Path:
    """Return the file of a package's recipe.

    Raises
    ------
    UserError
        There is no such recipe.
    """
    known = recipes_of(package)
    if name not in known:
        raise UserError(
            f"--recipe {name} does not exist{near(name, known)}. Expected one of: {', '.join(known)}."
        )
    return known[name]


def load_recipe(cls: type[T], package: str, name: str) -> T:
    """Read a package's recipe into a dataclass that has a field `recipe`, strictly.

    Raises
    ------
    UserError
        There is no such recipe; what `load` raises.
    """
    loaded: Any = load(cls, recipe_file(package, name))
    return dataclasses.replace(loaded, recipe=name)


def load(cls: type[T], path: Path) -> T:
    """Read a YAML file into a dataclass, strictly.

    Raises
    ------
    UserError
        The file is missing or not a mapping; a key is unknown; a value is of the wrong type or out of range.
    """
    values = _settings_in(path, cls)
    parser = _parser(str(path), "", [cls])
    parser.set_defaults(_typed(cls, parser, values, path))
    return _instance(cls, vars(parser.parse_args([])))


def dump(config: Any) -> str:
    """Return a dataclass instance as YAML that `load` reads back to an equal one, every field written out."""
    values = {name: _plain(value) for name, value in dataclasses.asdict(config).items()}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def differences(old: Any, new: Any, allowed: Iterable[str] = ()) -> list[str]:
    """Return `--field: old -> new` for each field in which two instances of one class differ."""
    return [
        f"{flag(field.name)}: {getattr(old, field.name)} -> {getattr(new, field.name)}"
        for field in dataclasses.fields(old)
        if field.name not in set(allowed) and getattr(old, field.name) != getattr(new, field.name)
    ]


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that must hold one mapping.

    Raises
    ------
    UserError
        The file cannot be read, is not YAML, or holds something else.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}). Expected a YAML file."
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a month 13
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f"{path}:{line + 1}" if line is not None else str(path)
        raise UserError(f"{where}: is not YAML. Expected lines of `name: value`.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds a {type(values).__name__}, expected `name: value` lines.")
    return values


def _parser(prog: str, description: str, classes: Sequence[type]) -> Any:
    """Build the jsonargparse parser whose arguments are the fields of `classes`."""
    import jsonargparse

    class Parser(jsonargparse.ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> typing.NoReturn:
            raise UserError(_one_line(message, self)) from None

    positionals = [
        field.name.upper() + ("..." if typing.get_origin(kind) is tuple else "")
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


def described_fields(cls: type) -> list[tuple[dataclasses.Field, Any, str]]:
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
    return [(f, types[f.name], " ".join(texts[f.name].split())) for f in fields]


def _add_field(
    parser: Any, field: dataclasses.Field, kind: Any, text: str, yes_no: Callable[..., Any]
) -> None:
    is_required = (
        field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    default = None if is_required else _default(field)
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


def _add_layer_flags(parser: Any, recipes: Mapping[str, Path]) -> None:
    """Describe the layering flags in `--help`; `_take_layers` has taken their values out by then."""
    for action in parser._actions:
        if action.dest == "recipe":
            action.help = f"{action.help} Known: {', '.join(recipes)}."
    parser.add_argument("--config", type=str, metavar="FILE", help="Settings from a YAML file.")
    parser.add_argument(
        "--print-config", action="store_true", help="Print the settings as YAML and stop."
    )


def _take_layers(words: list[str], recipes: Mapping[str, Path]) -> tuple[list[str], list[Path]]:
    """Take `--recipe` and `--config` out of the words; return the rest and the files, lowest layer first."""
    rest, taken = [], {"--recipe": [], "--config": []}  # type: tuple[list[str], dict[str, list[str]]]
    position = 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        position += 1
        if name not in taken:
            rest.append(words[position - 1])
            continue
        if not equals:
            if position == len(words):
                raise UserError(f"{name} has no value. Expected one after it.")
            value = words[position]
            position += 1
        taken[name].append(value)
    for name in taken["--recipe"]:
        if name not in recipes:
            raise UserError(
                f"--recipe {name} does not exist{near(name, recipes)}. Known: {', '.join(recipes)}."
            )
    layers = [recipes[name] for name in taken["--recipe"]]
    if "--resume" in rest and (saved := _value_of("--out", rest)):
        layers = [path for path in [Path(saved) / "config.yaml"] if path.is_file()] + layers
    return rest, layers + [Path(name) for name in taken["--config"]]


def _value_of(name: str, words: Sequence[str]) -> str | None:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(name + "="):
            return word.partition("=")[2]
    return None


def _layered_defaults(
    cls: type, layers: Sequence[Path], recipes: Mapping[str, Path]
) -> dict[str, Any]:
    names = {path: name for name, path in recipes.items()}
    values: dict[str, Any] = {}
    for path in layers:
        layer = _settings_in(path, cls)
        values |= _typed(cls, _parser(str(path), "", [cls]), layer, path)
        if path in names:
            values["recipe"] = names[path]
    return values


def _typed(cls: type, parser: Any, values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Check the values of a file against the fields' types, and convert them (`6e-4` is a number)."""
    types = typing.get_type_hints(cls)
    for name, value in values.items():
        # The parser takes null for "not given", of any type.
        if value is None and type(None) not in typing.get_args(types[name]):
            expected = _type_in_words(types[name])
            raise UserError(f"{path}: {flag(name)} is null, expected {expected}.")
    try:
        known = parser.parse_object(dict(values), defaults=False)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return {name: getattr(known, name) for name in values}


def _settings_in(path: Path, cls: type) -> dict[str, Any]:
    """Return the settings of a YAML file under their present names.

    `RENAMED`, a class variable of `cls` or of a class above it, maps names of earlier versions to those of today, so
    that old run folders stay readable.
    """
    renamed: dict[str, str] = {}
    for base in cls.__mro__:
        renamed |= vars(base).get("RENAMED", {})
    values = {renamed.get(name, name): value for name, value in read_mapping(path).items()}
    _refuse_unknown(values, [f.name for f in dataclasses.fields(typing.cast(Any, cls))], path)
    return values


def _refuse_unknown(values: Mapping[str, Any], known: Sequence[str], path: Path) -> None:
    for name in values:
        if name not in known:
            raise UserError(
                f"{path}: {name!r} is not a setting{near(str(name), known)}. Remove it or correct its name."
            )


def near(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean x or y?)` for the known spellings near `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _instance(cls: type[T], values: Mapping[str, Any]) -> T:
    fields = {field.name for field in dataclasses.fields(typing.cast(Any, cls))}
    chosen = {name: value for name, value in values.items() if name in fields}
    return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in chosen.items()})


def _default(field: dataclasses.Field) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return typing.cast(Callable[[], Any], field.default_factory)()


def _hyphenated(word: str) -> str:
    """Accept `--learning_rate` for `--learning-rate`, as in Python code and YAML."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _one_line(message: str, parser: Any) -> str:
    """Turn a message of jsonargparse into one that names the flag as the user typed it."""
    message = " ".join(message.split())
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        word = match[1].partition("=")[0]
        known = [text for action in parser._actions for text in action.option_strings]
        return f"{word} is not known to `{parser.prog}`{near(word, known)}. See `{parser.prog} --help`."
    if match := re.match(r'Parser key "([^"]+)".*?(?:[Gg]ot|Given) value:(.*)', message):
        types = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
        got = match[2].strip() or "empty"
        return f"{flag(match[1])} is {got}, expected {_type_in_words(types.get(match[1]))}."
    if match := re.match(r"argument (--\S+): expected one argument", message):
        return f"{match[1]} has no value. Expected one after it."
    return message


def _type_in_words(kind: Any) -> str:
    """Say what a type expects: `int | None` -> `a whole number or null`."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if typing.get_origin(kind) is tuple:
        return f"a list, each {_type_in_words(arguments[0])}"
    if arguments:
        return " or ".join(_type_in_words(argument) for argument in arguments)
    words = {int: "a whole number", float: "a number", str: "text", type(None): "null"}
    return words.get(kind, str(kind))
