"""The verb `evaluate`."""

from __future__ import annotations

import json
import time

from imdb_sentiment.commands.options import EvaluateOptions
from imdb_sentiment.measure import measure, read
from imdb_sentiment.model.trained import load_run


def run(options: EvaluateOptions) -> int:
    """Print the figures of a trained model (verb `evaluate`)."""
    trained = load_run(options.run)
    reviews = read(options.data or trained.config.data, options.split, trained.config)
    began = time.perf_counter()
    chances = trained.classifier.probabilities(reviews.texts)
    seconds = time.perf_counter() - began
    figures = measure(chances, reviews, trained.config)
    figures["reviews_per_second"] = round(len(reviews) / seconds, 1)
    if options.json:
        print(json.dumps({"split": options.split, **figures}))
        return 0
    print(f"{options.split}: {len(reviews):,} reviews, {figures['reviews_per_second']:,} a second")
    for name in [name for name in figures if name not in ("reviews", "reviews_per_second")]:
        print(f"  {name:<22} {figures[name]:.4f}")
    return 0
