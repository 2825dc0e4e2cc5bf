"""`make demo`: train every task on its built-in sample, compare the figures with the expected ones, link the pages.

    python tools/demo.py OUT [--real]

`--real` (`make all`) does the same on the real data, where a task finds them: an hour and a half on two CPU cores.
Each task runs in its own environment, `.venv/<task>`. The samples are made up and deterministic, so the figures are
known. Uses the standard library only: it must run before anything is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tables import print_table, write_page

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Demo:
    """What is run for one task, and what should come out.

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
    """

    task: str
    words: tuple[str, ...]
    metric: str
    expected: float
    tolerance: float


DEMOS = (
    Demo("cbow", ("--recipe", "baseline", "--seed", "42"), "train_loss", 2.3697, 0.002),
    Demo("cbow", ("--recipe", "best", "--seed", "42"), "recall_at_40", 1.0, 0.02),
    Demo(
        "word_lm",
        ("--recipe", "laptop", "--seed", "1", "--epochs", "20", "--threads", "1"),
        "test_ppl",
        4.02,
        0.3,
    ),
    Demo(
        "esim",
        ("--recipe", "laptop", "--seed", "1", "--threads", "1"),
        "dev_accuracy",
        0.866,
        0.04,
    ),
    Demo("imdb_sentiment", ("--recipe", "nbsvm", "--seed", "1"), "test_accuracy", 0.9475, 0.01),
    Demo(
        "resnet_tiny",
        ("--recipe", "laptop", "--epochs", "3", "--batch-size", "32", "--learning-rate", "0.1"),
        "top1",
        93.5,
        5.0,
    ),
)
REAL = (
    Demo("cbow", ("--recipe", "baseline", "--seed", "42"), "train_loss", 5.0444, 0.003),
    Demo("cbow", ("--recipe", "best", "--seed", "42"), "recall_at_40", 0.300, 0.03),
    Demo("imdb_sentiment", ("--recipe", "nbsvm", "--seed", "1"), "test_accuracy", 0.919, 0.005),
    Demo("esim", ("--recipe", "laptop", "--seed", "1"), "dev_accuracy", 0.738, 0.012),
    Demo("word_lm", ("--recipe", "laptop", "--minutes", "8", "--seed", "1"), "test_ppl", 110.6, 10.0),
    Demo("resnet_tiny", ("--recipe", "laptop", "--minutes", "50", "--seed", "1"), "top1", 50.7, 3.0),
)  # fmt: skip
TEXT = "Every task trained on its built-in, made-up sample. The figures are known in advance."
REAL_TEXT = "Every task trained on its real data, where they were found. The expected figures are those of the READMEs."
# The verdict comes early: on a phone the last columns are reached by scrolling.
HEADER = ("task", "recipe", "verdict", "metric", "expected", "got", "seconds")


def main(out: Path, *, is_real: bool = False) -> int:
    """Run all demos; return 1 if a figure is off."""
    rows, pages = [], []
    for demo in REAL if is_real else DEMOS:
        recipe = demo.words[1]
        run = out / demo.task / recipe
        command = ROOT / ".venv" / demo.task / "bin" / demo.task.replace("_", "-")
        words: list[object] = ["--out", run, *demo.words]
        if not is_real:
            sample = out / demo.task / "sample"
            if not sample.exists():
                call(command, "sample", "--out", sample)
            words = ["--data", sample, *words]
        began = time.monotonic()
        call(command, "train", *words)
        seconds = time.monotonic() - began
        summary = json.loads((run / "summary.json").read_text())
        got = summary["metrics"][demo.metric]
        verdict = "ok" if abs(got - demo.expected) <= demo.tolerance else "OFF"
        if is_real and summary["data"]["is_sample"]:
            verdict = f"no data: {command.name} fetch"
        expected = f"{demo.expected:g} +- {demo.tolerance:g}"
        figures = (expected, f"{got:.4f}", f"{seconds:.1f}")
        rows.append((demo.task, recipe, verdict, demo.metric, *figures))
        pages.append((f"{demo.task}, {recipe}", (run / "report.html").relative_to(out)))
    print_table(HEADER, rows)
    text = REAL_TEXT if is_real else TEXT
    page = write_page(out / "index.html", "dltasks demo", text, HEADER, rows, pages)
    print(f"\nThe page is {page}")
    return int(any(row[HEADER.index("verdict")] == "OFF" for row in rows))


def call(*words: object) -> None:
    """Run a command, or leave with its output."""
    command = [str(word) for word in words]
    print(f"$ {' '.join(command)}", flush=True)
    done = subprocess.run(command, check=False, text=True, stdout=-1, stderr=-2)
    if done.returncode:
        sys.exit(f"{done.stdout}failed with exit code {done.returncode}")


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    raise SystemExit(main(folder, is_real="--real" in sys.argv[2:]))
