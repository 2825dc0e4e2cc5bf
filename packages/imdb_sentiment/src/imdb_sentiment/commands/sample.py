"""The verb `sample`: write the made-up data set."""

from __future__ import annotations

from imdb_sentiment.data import sample
from shared.command.options import SampleOptions
from shared.data.samples import write_sample


def run(options: SampleOptions) -> int:
    """Write the sample (verb `sample`)."""
    low, high = sample.EXPECTED_ACCURACY
    advice = (
        "`imdb-sentiment train --data {folder} --recipe nbsvm` trains on it; expect a test accuracy from "
        f"{low} to {high}."
    )
    return write_sample(options, "imdb-sentiment", sample.write, advice)
