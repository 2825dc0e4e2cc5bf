"""The verb `fetch`: download the data."""

from __future__ import annotations

from shared.command.options import FetchOptions
from shared.data.datasets import fetch_and_say


def run(options: FetchOptions) -> int:
    """Download the assignment's data (verb `fetch`)."""
    return fetch_and_say("cbow", "cbow train --recipe baseline", options)
