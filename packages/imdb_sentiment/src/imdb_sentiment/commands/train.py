"""The verb `train`."""

from __future__ import annotations

from imdb_sentiment.commands.report import write_page
from imdb_sentiment.config import TrainConfig
from imdb_sentiment.train import train
from shared.command.options import RunOptions
from shared.runs.run_directory import RunDirectory


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, measure, write the page (verb `train`)."""
    folder = train(config, options)
    # A run that was killed before its page gets it when it is resumed.
    if folder is not None and not (folder / "report.html").exists():
        write_page(RunDirectory.read(folder, task="imdb-sentiment"))
    options.tell(folder)
    return 0
