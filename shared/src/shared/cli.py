"""The command line that all task packages have: a table of verbs, exit codes, and signals.

A package lists its verbs; the code of a verb, and everything heavy, is imported when that verb runs. So `--help` costs
nothing but this module.

    VERBS = (Verb("train", "Train a model.", "cbow.train:run", ("cbow.config:TrainConfig", ...), layered=True), ...)

    def main(arguments=None):
        return run_verbs("cbow", __version__, "word2vec CBOW.", VERBS, arguments)
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.interrupt import Interrupted

USAGE_ERROR = 2


@dataclass(frozen=True)
class Verb:
    """One verb of a command.

    Parameters
    ----------
    name : str
        What the user types.
    help : str
        One sentence.
    run : str
        `module:function`, called with one instance of each option class.
    options : tuple of str
        `module:dataclass` each.
    layered : bool
        The first option class takes `--recipe`, `--config` and `--print-config`, and is what a run saves.
    """

    name: str
    help: str
    run: str
    options: tuple[str, ...]
    layered: bool = False


def run_verbs(
    command: str,
    version: str,
    description: str,
    verbs: Sequence[Verb],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run one command line and return its exit code.

    Returns
    -------
    int
        0 done; 2 the user can mend it (one line on standard error says how); 128 + signal number after an interrupt
        that was answered by saving.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(command, version, description, verbs, words)
    except UserError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except Interrupted as interrupt:
        print(f"{command}: {interrupt}", file=sys.stderr)
        return 128 + interrupt.signal_number
    except KeyboardInterrupt:
        print(f"{command}: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `cbow neighbors ... | head` closes our output early; Python would complain again at exit.
        sys.stdout = None  # type: ignore[assignment]
        return 141
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        print(f"{command}: {_system_problem(error)}", file=sys.stderr)
        return USAGE_ERROR


def _dispatch(
    command: str, version: str, description: str, verbs: Sequence[Verb], words: list[str]
) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview(command, description, verbs))
        return 0 if words else USAGE_ERROR
    if words[0] in ("-V", "--version"):
        print(f"{command} {version}")
        return 0
    known = {verb.name: verb for verb in verbs}
    if words[0] not in known:
        from shared.config import near

        raise UserError(
            f"{words[0]!r} is not a verb{near(words[0], known)}. Expected one of: {', '.join(known)}."
        )
    verb = known[words[0]]
    from shared.config import parse, recipes_in

    recipes = recipes_in(_recipe_folder(verb)) if verb.layered else None
    prog = f"{command} {verb.name}"
    try:
        options = parse(prog, verb.help, [_load(name) for name in verb.options], words[1:], recipes)
    except SystemExit as stop:  # after --help and --print-config
        return int(stop.code or 0)
    return int(_load(verb.run)(*options) or 0)


def _overview(command: str, description: str, verbs: Sequence[Verb]) -> str:
    width = max(len(verb.name) for verb in verbs)
    lines = [f"usage: {command} VERB [options]", "", description, "", "verbs:"]
    lines += [f"  {verb.name:<{width}}  {verb.help}" for verb in verbs]
    lines += ["", f"`{command} VERB --help` tells the options of a verb."]
    return "\n".join(lines)


def _recipe_folder(verb: Verb) -> Path:
    package = importlib.import_module(verb.options[0].partition(".")[0])
    return Path(str(package.__file__)).parent / "recipes"


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _system_problem(error: OSError) -> str:
    """Say what the operating system refused: a full disk, a folder without write permission, a missing file."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}. Check that the path exists, is yours to use, and has space."
