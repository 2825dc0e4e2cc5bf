"""The verb `mistakes`: a page with the most confident mistakes of a model."""

from __future__ import annotations

import html
from itertools import pairwise
from pathlib import Path

import numpy as np

from imdb_sentiment.commands.options import MistakesOptions
from imdb_sentiment.data.dataset import CLASSES
from imdb_sentiment.data.text import blank_breaks
from imdb_sentiment.measure import positive_probability, read
from imdb_sentiment.model.trained import load
from shared.pages.report import Report, percent

SHOWN = 1500
"""Characters of a review that the page shows."""
BANDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Edges of the bins of confidence, the probability of the predicted class."""


def run(options: MistakesOptions) -> int:
    """Write the page (verb `mistakes`)."""
    trained = load(options.run)
    reviews = read(options.data or trained.config.data, options.split, trained.config)
    positive = positive_probability(trained.probabilities(reviews.texts))
    confidence = np.where(positive > 0.5, positive, 1 - positive)
    is_wrong = (positive > 0.5) != (reviews.labels == 1)
    wrong = np.flatnonzero(is_wrong)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][: options.count]

    page = Report(
        "The most confident mistakes",
        f"{trained.config.model} on {len(reviews):,} {options.split} reviews: {len(wrong):,} wrong, accuracy "
        f"{percent(1 - len(wrong) / len(reviews))}",
    )
    page.table(
        ["confidence", "reviews", "accuracy"],
        [
            [f"{low:.0%} to {high:.0%}", int(has.sum()), percent(float(1 - is_wrong[has].mean()))]
            for low, high in pairwise(BANDS)
            if (has := (confidence >= low) & ((confidence < high) | (high == 1))).any()
        ],
        caption="Accuracy by confidence",
    )
    stars = [
        [int(rating), int(has.sum()), percent(float(1 - is_wrong[has].mean()))]
        for rating in np.unique(reviews.ratings)
        if (has := reviews.ratings == rating).any()
    ]
    page.table(
        ["stars", "reviews", "accuracy"], stars, caption="Accuracy by the rating of the reviewer"
    )
    for index in order.tolist():
        said = "positive" if positive[index] > 0.5 else "negative"
        page.heading(reviews.names[index])
        page.text(
            f"Predicted {said} with {confidence[index]:.2%}; it is {CLASSES[reviews.labels[index]]}, "
            f"{reviews.ratings[index]} of 10 stars."
        )
        text = " ".join(blank_breaks(reviews.texts[index]).split())
        cut = text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} [...] {text[-SHOWN // 2 :]}"
        page.html(f'<p class="review" style="overflow-wrap:anywhere">{html.escape(cut)}</p>')
    out = Path(options.out) if options.out else trained.path / "mistakes.html"
    page.save(out)
    print(f"{len(wrong):,} of {len(reviews):,} predictions are wrong. The page is {out}.")
    return 0
