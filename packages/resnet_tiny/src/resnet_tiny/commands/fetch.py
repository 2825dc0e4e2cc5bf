"""The verb `fetch`: download the data."""

from __future__ import annotations

from resnet_tiny.config import DATA_SET
from shared.command.options import FetchOptions
from shared.data.datasets import fetch_and_say


def run(options: FetchOptions) -> int:
    """Download Tiny ImageNet (verb `fetch`)."""
    return fetch_and_say(DATA_SET, "resnet-tiny train --recipe laptop", options)
