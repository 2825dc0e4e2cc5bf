"""The verb `train`."""

from __future__ import annotations

from resnet_tiny.commands.report import write_page
from resnet_tiny.config import TrainConfig
from resnet_tiny.train import train
from shared.command.options import RunOptions
from shared.runs.run_directory import RunDirectory


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, measure, write the page (verb `train`); a run that ended without a page gets one."""
    folder = train(config, options)
    if folder is not None and not (folder / "report.html").exists():
        write_page(RunDirectory.read(folder, task="resnet-tiny"))
    options.tell(folder)
    return 0
