"""The labelled reviews that `evaluate` and `mistakes` measure a model on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from imdb_sentiment.commands.options import EvaluateOptions, MistakesOptions
from imdb_sentiment.data.dataset import read_part
from imdb_sentiment.data.reviews import Reviews
from imdb_sentiment.model.trained import TrainedModel
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory


def reviews_of(model: TrainedModel, options: EvaluateOptions | MistakesOptions) -> Reviews:
    """Return the reviews of a split, of the run's data or of other data.

    Raises
    ------
    UserError
        As `data.dataset.read_part`; a slice is outside the reviews.
    """
    names = ("text_column", "label_column", "separator", "encoding")
    given = model.config.data if options.data is None else None
    if given is not None and not Path(given).expanduser().exists():
        raise UserError(f"{given}: the run's data is not there. Name data with --data.")
    changes = {n: value for n in names if (value := getattr(options, n)) is not None}
    run = RunDirectory.read(model.path, task="imdb-sentiment")
    trained_on = None
    if options.data is not None and (model.path / "summary.json").exists():
        trained_on = run.summary()["data"]["sha256"]
    reviews = read_part(
        replace(model.config, **changes),
        options.split,
        given=options.data,
        classes=model.label_classes,
        trained_on=trained_on,
    )
    return sliced(reviews, options.slice) if options.slice else reviews


def sliced(reviews: Reviews, slices: tuple[str, ...]) -> Reviews:
    """Return a slice of the reviews of each class, `first:end` as in Python: one for all classes, or one for each."""
    classes = reviews.classes
    if len(slices) not in (1, len(classes)):
        raise UserError(
            f"--slice has {len(slices)} slices, expected 1, or one for each class: {', '.join(classes)}."
        )
    kept = []
    for label, text in enumerate(slices if len(slices) > 1 else slices * len(classes)):
        own = np.flatnonzero(reviews.labels == label)
        first, _, end = text.partition(":")
        part = own[int(first or 0) : int(end) if end else len(own)]
        if not len(part) or (end and int(end) > len(own)):
            raise UserError(
                f"--slice {text}: there are {len(own):,} {classes[label]} reviews. Expected a slice of those."
            )
        kept.append(part)
    source = f"slice {','.join(slices)} of {reviews.source}"
    return replace(reviews.take(np.concatenate(kept)), source=source)
