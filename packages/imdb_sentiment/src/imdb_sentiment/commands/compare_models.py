"""The verb `compare-models`: all models in one table and one page, with accuracy, seconds, size and speed."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imdb_sentiment.commands.options import CompareOptions
from imdb_sentiment.commands.recipe_runs import configuration_of, finished_run
from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.dataset import find, load_data
from imdb_sentiment.model.trained import load
from shared.data.samples import sample_notice
from shared.errors import UserError
from shared.pages.report import Report, percent
from shared.runs.run_directory import RunDirectory

TIMED = 1000
"""Test reviews on which speed is measured."""
HEADER = ("recipe", "test", "valid", "trained on", "seconds", "MB", "reviews/s")


@dataclass(frozen=True)
class Row:
    """One model's row of the table; only `problem` if it could not be trained.

    Parameters
    ----------
    recipe : str
    test_accuracy, valid_accuracy : float or None
        0 to 1.
    trained_on : int or None
        Reviews.
    seconds : float or None
        Training, reading the files included.
    megabytes : float or None
        Files that prediction needs; 1e6 bytes each.
    reviews_per_second : float or None
        Speed from text to prediction.
    problem : str or None
        Why it is left out.
    """

    recipe: str
    test_accuracy: float | None = None
    valid_accuracy: float | None = None
    trained_on: int | None = None
    seconds: float | None = None
    megabytes: float | None = None
    reviews_per_second: float | None = None
    problem: str | None = None

    def cells(self) -> list[Any]:
        """Return the row as texts, in the order of `HEADER`."""
        return [
            self.recipe,
            percent(self.test_accuracy),
            percent(self.valid_accuracy),
            None if self.trained_on is None else f"{self.trained_on:,}",
            None if self.seconds is None else f"{self.seconds:.1f}",
            None if self.megabytes is None else f"{self.megabytes:.1f}",
            None if self.reviews_per_second is None else f"{self.reviews_per_second:,.0f}",
        ]


def run(options: CompareOptions) -> int:
    """Train what is not trained yet, print the table, write the page (verb `compare-models`)."""
    out = Path(options.out or "runs/imdb_sentiment/compare-models")
    folder, is_sample = find(options.data)
    if is_sample and not options.json:
        print(sample_notice("imdb-sentiment", options.data))
    data = load_data(TrainConfig(data=str(folder)))
    test = data.test.texts[:TIMED]
    widths = [12, 8, 8, 10, 8, 7, 9]
    if not options.json:
        print("  ".join(f"{name:>{width}}" for name, width in zip(HEADER, widths, strict=True)))
    rows = []
    for name in options.recipes:
        row = _row(name, options, folder, out, test, len(data.train))
        rows.append(row)
        if options.json:
            continue
        cells = ["-" if cell is None else str(cell) for cell in row.cells()]
        print(
            "  ".join(f"{c:>{width}}" for c, width in zip(cells, widths, strict=True)), flush=True
        )
        if row.problem:
            print(f"{'':>12}  left out: {row.problem}")
    page = write_page(rows, out / "compare-models.html", folder.name, is_sample)
    if options.json:
        print(json.dumps({"models": [row.__dict__ for row in rows], "page": str(page)}))
    else:
        print(f"The page is {page}.")
    return 0


def write_page(rows: list[Row], path: Path, data: str, is_sample: bool) -> Path:
    """Write the table and two plots as a page."""
    page = Report("All models", f"{data}{' (made up)' if is_sample else ''}")
    page.table(HEADER, [row.cells() for row in rows])
    page.text(
        "seconds: training, reading the files included. MB: files that prediction needs. reviews/s: the first "
        f"{TIMED:,} test reviews, from text to prediction. The linear models are fitted again on train and valid "
        "together, after validation."
    )
    whole = [row for row in rows if row.test_accuracy is not None]
    if whole:
        accuracies = {row.recipe: 100 * (row.test_accuracy or 0) for row in whole}
        page.bars("Test accuracy", accuracies, "%")
        page.bars("Training", {row.recipe: row.seconds or 0 for row in whole}, "seconds")
    for row in rows:
        if row.problem:
            page.text(f"{row.recipe} is left out: {row.problem}")
    return page.save(path)


def _row(
    name: str, options: CompareOptions, folder: Path, out: Path, test: list[str], available: int
) -> Row:
    try:
        config = configuration_of(name, options, folder, encoder=options.encoder, seed=options.seed)
        if config.model == "encoder":
            from imdb_sentiment.model.hub import require_encoder

            require_encoder(str(config.encoder))
    except UserError as error:
        if name == "encoder" and options.encoder is None:  # the one that may not be available
            return Row(name, problem=str(error))
        raise
    if options.limit is not None:
        config = replace(config, limit=options.limit)
    config = replace(config, limit=_limit(config.limit, available), test_limit=None)
    path = finished_run(config, out / name)
    summary = RunDirectory.read(path, task="imdb-sentiment").summary()
    model = load(path)
    model.probabilities(test[:50])  # the first call allocates
    began = time.perf_counter()
    model.probabilities(test)
    seconds = time.perf_counter() - began
    return Row(
        name,
        summary["metrics"]["test_accuracy"],
        summary["metrics"]["valid_accuracy"],
        summary.get("trained_on", summary["data"]["reviews"]["train"]),
        summary["seconds"],
        run_size(path) / 1e6,
        len(test) / seconds,
    )


def _limit(limit: int | None, available: int) -> int | None:
    """Return a limit, or None if the data has no more reviews than that (a recipe made for larger data)."""
    return None if limit is None or limit >= available else limit


def run_size(path: Path) -> int:
    """Return the bytes of the files that a run's model needs for prediction."""
    best = RunDirectory.read(path, task="imdb-sentiment").checkpoints.best()
    if best is None:
        return 0
    unused = {"training.pt", "trained.safetensors", "manifest.json"}
    files = [f for f in best.folder.iterdir() if f.name not in unused and f.suffix != ".pt"]
    return sum(file.stat().st_size for file in files)
