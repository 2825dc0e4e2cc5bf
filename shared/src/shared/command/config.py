"""Configuration: one frozen dataclass per verb is the flags, the help, the YAML and the saved run.

A field's attribute docstring is its help text; `__post_init__` checks values and reports every problem at once through
`Problems`. Values are layered: defaults < saved run (on resume) < recipe < `--config FILE` < flags, in whatever order
they are typed. Unknown flags, unknown keys and repeated keys are errors, and so are flags that have no effect with the
other settings (`ONLY_WITH`). A typed flag may take another setting back to its default (`RESETS`). Parsing goes through
jsonargparse (`shared.command.parser`), imported when a verb runs.

    @dataclass(frozen=True)
    class TrainConfig:
        learning_rate: float = 0.1
        '''Step size of SGD, > 0.'''
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from shared.command.fields import (
    OnlyWith,
    Problems,
    described_fields,
    flag,
    near,
    positional,
    unused,
)
from shared.command.help import help_text
from shared.command.parser import instance_of, make_parser, typed
from shared.errors import UserError

__all__ = [
    "OnlyWith", "Problems", "described_fields", "differences", "dump", "flag", "load", "load_recipe", "near", "parse",
    "positional", "read_mapping", "recipe_file", "recipes_of",
]  # fmt: skip

T = TypeVar("T")


def parse(
    prog: str,
    description: str,
    classes: Sequence[type],
    arguments: Sequence[str],
    recipes: Mapping[str, Path] | None = None,
    example: str = "",
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
    example : str
        A command line, for `--help`.

    Returns
    -------
    list
        One instance per class.

    Raises
    ------
    UserError
        An unknown flag, recipe or key; a value of the wrong type or out of range; a flag that has no effect with the
        other settings (see `shared.command.fields.unused`; recipes and files may hold such settings).
    SystemExit
        After `--help`, `--help-all` and `--print-config`.
    """
    words = _with_lists([_hyphenated(word) for word in arguments], classes)
    parser = make_parser(prog, description, classes)
    if recipes is not None:
        parser.add_argument("--config", type=str)  # `_take_layers` has taken its values out by then
        parser.add_argument("--print-config", action="store_true")
        words, layers = _take_layers(words, recipes)
        parser.set_defaults(_layered_defaults(classes[0], layers, recipes, _given(words)))
    asked = [word for word in _before_dashes(words) if word in ("-h", "--help", "--help-all")]
    if asked:
        more = [] if recipes is None else _layer_flags(recipes)
        is_short = recipes is not None and asked[-1] != "--help-all"
        defaults = {action.dest: action.default for action in parser._actions}
        print(
            help_text(
                prog,
                description,
                classes,
                defaults,
                example=example,
                layers=more,
                is_short=is_short,
            )
        )
        raise SystemExit(0)
    values = vars(parser.parse_args(words))
    instances: list[Any] = [instance_of(cls, values) for cls in classes]
    given = _given(words)
    problems = [message for instance in instances for message in unused(instance, given)]
    if problems:
        raise UserError(f"{'; '.join(problems)}. Leave it out.")
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
    parser = _parser_of_files(cls)  # type: ignore[arg-type] # a class is hashable, whatever its instances are
    return instance_of(cls, typed(cls, parser, _settings_in(path, cls), path))


@functools.cache  # a run is read several times within a command
def _parser_of_files(cls: type) -> Any:
    return make_parser(cls.__name__, "", [cls])


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
        The file cannot be read, is not YAML, has a key twice, or holds something else.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}). Expected a YAML file."
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a month 13
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f"{path}:{line + 1}" if line is not None else str(path)
        if isinstance(error, _RepeatedKey):
            raise UserError(f"{where}: {error.problem}. Remove one of the two.") from None
        raise UserError(f"{where}: is not YAML. Expected lines of `name: value`.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds a {type(values).__name__}, expected `name: value` lines.")
    return values


