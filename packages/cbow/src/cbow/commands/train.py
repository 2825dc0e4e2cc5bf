"""The verb `train`."""

from __future__ import annotations

from cbow.commands.report import write_page
from cbow.config import TrainConfig
from cbow.processes.team import join
from cbow.train import train
from shared.command.options import RunOptions
from shared.runs.run_directory import RunDirectory


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, measure, write the page (verb `train`)."""
    with join() as team:
        if team.is_follower:
            return team.follow()
        folder = train(config, options, team)
    page = folder / "report.html"
    if not page.exists():  # a run that had ended may have it already
        write_page(RunDirectory.read(folder, task="cbow"))
    options.tell(folder)
    return 0
