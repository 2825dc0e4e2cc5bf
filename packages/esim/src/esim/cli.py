"""The `esim` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

from esim import __version__
from shared.cli import RUN_OPTIONS, Verb, fetch_verb, report_verb, run_verbs, sample_verb

DESCRIPTION = "Natural language inference by attention between two sentences (ESIM)."

VERBS = (
    Verb("train", "Train a model.", "train:run", "TrainConfig", RUN_OPTIONS, layered=True),
    Verb("evaluate", "Measure accuracy on a file or folder.", "evaluate:run", "EvaluateOptions"),
    Verb("predict", "Label a pair, a file, or lines of input.", "predict:run", "PredictOptions"),
    Verb("attend", "Show which words look at which.", "attend:run", "AttendOptions"),
    Verb(
        "ablate",
        "Train without one part after another, and compare.",
        "ablate:run",
        "TrainConfig",
        "AblateOptions",
        layered=True,
    ),
    Verb("export", "Write a model as ONNX.", "export:run", "ExportOptions"),
    Verb("bench", "Time training against coetaur0/ESIM.", "bench:run", "BenchOptions"),
    report_verb(),
    fetch_verb("Download SNLI."),
    sample_verb(),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("esim", __version__, DESCRIPTION, VERBS, arguments)
