"""The report that students write: tables and curves to fill in, and the same filled from a run of the package.

A line of `report.<language>.md` that reads

    {run: table epoch train_loss recall_at_40}
    {run: curves train_loss recall_at_40}

becomes an empty table and a place for a plot in what students get. With a run folder it becomes the run's figures, for
the teacher's model answer. `exp:valid_loss` is the exponential of a figure, `valid_acc|val_acc` the first that is
there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.errors import UserError

_PLACE = re.compile(r"^( *)\{run: (table|curves) ([^}]+)\}$", re.MULTILINE)
_MOST_ROWS = 12
_TITLES = {
    "epoch": ("epoch", "轮次"),
    "step": ("step", "步数"),
    "train_loss": ("training loss", "训练损失"),
    "train_accuracy": ("training accuracy", "训练准确率"),
    "epoch_train_loss": ("training loss", "训练损失"),
    "epoch_train_acc": ("training top-1", "训练 top-1"),
    "valid_loss": ("validation loss", "验证损失"),
    "valid_accuracy": ("validation accuracy", "验证准确率"),
    "valid_acc": ("validation top-1", "验证 top-1"),
    "exp:valid_loss": ("validation perplexity", "验证困惑度"),
    "recall_at_40": ("recall@40", "recall@40"),
}
_CURVES = {"en": "(plot the curves here)", "zh": "（在此画出曲线）"}


def blank(text: str, language: str) -> str:
    """Return a report to fill in: empty tables, and a line where a plot belongs."""

    def place(match: re.Match[str]) -> str:
        indent, kind, keys = match[1], match[2], match[3].split()
        if kind == "curves":
            return f"{indent}{_CURVES[language]}"
        return _table(indent, keys, [[""] * len(keys)] * 3, language)

    return _PLACE.sub(place, text)


def filled(text: str, run: Path, task: str, language: str, folder: Path) -> str:
    """Return a report with the figures of a run, and write the plots it shows into a folder.

    Parameters
    ----------
    text : str
        The report with its marks.
    run : Path
        Run folder of the task, or a folder of runs: its newest.
    task : str
    language : {"en", "zh"}
    folder : Path
        Where the report will be.

    Raises
    ------
    UserError
        It is no run of the task, or has no figure that the report asks for.
    """
    from shared.pages.plots import save_plot
    from shared.runs.run_directory import RunDirectory

    directory = RunDirectory.read(run, task=task.replace("_", "-"))
    records = directory.metrics.records()
    source = _described(directory.path, task, language)
    plots = 0

    def place(match: re.Match[str]) -> str:
        nonlocal plots
        indent, kind, keys = match[1], match[2], match[3].split()
        if kind == "table":
            rows = _rows(records, keys, directory.path)
            return _table(indent, keys, rows, language) + f"\n\n{indent}{source}"
        plots += 1
        name = f"report-curves-{plots}.png"
        axis = "epoch" if records and "epoch" in records[-1] else "step"
        curves = {
            _title(key, language): pairs for key in keys if (pairs := _curve(records, axis, key))[0]
        }
        if not curves:
            raise UserError(f"{directory.path}: its metrics.jsonl has none of {', '.join(keys)}.")
        save_plot(folder / name, source, _title(axis, language), "", curves)
        return f"{indent}![{', '.join(curves)}]({name})"

    return _PLACE.sub(place, text)


def _described(run: Path, task: str, language: str) -> str:
    """Return a line on a run: recipe, data, seed."""
    path = run / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        words = (summary["recipe"], summary["data"]["name"], summary["seed"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{run}: has not ended (no summary.json). Expected a run that has."
        ) from None
    if summary.get("task") != task:
        raise UserError(f"{run}: is a run of {summary.get('task')}. Expected one of {task}.")
    line = {
        "en": "Run: recipe {}, data {}, seed {}.",
        "zh": "训练：配方 {}，数据 {}，随机种子 {}。",
    }
    return line[language].format(*words)


def _rows(records: Sequence[dict[str, Any]], keys: Sequence[str], run: Path) -> list[list[str]]:
    """Return a row for each record with the last key, at most a dozen; other figures are the latest before it."""
    latest: dict[str, Any] = {}
    rows = []
    for record in records:
        latest |= {name: value for name, value in record.items() if value is not None}
        if _value(record, keys[-1]) is not None:
            rows.append([_shown(key, _value(latest, key)) for key in keys])
    if not rows:
        raise UserError(
            f"{run}: its metrics.jsonl has no {keys[-1]}. Expected a run that measured it."
        )
    if len(rows) > _MOST_ROWS:
        last = len(rows) - 1
        rows = [rows[round(i * last / (_MOST_ROWS - 1))] for i in range(_MOST_ROWS)]
    return rows


def _curve(
    records: Sequence[dict[str, Any]], axis: str, key: str
) -> tuple[list[float], list[float]]:
    pairs = [
        (record[axis], value) for record in records if (value := _value(record, key)) is not None
    ]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _value(record: dict[str, Any], key: str) -> float | None:
    for name in key.split("|"):
        value = record.get(name.removeprefix("exp:"))
        if value is not None:
            return math.exp(value) if name.startswith("exp:") else value
    return None


def _shown(key: str, value: float | None) -> str:
    if value is None:
        return ""
    if key in ("epoch", "step"):
        return f"{value:g}"
    if key.startswith("exp:"):
        return f"{value:.2f}"
    return f"{value:.3f}" if key.endswith("loss") else f"{100 * value:.1f} %"


def _title(key: str, language: str) -> str:
    titles = _TITLES[key.split("|")[0]]
    return titles[0] if language == "en" else titles[1]


def _table(indent: str, keys: Sequence[str], rows: Sequence[Sequence[str]], language: str) -> str:
    lines = [[_title(key, language) for key in keys], ["---"] * len(keys), *rows]
    return "\n".join(indent + "| " + " | ".join(line) + " |" for line in lines)
