"""`make demo`: train every task on its built-in sample, compare the figures with the expected ones, link the pages.

    python tools/demo.py OUT [--real]

`--real` (`make all`) does the same on the real data, where a task finds them: an hour and a half on two CPU cores.
Each task runs in its own environment, `.venv/<task>`. The samples are made up and deterministic, so the figures are
known. Each trained model is then used once, by the command that the page shows next. Uses the standard library only: it
must run before anything is installed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cards import card_of, write_cards
from tables import print_table

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "shared" / "src"))
from shared.pages.links import link_runs  # noqa: E402

BIN = "Scripts" if os.name == "nt" else "bin"

Words = tuple[str | Path, ...]


@dataclass(frozen=True)
class Demo:
    """What is run for one task, and the figure that is expected.

    Parameters
    ----------
    task : str
        Folder under `packages/`.
    words : tuple of str
        After `<command> train --out RUN`; on the sample, after `--data SAMPLE` too.
    metric : str
        Key in the `metrics` of `summary.json`.
    expected, tolerance : float
        Measured when the sample was made, or as the package's README has it; the tolerance covers other processors
        and library versions, and with `--minutes` other speeds.
    use : callable (run folder) -> words
        What uses the trained model, after the command's name.
    """

    task: str
    words: tuple[str, ...]
    metric: str
    expected: float
    tolerance: float
    use: Callable[[Path], Words]

    @property
    def command(self) -> Path:
        """The task's command, from the checkout's folder."""
        return Path(".venv", self.task, BIN, self.task.replace("_", "-"))


def neighbors(run: Path) -> Words:
    """List the words nearest to the first word of the run's synonym list."""
    (word, _), *_ = json.loads((run / "synonyms.json").read_text(encoding="utf-8"))
    return ("neighbors", run, word)


def generate(run: Path) -> Words:
    """Write some text."""
    return ("generate", run, "--words", "40")


def predict_pair(run: Path) -> Words:
    """Label a pair of sentences."""
    return ("predict", run, "A man sleeps on a bench.", "A man is awake.")


def explain(run: Path) -> Words:
    """Show the words that decide a review."""
    return ("explain", run, "The story is dull, but the cast is lovely.")


def evaluate(run: Path) -> Words:
    """List images with their class, the predicted one, and which are right."""
    return ("evaluate", run, "--list")


DEMOS = (
    Demo("cbow", ("--recipe", "baseline", "--seed", "42"), "train_loss", 2.3814, 0.002, neighbors),
    Demo("cbow", ("--recipe", "best", "--seed", "42"), "recall_at_40", 1.0, 0.02, neighbors),
    Demo(
        "word_lm",
        ("--recipe", "laptop", "--seed", "1", "--epochs", "20", "--threads", "1"),
        "test_ppl", 3.46, 0.3, generate,
    ),
    Demo(
        "esim",
        ("--recipe", "laptop", "--seed", "1", "--threads", "1"),
        "valid_accuracy", 0.866, 0.04, predict_pair,
    ),
    Demo("imdb_sentiment", ("--recipe", "nbsvm", "--seed", "1"), "test_accuracy", 0.9475, 0.01, explain),
    Demo(
        "resnet_tiny",
        ("--recipe", "laptop", "--epochs", "3", "--batch-size", "32", "--learning-rate", "0.1"),
        "val_top1", 0.935, 0.05, evaluate,
    ),
)  # fmt: skip
REAL = (
    Demo("cbow", ("--recipe", "baseline", "--seed", "42"), "train_loss", 5.0444, 0.003, neighbors),
    Demo("cbow", ("--recipe", "best", "--seed", "42"), "recall_at_40", 0.300, 0.03, neighbors),
    Demo("imdb_sentiment", ("--recipe", "nbsvm", "--seed", "1"), "test_accuracy", 0.925, 0.005, explain),
    Demo("esim", ("--recipe", "laptop", "--seed", "1"), "valid_accuracy", 0.760, 0.012, predict_pair),
    Demo(
        "word_lm",
        ("--recipe", "laptop", "--minutes", "8", "--seed", "1"),
        "test_ppl", 107.2, 10.0, generate,
    ),
    Demo(
        "resnet_tiny",
        ("--recipe", "laptop", "--minutes", "50", "--seed", "1"),
        "val_top1", 0.507, 0.03, evaluate,
    ),
)  # fmt: skip
TRY_NEXT = ("cbow", "word_lm", "imdb_sentiment")
"""Tasks whose command is printed in the end; the page shows all."""
TEXT = "Every task trained on its built-in, made-up sample. The figures are known in advance."
REAL_TEXT = "Every task trained on its real data, where they were there. The expected figures are those of the READMEs."
HEADER = ("task", "recipe", "metric", "expected", "got", "seconds", "")
NO_DATA, OK, OFF = "no data", "ok", "OFF"


def main(out: Path, *, is_real: bool = False) -> int:
    """Run all demos; return 1 if a figure is off."""
    rows, cards, next_commands = [], [], {}
    for demo in REAL if is_real else DEMOS:
        recipe, run = demo.words[1], out / demo.task / demo.words[1]
        words: Words = ("--out", run, *demo.words)
        if not is_real:
            sample = out / demo.task / "sample"
            if not sample.exists():
                call(demo, "sample", "--out", sample)
            words = ("--data", sample, *words)
        began = time.monotonic()
        call(demo, "train", *words)
        seconds = f"{time.monotonic() - began:.1f}"
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        got = summary["metrics"][demo.metric]
        verdict = OK if abs(got - demo.expected) <= demo.tolerance else OFF
        if is_real and summary["data"]["is_sample"]:
            verdict = NO_DATA
        expected = f"{demo.expected:g} +- {demo.tolerance:g}"
        rows.append((demo.task, recipe, demo.metric, expected, f"{got:.4f}", seconds, verdict))
        use = demo.use(run)
        next_commands[demo.task] = line_of(demo, *use)
        cards.append(card_of(run, out, rows[-1], next_commands[demo.task], call(demo, *use)))
    print_table(HEADER, rows)
    for task in (row[0] for row in rows if row[-1] == NO_DATA):
        print(f"{task} had no data: {Path('.venv', task, BIN, task.replace('_', '-'))} fetch")
    page = write_cards(out / "index.html", "dltasks", REAL_TEXT if is_real else TEXT, cards)
    for task in dict.fromkeys(demo.task for demo in DEMOS):
        link_runs(out / task)
    print(f"\nThe page is {page}\n\nTo try next, from {ROOT}:")
    for task in TRY_NEXT:
        print(f"  {next_commands[task]}")
    return int(any(row[-1] == OFF for row in rows))


def line_of(demo: Demo, *words: str | Path) -> str:
    """Return a command as it can be typed in the checkout's folder."""
    return shlex.join([str(demo.command), *map(str, map(short, words))])


def short(word: str | Path) -> str | Path:
    """Return a path from the checkout's folder, if it is below it; any other word as it is."""
    is_below = isinstance(word, Path) and word.is_relative_to(ROOT)
    return word.relative_to(ROOT) if is_below else word  # type: ignore[union-attr]


def call(demo: Demo, *words: str | Path) -> str:
    """Run a task's command and return its output, or leave with it."""
    print(f"$ {line_of(demo, *words)}", flush=True)
    command = [str(ROOT / demo.command), *map(str, words)]
    done = subprocess.run(command, check=False, text=True, encoding="utf-8", stdout=-1, stderr=-2)
    if done.returncode:
        sys.exit(f"{done.stdout}failed with exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    raise SystemExit(main(folder, is_real="--real" in sys.argv[2:]))
