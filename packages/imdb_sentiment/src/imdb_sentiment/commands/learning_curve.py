"""The verb `learning-curve`: accuracy against the number of training reviews, a curve for each recipe."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from imdb_sentiment.commands.options import CurveOptions
from imdb_sentiment.commands.recipe_runs import configuration_of, finished_run
from imdb_sentiment.config import LINEAR
from imdb_sentiment.data.dataset import find, load
from shared.pages.report import Report, percent
from shared.runs.run_directory import RunDirectory


def run(options: CurveOptions) -> int:
    """Train each recipe on more and more reviews, print the figures, write the page (verb `learning-curve`)."""
    out = Path(options.out or "runs/imdb_sentiment/learning-curve")
    folder, _ = find(options.data)
    figures: list[dict[str, Any]] = []
    for name in options.recipes:
        config = configuration_of(name, options, folder, encoder=options.encoder, test_limit=None)
        if config.model in LINEAR:
            # A refit would train on valid too, so with more reviews than the curve says.
            config = replace(config, refit=False)
        for size in _sizes(options.sizes, str(folder), config.valid_fraction):
            for seed in options.seeds:
                path = finished_run(
                    replace(config, limit=size, seed=seed), out / f"{name}-{size}-seed{seed}"
                )
                summary = RunDirectory.read(path, task="imdb-sentiment").summary()
                point = {
                    "recipe": name,
                    "reviews": summary["data"]["reviews"]["train"],
                    "seed": seed,
                    "test_accuracy": summary["metrics"]["test_accuracy"],
                    "valid_accuracy": summary["metrics"]["valid_accuracy"],
                    "seconds": summary["seconds"],
                }
                figures.append(point)
                if not options.json:
                    print(
                        f"{name:>12} {point['reviews']:>7,} reviews, seed {seed}: test "
                        f"{percent(point['test_accuracy'])}, valid {percent(point['valid_accuracy'])}, "
                        f"{point['seconds']:.1f} s",
                        flush=True,
                    )
    page = write_page(figures, out / "learning-curve.html", folder.name)
    if options.json:
        print(json.dumps({"points": figures, "page": str(page)}))
    else:
        print(f"The page is {page}.")
    return 0


def write_page(figures: list[dict[str, Any]], path: Path, data: str) -> Path:
    """Write table and plot as a page, and the plot as PNG beside it."""
    page = Report("Accuracy by number of training reviews", data)
    curves = curves_of(figures)
    axes = ("training reviews", "test accuracy, %")
    path.parent.mkdir(parents=True, exist_ok=True)
    caption, png = "Mean over the seeds.", path.with_suffix(".png")
    page.lines("Learning curve", *axes, curves, caption=caption, log_x=True, png=png)
    page.table(
        ["recipe", "reviews", "seed", "test", "valid", "seconds"],
        [
            [p["recipe"], f"{p['reviews']:,}", f"{p['seed']}", percent(p["test_accuracy"]),
             percent(p["valid_accuracy"]), f"{p['seconds']:.1f}"]
            for p in figures
        ],
    )  # fmt: skip
    page.text(
        "A larger training set contains all of a smaller one. Every point is measured on all test reviews; the "
        "validation reviews are the same everywhere and not trained on."
    )
    return page.save(path)


def curves_of(figures: list[dict[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Return (numbers of reviews, mean accuracies in %) by recipe."""
    accuracies: dict[str, dict[int, list[float]]] = {}
    for point in figures:
        by_size = accuracies.setdefault(point["recipe"], {})
        by_size.setdefault(point["reviews"], []).append(100 * point["test_accuracy"])
    return {
        name: ([float(size) for size in sorted(by_size)], [sum(by_size[s]) / len(by_size[s]) for s in sorted(by_size)])
        for name, by_size in accuracies.items()
    }  # fmt: skip


def _sizes(wanted: tuple[int, ...], folder: str, valid_fraction: float) -> list[int]:
    """Return the sizes that the data has reviews for; those above become the largest possible."""
    most = len(load(folder, valid_fraction=valid_fraction, limit=None, seed=0).train)
    return sorted({min(size, most) for size in wanted})
