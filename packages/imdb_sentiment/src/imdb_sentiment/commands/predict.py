"""The verb `predict`."""

from __future__ import annotations

import json
import sys
from itertools import islice

from imdb_sentiment.commands.options import PredictOptions
from imdb_sentiment.data.dataset import RATINGS
from imdb_sentiment.measure import positive_chance
from imdb_sentiment.model.trained import load_run
from imdb_sentiment.predict import SHOWN, _reviews


def run(options: PredictOptions) -> int:
    """Print a line for each review (verb `predict`)."""
    reviews = _reviews(options)
    trained = load_run(options.run)
    is_rating = trained.config.task == "rating"
    while texts := list(islice(reviews, options.batch)):
        chances = trained.classifier.probabilities(texts)
        positive = positive_chance(chances)
        for text, own, chance in zip(texts, chances, positive.tolist(), strict=True):
            label = "positive" if chance > 0.5 else "negative"
            found: dict[str, object] = {"label": label, "positive": round(chance, 4)}
            if is_rating:
                found["rating"] = RATINGS[int(own.argmax())]
            if options.json:
                print(json.dumps(found))
                continue
            start = " ".join(text[: 4 * SHOWN].split())[:SHOWN]
            stars = f"\t{found['rating']}" if is_rating else ""
            print(f"{label}\t{chance:.4f}{stars}\t{start}")
        sys.stdout.flush()  # so that a pipe sees each batch
    return 0