class _RepeatedKey(yaml.MarkedYAMLError):
    """A mapping has a key twice, of which YAML readers take the last in silence."""


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                mark = key.start_mark
                raise _RepeatedKey(problem=f"{name!r} is there twice", problem_mark=mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _before_dashes(words: Sequence[str]) -> Sequence[str]:
    """Return the words before `--`, after which everything is an argument."""
    return words[: words.index("--")] if "--" in words else words


def _layer_flags(recipes: Mapping[str, Path]) -> list[tuple[str, str, str]]:
    """Return flag, what it takes, and help of the layering flags."""
    return [
        ("", "", f"Recipes: {', '.join(recipes)}."),
        ("--config", "FILE", "Settings from a YAML file, such as the config.yaml of a run."),
        ("--print-config", "", "Print the settings as YAML and stop."),
    ]


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
    cls: type, layers: Sequence[Path], recipes: Mapping[str, Path], given: Sequence[str]
) -> dict[str, Any]:
    """Return the settings of the files, the last one first in rank, without those that a typed flag resets.

    `RESETS`, a class variable of `cls`, maps a flag to the setting that would contradict it: with
    `{"epochs": "min_steps"}`, `--epochs 2` takes a recipe's `min_steps` back to the default.
    """
    names = {path: name for name, path in recipes.items()}
    values: dict[str, Any] = {}
    for path in layers:
        layer = _settings_in(path, cls)
        values |= typed(cls, make_parser(str(path), "", [cls]), layer, path)
        if path in names:
            values["recipe"] = names[path]
    for name, other in getattr(cls, "RESETS", {}).items():
        if name in given:
            values.pop(other, None)
    return values


def _settings_in(path: Path, cls: type) -> dict[str, Any]:
    """Return the settings of a YAML file under their present names.

    `RENAMED`, a class variable of `cls` or of a class above it, maps names of earlier versions to those of today, and
    `name=value` to the value of today (`"pooling=last_place": "last_position"`), so that old run folders stay readable.
    """
    renamed: dict[str, str] = {}
    for base in cls.__mro__:
        renamed |= vars(base).get("RENAMED", {})
    values = {renamed.get(name, name): value for name, value in read_mapping(path).items()}
    values = {name: renamed.get(f"{name}={value}", value) for name, value in values.items()}
    _refuse_unknown(values, [f.name for f in dataclasses.fields(typing.cast(Any, cls))], path)
    return values


def _refuse_unknown(values: Mapping[str, Any], known: Sequence[str], path: Path) -> None:
    for name in values:
        if name not in known:
            raise UserError(
                f"{path}: {name!r} is not a setting{near(str(name), known)}. Remove it or correct its name."
            )


def _hyphenated(word: str) -> str:
    """Accept `--learning_rate` for `--learning-rate`, as in Python code and YAML."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else word


def _given(words: Sequence[str]) -> list[str]:
    """Return the names of the fields that flags set: `--no-nesterov` -> `nesterov`."""
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    names = [name[2:].replace("-", "_") for name in flags]
    return [*names, *(name.removeprefix("no_") for name in names if name.startswith("no_"))]


def _with_lists(words: Sequence[str], classes: Sequence[type]) -> list[str]:
    """Let `--lengths 1,2,4` stand for `--lengths [1,2,4]`; of texts, `yes,no` are words and no booleans."""
    lists = {
        flag(name): str in typing.get_args(part)
        for cls in classes
        for name, kind in typing.get_type_hints(cls).items()
        for part in (kind, *typing.get_args(kind))
        if typing.get_origin(part) is tuple
    }
    result: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in lists:
            word = f"{name}={_listed(value, are_texts=lists[name])}"
        elif result and result[-1] in lists:
            word = _listed(word, are_texts=lists[result[-1]])
        result.append(word)
    return result


def _listed(value: str, *, are_texts: bool) -> str:
    if value.startswith("[") or value in ("null", "") or value.startswith("--"):
        return value
    if are_texts and not any(quote in value for quote in "'\""):
        return json.dumps([part.strip() for part in value.split(",")], ensure_ascii=False)
    return f"[{value}]"


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
