"""The verb `compare`: runs side by side, with the settings that differ, the figures, and the curves over each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.command.config import read_mapping
from shared.command.options import CompareOptions
from shared.errors import UserError
from shared.pages.links import link_runs, relative_url
from shared.pages.plots import Curves, number_text
from shared.pages.report import Report, curve
from shared.runs.listing import runs_in
from shared.runs.run_directory import RunDirectory

_FRACTIONS = ("accuracy", "top1", "top5", "calibration_error", "recall_at_40")
_UNIMPORTANT = {
    "recipe",
    "threads",
    "workers",
    "log_every",
    "checkpoint_every",
    "checkpoint_seconds",
    "profile_steps",
}
_MOST_FIGURES = 8
_MOST_CURVES = 6
_CURVES = ("valid", "val_", "train", "test", "recall", "learning_rate")


@dataclass(frozen=True)
class Compared:
    """One run, as far as it has got.

    Parameters
    ----------
    path : Path
    name : str
        Its folder, shortened to what tells it from the others.
    settings : dict
        Its `config.yaml`.
    summary : dict or None
        None where it has not ended.
    records : list of dict
        Its metrics log.
    """

    path: Path
    name: str
    settings: dict[str, Any]
    summary: dict[str, Any] | None
    records: list[dict[str, Any]]

    @property
    def metrics(self) -> dict[str, float]:
        """Return the figures of the summary that are numbers."""
        metrics = (self.summary or {}).get("metrics", {})
        return {
            name: value
            for name, value in metrics.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }


def run(package: str, options: CompareOptions) -> int:
    """Compare runs (verb `compare` of every command)."""
    command = package.replace("_", "-")
    runs = read_runs(options.runs, command, package)
    if options.json:
        for one in runs:
            print(json.dumps(_as_json(one, runs), ensure_ascii=False))
        return 0
    print(_as_text(*figures_table(runs)), _as_text(*settings_table(runs)), sep="\n\n")
    out = Path(options.out) if options.out else runs[0].path.parent / "compare.html"
    write_page(command, runs, out)
    if not options.out:
        link_runs(out.parent)
    print(f"The page is {out}.")
    return 0


def read_runs(given: Sequence[str], command: str, package: str) -> list[Compared]:
    """Read the runs to compare; a folder of runs stands for all of them.

    Raises
    ------
    UserError
        A folder is no run and holds none, or a run is of another task.
    """
    paths: list[Path] = []
    for word in given:
        path = Path(word)
        if (path / "config.yaml").is_file():
            paths.append(path)
            continue
        inside = runs_in(path, package) or runs_in(path / package, package)
        if not inside:
            raise UserError(
                f"{path}: is not a run and holds none. Expected folders that `{command} train --out` wrote."
            )
        paths += inside
    unique = list({path.resolve(): path for path in paths}.values())
    names = _short_names(unique)
    runs = []
    for path, name in zip(unique, names, strict=True):
        summary = summary_of(path)
        task = (summary or {}).get("task", package)
        if str(task).replace("-", "_") != package:
            raise UserError(f"{path}: is a run of {task}, expected one of {package}.")
        opened = RunDirectory(path, is_read_only=True)
        runs.append(
            Compared(
                path, name, read_mapping(path / "config.yaml"), summary, opened.metrics.records()
            )
        )
    return runs


def summary_of(run: Path) -> dict[str, Any] | None:
    """Return a run's `summary.json`, or None where it has not ended or cannot be read."""
    try:
        return RunDirectory(run, is_read_only=True).summary()
    except (UserError, OSError):
        return None


def differing_settings(runs: Sequence[Compared]) -> list[str]:
    """Return the settings in which runs differ, in the order of the configuration."""
    names = dict.fromkeys(name for one in runs for name in one.settings)
    missing = object()
    return [
        name
        for name in names
        if name not in _UNIMPORTANT
        and len({repr(one.settings.get(name, missing)) for one in runs}) > 1
    ]


def settings_table(runs: Sequence[Compared]) -> tuple[list[str], list[list[Any]]]:
    """Return header and rows: a setting that differs a row, a run a column."""
    names = differing_settings(runs)
    rows = [[name, *(_setting(one.settings.get(name)) for one in runs)] for name in names]
    files = [_files(one) for one in runs]
    if len({text for text in files if text}) > 1:  # the same path may hold other files
        rows.insert(0, ["files (checksum)", *(text or "–" for text in files)])
    return ["setting", *(one.name for one in runs)], rows


