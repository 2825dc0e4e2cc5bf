"""The verb `train`."""

from __future__ import annotations

from esim.commands.report import write_page
from esim.config import TrainConfig
from esim.train import train
from shared.command.options import RunOptions
from shared.runs.run_directory import RunDirectory


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, measure, and write the page."""
    folder = train(config, options)
    if folder is not None and not (folder / "report.html").exists():
        write_page(RunDirectory.read(folder, task="esim"))
    options.tell(folder)
    return 0
