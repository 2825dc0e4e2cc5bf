"""The verb `fetch`."""

from __future__ import annotations

from esim.commands.options import FetchOptions
from esim.data.dataset import DATA_SET
from shared.data.datasets import fetch_and_say, fetch_dataset
from shared.files import shell_quoted


def run(options: FetchOptions) -> int:
    """Download SNLI, or GloVe's vectors."""
    if not options.glove:
        return fetch_and_say(DATA_SET, "esim train --recipe laptop", options)
    folder = fetch_dataset("glove.840B.300d", options.out, quiet=options.quiet)
    file = min(folder.glob("*.txt"), default=folder)
    print(
        f"The vectors are in {folder}. `esim train --recipe paper --vectors {shell_quoted(file)}` uses them."
    )
    return 0
