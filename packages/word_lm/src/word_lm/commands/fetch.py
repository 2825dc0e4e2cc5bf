"""The verb `fetch`: download the data."""

from __future__ import annotations

from shared.command.options import FetchOptions
from shared.data.datasets import fetch_and_say
from word_lm.data.dataset import DATA_SET


def run(options: FetchOptions) -> int:
    """Download WikiText-2 (verb `fetch`)."""
    return fetch_and_say(DATA_SET, "word-lm train --recipe laptop", options)
