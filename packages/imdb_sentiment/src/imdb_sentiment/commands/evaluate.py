"""The verb `evaluate`."""

from __future__ import annotations

import json
import time

from imdb_sentiment.commands.measured import reviews_of
from imdb_sentiment.commands.options import EvaluateOptions
from imdb_sentiment.measure import measure
from imdb_sentiment.model.trained import load


def run(options: EvaluateOptions) -> int:
    """Print the figures of a trained model (verb `evaluate`)."""
    trained = load(options.run, device=options.device)
    reviews = reviews_of(trained, options)
    began = time.perf_counter()
    probabilities = trained.probabilities(reviews.texts)
    seconds = time.perf_counter() - began
    figures = measure(probabilities, reviews, trained.config)
    speed = round(len(reviews) / seconds, 1)
    if options.json:
        facts = {"split": options.split, "source": reviews.source}
        print(json.dumps({**facts, **figures, "reviews_per_second": speed}))
        return 0
    print(f"{options.split}: {len(reviews):,} reviews ({reviews.source}), {speed:,} reviews/s")
    for name, value in figures.items():
        if name.endswith("accuracy") or name == "calibration_error":
            print(f"  {name:<22} {100 * value:.2f} %")
        elif name not in ("reviews", "confusion"):
            print(f"  {name:<22} {value:.4f}")
    print_confusion(figures["confusion"], trained.classes)
    return 0


def print_confusion(table: list[list[int]], classes: tuple[str, ...]) -> None:
    """Print how often each class (row) was predicted as which (column)."""
    width = max(9, *map(len, classes))
    print("  " + "  ".join(f"{name:>{width}}" for name in ("predicted", *classes)))
    for name, row in zip(classes, table, strict=True):
        print("  " + "  ".join([f"{name:>{width}}", *(f"{count:>{width},}" for count in row)]))
