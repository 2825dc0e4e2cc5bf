"""`make demo`: train every task on its built-in sample, compare the figures with the expected ones, link the pages.

    python tools/demo.py OUT

Each task runs in its own environment, `.venv/<task>`. The samples are made up and deterministic, so the figures are
known. Uses the standard library only: it must run before anything is installed.
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Demo:
    """What is run for one task, and what should come out.

    Parameters
    ----------
    task : str
        Folder under `packages/`.
    words : tuple of str
        After `<command> train --data SAMPLE --out RUN`.
    metric : str
        Key in the `metrics` of `summary.json`.
    expected, tolerance : float
        Measured when the sample was made; the tolerance covers other processors and library versions.
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
        83.0,
        6.0,
    ),
)
HEADER = ("task", "recipe", "metric", "expected", "got", "seconds", "")


def main(out: Path) -> int:
    """Run all demos; return 1 if a figure is off."""
    rows, pages = [], []
    for demo in DEMOS:
        recipe = demo.words[1]
        run = out / demo.task / recipe
        command = ROOT / ".venv" / demo.task / "bin" / demo.task.replace("_", "-")
        sample = out / demo.task / "sample"
        if not sample.exists():
            call(command, "sample", "--out", sample)
        began = time.monotonic()
        call(command, "train", "--data", sample, "--out", run, *demo.words)
        seconds = time.monotonic() - began
        got = json.loads((run / "summary.json").read_text())["metrics"][demo.metric]
        is_fine = abs(got - demo.expected) <= demo.tolerance
        expected = f"{demo.expected:g} +- {demo.tolerance:g}"
        figures = (expected, f"{got:.4f}", f"{seconds:.1f}", "ok" if is_fine else "OFF")
        rows.append((demo.task, recipe, demo.metric, *figures))
        pages.append((f"{demo.task}, {recipe}", (run / "report.html").relative_to(out)))
    print_table(rows)
    page = write_page(out, rows, pages)
    print(f"\nThe page is {page}")
    return int(any(row[-1] == "OFF" for row in rows))


def call(*words: object) -> None:
    """Run a command, or leave with its output."""
    command = [str(word) for word in words]
    print(f"$ {' '.join(command)}", flush=True)
    done = subprocess.run(command, check=False, text=True, stdout=-1, stderr=-2)
    if done.returncode:
        sys.exit(f"{done.stdout}failed with exit code {done.returncode}")


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows under the header, columns aligned."""
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    print()
    for row in (HEADER, *rows):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def write_page(out: Path, rows: list[tuple[str, ...]], pages: list[tuple[str, Path]]) -> Path:
    """Write the page that links the tasks' reports, and return its path."""
    links = "".join(
        f'<li><a href="{html.escape(str(path))}">{html.escape(name)}</a></li>'
        for name, path in pages
    )
    cells = "".join(
        f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in rows
    )
    heads = "".join(f"<th>{head}</th>" for head in HEADER)
    page = out / "index.html"
    page.write_text(PAGE.format(links=links, cells=cells, heads=heads), encoding="utf-8")
    return page


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>dltasks demo</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8885; white-space: nowrap; }}
</style></head><body>
<h1>dltasks demo</h1>
<p>Every task trained on its built-in, made-up sample. The figures are known in advance.</p>
<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>
<h2>Reports</h2><ul>{links}</ul>
</body></html>
"""

if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    raise SystemExit(main(folder))
