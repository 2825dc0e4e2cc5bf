"""The command line that all task packages have: a table of verbs, exit codes, and signals.

A package lists its verbs; the code of a verb, and everything heavy, is imported when that verb runs. So `--help` costs
nothing but this module.

    VERBS = (
        Verb("train", "Train a model.", TRAIN_CONFIG, RUN_OPTIONS, layered=True),
        ...
        report_verb(), fetch_verb("Download the data."), sample_verb(),
    )

    def main(arguments=None):
        return run_verbs("word_lm", __version__, "Word-level language models.", VERBS, arguments)
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from shared.command import clock
from shared.command.terminal import say_error, tell_crash, use_utf8
from shared.errors import UserError
from shared.interrupt import Interrupted
from shared.openmp import let_waiting_threads_sleep

DEFECT = 1
USAGE_ERROR = 2
TRAIN_CONFIG = "{package}.config:TrainConfig"
RUN_OPTIONS = "shared.command.options:RunOptions"
TRAIN_OPTIONS = "shared.torch.config:TrainOptions"
"""Options of a `train` that hands its model to `shared.torch.loop`."""


@dataclass(frozen=True, init=False)
class Verb:
    """One verb of a command.

    Parameters
    ----------
    name : str
        What the user types.
    help : str
        One sentence.
    *options : str
        Name of a dataclass in the package's `commands/options.py`, or `module:dataclass`; `{package}` in it stands for
        the package.
    layered : bool
        The first option class takes `--recipe`, `--config` and `--print-config`, and is what a run saves.
    example : str
        What to type after the command, for `--help`.
    shared : str
        `module:function` of `shared` that is the code, where it is the same in all packages.

    Notes
    -----
    The code is `run` in the package's `commands/<name>.py`, called with one instance of each option class; a function
    of `shared` gets the package's import name before them.
    """

    name: str
    help: str
    options: tuple[str, ...]
    layered: bool
    example: str
    shared: str

    def __init__(
        self, name: str, help: str, *options: str, layered: bool = False, example: str = "", shared: str = ""
    ) -> None:  # fmt: skip
        values = {"name": name, "help": help, "options": options, "layered": layered}
        values |= {"example": example, "shared": shared}
        for field, value in values.items():
            object.__setattr__(self, field, value)

    @property
    def module(self) -> str:
        """Return the name of the file in `commands/` that holds its code."""
        return self.name.replace("-", "_")


def report_verb() -> Verb:
    """Return the verb `report`."""
    return Verb("report", "Make the page of a run.", "shared.command.options:ReportOptions")


def app_verb() -> Verb:
    """Return the verb `app`."""
    return Verb(
        "app", "Try a trained model on a local web page.", "shared.command.options:AppOptions",
        example="app RUN",
    )  # fmt: skip


def fetch_verb(help: str) -> Verb:
    """Return the verb `fetch`."""
    return Verb("fetch", help, "shared.command.options:FetchOptions")


def sample_verb() -> Verb:
    """Return the verb `sample`."""
    return Verb("sample", "Write a small made-up data set.", "shared.command.options:SampleOptions")


def common_verbs() -> tuple[Verb, ...]:
    """Return the verbs that every command has without naming them."""
    options = "shared.command.options:"
    return (
        Verb("recipes", "List the recipes: what for, what to expect.", f"{options}RecipesOptions",
             shared="shared.command.recipes:run"),
        Verb("compare", "Compare runs: settings, figures, curves.", f"{options}CompareOptions",
             shared="shared.pages.compare:run", example="compare RUN RUN"),
        Verb("completion", "Write completions for a shell.", f"{options}CompletionOptions",
             shared="shared.command.completion:run", example="completion bash >> ~/.bashrc"),
    )  # fmt: skip


def teaching_verbs() -> tuple[Verb, ...]:
    """Return the verbs of a package that has an assignment: `handout`, `check`, `grade`."""
    options, code = "shared.teaching.options:", "shared.teaching.verbs:"
    return (
        Verb("handout", "Write the assignment for students and teachers.", f"{options}HandoutOptions",
             shared=f"{code}hand_out"),
        Verb("check", "Check your solution of the assignment.", f"{options}CheckOptions",
             shared=f"{code}check_file"),
        Verb("grade", "Grade a class's solutions in a sandbox.", f"{options}GradeOptions",
             shared=f"{code}grade"),
    )  # fmt: skip


def run_verbs(
    package: str,
    version: str,
    description: str,
    verbs: Sequence[Verb],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run one command line and return its exit code.

    Parameters
    ----------
    package : str
        Import name; the command is the same with hyphens.
    version, description : str
        For `--version` and `--help`.
    verbs : sequence of Verb
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        0 done; 2 the user can fix it (one line on standard error says how); 1 a defect of the program (one line, and a
        file with the traceback; with DLTASKS_TRACEBACK=1 in the environment it is raised); 128 + signal number after an
        interrupt that was answered by saving.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    own = {verb.name for verb in verbs}
    verbs = [*verbs, *(verb for verb in common_verbs() if verb.name not in own)]
    command = package.replace("_", "-")
    let_waiting_threads_sleep()  # torch is loaded by the verb, so not yet
    use_utf8()
    classes: list[type] = []  # of the verb, once it is known
    try:
        with clock.command() if words[:1] == ["train"] else nullcontext():
            return _dispatch(package, version, description, verbs, words, classes)
    except UserError as error:
        from shared.data.datasets import as_given

        say_error(f"{command}: {as_given(str(error))}")
        return USAGE_ERROR
    except Interrupted as interrupt:
        say_error(f"{command}: {interrupt}")
        return 128 + interrupt.signal_number
    except KeyboardInterrupt:
        say_error(f"{command}: interrupted.")
        return 130
    except BrokenPipeError:
        # `cbow neighbors ... | head` closes our output early; Python would complain again at exit.
        sys.stdout = None  # type: ignore[assignment]
        return 141
    except OSError as error:
        say_error(f"{command}: {_system_problem(error)}")
        return USAGE_ERROR
    except Exception as error:
        if os.environ.get("DLTASKS_TRACEBACK"):
            raise
        tell_crash(command, error, classes)
        return DEFECT


def _dispatch(
    package: str,
    version: str,
    description: str,
    verbs: Sequence[Verb],
    words: list[str],
    classes: list[type],
) -> int:
    command = package.replace("_", "-")
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview(command, description, verbs))
        return 0 if words else USAGE_ERROR
    if words[0] in ("-V", "--version"):
        print(f"{command} {version}")
        return 0
    known = {verb.name: verb for verb in verbs}
    if words[0] not in known:
        from shared.command.config import near

        raise UserError(
            f"{words[0]!r} is not a verb{near(words[0], known)}. Expected one of: {', '.join(known)}."
        )
    verb = known[words[0]]
    from shared.command.config import parse, recipes_of
    from shared.command.options import RunOptions

    recipes = recipes_of(package) if verb.layered else None
    prog = f"{command} {verb.name}"
    classes += option_classes(package, verb)
    example = f"{command} {verb.example}" if verb.example else ""
    if verb.layered and recipes and not example:
        example = f"{prog} --recipe {'laptop' if 'laptop' in recipes else next(iter(recipes))}"
    try:
        options = parse(prog, verb.help, classes, words[1:], recipes, example)
    except SystemExit as stop:  # after --help and --print-config
        return int(stop.code or 0)
    for option in options:
        if isinstance(option, RunOptions):
            option.require_free_folder()
    if verb.name == "completion":
        return int(_load(verb.shared)(package, *options, verbs=verbs) or 0)
    options = [_with_newest_run(option, command) for option in options]
    if verb.shared:
        return int(_load(verb.shared)(package, *options) or 0)
    return int(_load(f"{package}.commands.{verb.module}:run")(*options) or 0)


def _with_newest_run(options: Any, command: str) -> Any:
    """Let RUN be a folder of runs, which stands for its newest run; a line says which."""
    given = getattr(options, "run", None)
    if not isinstance(given, str):
        return options
    from pathlib import Path

    from shared.runs.listing import newest_run

    run = newest_run(Path(given), command)
    if run == Path(given):
        return options
    print(f"{given}: using its newest run, {run.name}.", file=sys.stderr)
    return dataclasses.replace(options, run=str(run))


def option_classes(package: str, verb: Verb) -> list[type]:
    """Return the dataclasses of a verb's options."""
    names = [
        name if ":" in name else f"{{package}}.commands.options:{name}" for name in verb.options
    ]
    return [_load(name.format(package=package)) for name in names]


def _overview(command: str, description: str, verbs: Sequence[Verb]) -> str:
    width = max(len(verb.name) for verb in verbs)
    lines = [f"usage: {command} VERB [options]", "", description, "", "verbs:"]
    lines += [f"  {verb.name:<{width}}  {verb.help}" for verb in verbs]
    lines += ["", f"`{command} VERB --help` lists the options of a verb."]
    return "\n".join(lines)


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _system_problem(error: OSError) -> str:
    """Say what the operating system refused: a full disk, a folder without write permission, a missing file."""
    where = f"{error.filename}: " if error.filename else ""
    # numpy's errors have no number: "9 requested and 7 written".
    what = error.strerror or " ".join(str(error).split())
    return f"{where}{what}. Check that the path exists, is yours to use, and has space."
