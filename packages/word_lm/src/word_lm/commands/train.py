"""The verb `train`."""

from __future__ import annotations

from shared.command.options import RunOptions
from shared.runs.run_directory import RunDirectory
from word_lm.commands.report import write_page
from word_lm.config import TrainConfig
from word_lm.train import train


def run(config: TrainConfig, options: RunOptions) -> int:
    """Train, evaluate and write the page (verb `train`)."""
    folder = train(config, options)
    # A run that was killed after its summary gets its page when it is resumed.
    if folder is not None and not (folder / "report.html").exists():
        write_page(RunDirectory.read(folder, task="word-lm"))
    options.tell(folder)
    return 0
