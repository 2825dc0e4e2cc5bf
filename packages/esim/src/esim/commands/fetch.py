"""The verb `fetch`."""

from __future__ import annotations

from esim.data.dataset import DATA_SET
from shared.command.options import FetchOptions
from shared.data.datasets import fetch_and_say


def run(options: FetchOptions) -> int:
    """Download SNLI."""
    return fetch_and_say(DATA_SET, "esim train --recipe laptop", options)
