"""The verb `train`."""

from __future__ import annotations

from resnet_tiny.config import TrainConfig
from resnet_tiny.train import train
from shared.command.options import RunOptions


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, measure, write the page (verb `train`)."""
    options.tell(train(config, options))
    return 0
