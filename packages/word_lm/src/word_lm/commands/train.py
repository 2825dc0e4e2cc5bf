"""The verb `train`."""

from __future__ import annotations

from shared.command.options import RunOptions
from word_lm.config import TrainConfig
from word_lm.train import train


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, measure, write the page (verb `train`)."""
    options.tell(train(config, options))
    return 0
