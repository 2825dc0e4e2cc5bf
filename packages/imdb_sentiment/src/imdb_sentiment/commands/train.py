"""The verb `train`."""

from __future__ import annotations

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.train import train
from shared.command.options import RunOptions


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, measure, write the page (verb `train`)."""
    options.tell(train(config, options))
    return 0