def figures_table(runs: Sequence[Compared]) -> tuple[list[str], list[list[Any]]]:
    """Return header and rows: a run a row, a figure a column."""
    figures = _figures(runs)
    header = ["run", *(_title(name) for name in figures), "seconds"]
    rows = [
        [
            one.name,
            *(_value(name, one.metrics.get(name)) for name in figures),
            number_text(one.summary["seconds"])
            if one.summary and "seconds" in one.summary
            else None,
        ]
        for one in runs
    ]
    return header, rows


def write_page(command: str, runs: Sequence[Compared], out: Path) -> Path:
    """Write the page: a table with links to the runs' pages, and the curves over each other."""
    page = Report(f"{command}: {len(runs)} runs", ", ".join(one.name for one in runs))
    page.table(*figures_table(runs), caption="Figures")
    page.links(
        "Pages of the runs",
        [
            (one.name, relative_url(one.path / "report.html", out.parent))
            for one in runs
            if (one.path / "report.html").is_file()
        ],
    )
    header, rows = settings_table(runs)
    if rows:
        page.table(header, rows, caption="Settings that differ")
    for name, curves in curves_of(runs).items():
        scale = "%" if _is_fraction(name) else ""
        page.lines(_title(name), "epoch", scale or _title(name), curves)
    return page.save(out)


def curves_of(runs: Sequence[Compared]) -> dict[str, Curves]:
    """Return, for each logged figure, the curve of each run that has one; figures on validation data first."""
    names = dict.fromkeys(
        name
        for one in runs
        for record in one.records
        for name, value in record.items()
        if isinstance(value, int | float) and name.startswith(_CURVES) and "epoch" in record
    )
    ordered = sorted(
        names, key=lambda name: (not name.startswith("valid"), not name.startswith("train"))
    )
    result: dict[str, Curves] = {}
    for name in ordered:
        scale = 100.0 if _is_fraction(name) else 1.0
        curves = {
            one.name: points
            for one in runs
            if len((points := curve(_first_pass(one.records), name, scale))[0]) > 1
        }
        if curves and len(result) < _MOST_CURVES:
            result[name] = curves
    return result


def _first_pass(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records up to where epochs begin anew, as those of a second model in one run do."""
    kept: list[dict[str, Any]] = []
    for record in records:
        if "epoch" not in record:
            continue
        if kept and record["epoch"] < kept[-1]["epoch"]:
            break
        kept.append(record)
    return kept


def _figures(runs: Sequence[Compared]) -> list[str]:
    """Return the names of the figures to show: those on test and validation data first."""
    names = dict.fromkeys(name for one in runs for name in one.metrics)
    ends = ("_pairs", "_images", "_reviews", "_tokens", "_words")
    kept = [name for name in names if not name.endswith(ends)]
    first = ("test", "val_", "valid")
    return sorted(kept, key=lambda name: not name.startswith(first))[:_MOST_FIGURES]


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Return the last part of each path; where that is not unique, with as many folders above as tell it apart."""
    parts = [path.resolve().parts for path in paths]
    ends = [["/".join(own[-n:]) for own in parts] for n in range(1, max(map(len, parts)) + 1)]
    return [
        next((names[i] for names in ends if names.count(names[i]) == 1), str(path))
        for i, path in enumerate(paths)
    ]


def _is_fraction(name: str) -> bool:
    return name.endswith(_FRACTIONS)


def _title(name: str) -> str:
    return name.replace("_", " ")


def _value(name: str, value: float | None) -> str | None:
    if value is None:
        return None
    return f"{100 * value:.2f} %" if _is_fraction(name) else number_text(value)


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)


def _files(one: Compared) -> str:
    """Return name and checksum of a run's data; empty where it has not ended."""
    data = (one.summary or {}).get("data") or {}
    checksums = data.get("sha256") or ""
    parts = checksums.values() if isinstance(checksums, Mapping) else [checksums]
    short = " ".join(str(part)[:8] for part in parts)
    return f"{data['name']} ({short})" if "name" in data and short else ""


def _as_json(one: Compared, runs: Sequence[Compared]) -> Mapping[str, Any]:
    return {
        "run": str(one.path),
        "settings": {name: one.settings.get(name) for name in differing_settings(runs)},
        "metrics": one.metrics,
        "seconds": (one.summary or {}).get("seconds"),
    }


def _as_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table for the terminal."""
    lines = [header, *(["–" if cell is None else str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
