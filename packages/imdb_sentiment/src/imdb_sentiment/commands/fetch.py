"""The verb `fetch`: download the data."""

from __future__ import annotations

from imdb_sentiment.commands.options import FetchOptions
from imdb_sentiment.data.dataset import DATA_SET
from shared.data.datasets import fetch_and_say, fetch_dataset


def run(options: FetchOptions) -> int:
    """Download the reviews, or GloVe's vectors (verb `fetch`)."""
    if options.glove:
        folder = fetch_dataset("glove.6B", options.out, quiet=options.quiet)
        print(f"The vectors are in {folder}. `imdb-sentiment train --recipe baseline` uses them.")
        return 0
    return fetch_and_say(DATA_SET, "imdb-sentiment train --recipe nbsvm", options)
