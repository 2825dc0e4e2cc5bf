"""The verb `mistakes`: a page with the most confident mistakes of a model."""

from __future__ import annotations

import html
from itertools import pairwise
from pathlib import Path

import numpy as np

from imdb_sentiment.commands.measured import reviews_of
from imdb_sentiment.commands.options import MistakesOptions
from imdb_sentiment.data.text import blank_breaks
from imdb_sentiment.measure import of_labels
from imdb_sentiment.model.trained import load
from shared.pages.links import link_page
from shared.pages.report import Report, percent

SHOWN = 1500
"""Characters of a review that the page shows."""
BANDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Edges of the bins of confidence, the probability of the predicted class."""


def run(options: MistakesOptions) -> int:
    """Write the page (verb `mistakes`)."""
    trained = load(options.run, device=options.device)
    reviews = reviews_of(trained, options)
    probabilities = of_labels(trained.probabilities(reviews.texts), trained.config)
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    is_wrong = predicted != reviews.labels
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
            [
                f"{100 * low:.0f} to {100 * high:.0f} %",
                f"{has.sum():,}",
                percent(float(1 - is_wrong[has].mean())),
            ]
            for low, high in pairwise(BANDS)
            if (has := (confidence >= low) & ((confidence < high) | (high == 1))).any()
        ],
        caption="Accuracy by confidence",
    )
    if reviews.ratings.all():
        by_stars = [
            [int(rating), f"{has.sum():,}", percent(float(1 - is_wrong[has].mean()))]
            for rating in np.unique(reviews.ratings)
            for has in [reviews.ratings == rating]
        ]
        header = ["stars", "reviews", "accuracy"]
        page.table(header, by_stars, caption="Accuracy by the rating of the reviewer")
    for index in order.tolist():
        page.heading(reviews.names[index])
        rating = reviews.ratings[index]
        stars = f", {rating} of 10 stars" if rating else ""
        page.text(
            f"Predicted {reviews.classes[predicted[index]]} with {percent(confidence[index])}; it is "
            f"{reviews.classes[reviews.labels[index]]}{stars}."
        )
        text = " ".join(blank_breaks(reviews.texts[index]).split())
        cut = text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} [...] {text[-SHOWN // 2 :]}"
        page.html(f'<p class="review" style="overflow-wrap:anywhere">{html.escape(cut)}</p>')
    out = Path(options.out) if options.out else trained.path / "mistakes.html"
    page.save(out)
    link_page(out)
    print(f"{len(wrong):,} of {len(reviews):,} predictions are wrong. The page is {out}.")
    return 0
