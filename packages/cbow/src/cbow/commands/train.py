"""The verb `train`."""

from __future__ import annotations

from cbow.config import TrainConfig
from cbow.processes.team import join
from cbow.train import train
from shared.command.options import RunOptions


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, evaluate, write the page (verb `train`)."""
    with join() as team:
        if team.is_follower:
            return team.follow()
        options.tell(train(config, options, team))
    return 0
