"""The `esim` command: its verbs; the code of each is in `commands/`."""

from __future__ import annotations

from collections.abc import Sequence

from esim import __version__
from shared.command.cli import (
    TRAIN_CONFIG,
    TRAIN_OPTIONS,
    Verb,
    app_verb,
    report_verb,
    run_verbs,
    sample_verb,
    teaching_verbs,
)

DESCRIPTION = "Natural language inference by attention between two sentences (ESIM)."

VERBS = (
    Verb(
        "train",
        "Train a model.",
        TRAIN_CONFIG,
        TRAIN_OPTIONS,
        layered=True,
        example="train --recipe laptop --out runs/esim/laptop",
    ),
    Verb(
        "evaluate",
        "Measure accuracy on a file or folder.",
        "EvaluateOptions",
        example="evaluate runs/esim/laptop --checks",
    ),
    Verb(
        "predict",
        "Label a pair, a file, or lines of input.",
        "PredictOptions",
        example='predict runs/esim/laptop "A dog runs." "An animal moves."',
    ),
    Verb(
        "attend",
        "Show the attention between two sentences.",
        "AttendOptions",
        example='attend runs/esim/laptop "A dog runs." "An animal moves." --out dog.html',
    ),
    Verb(
        "ablate",
        "Train with one part left out at a time, and compare.",
        TRAIN_CONFIG,
        "AblateOptions",
        layered=True,
    ),
    Verb(
        "study",
        "Measure every epoch on dev and test, then ablate.",
        TRAIN_CONFIG,
        "StudyOptions",
        layered=True,
    ),
    Verb(
        "inspect",
        "Show the data as the model gets it.",
        TRAIN_CONFIG,
        "InspectOptions",
        layered=True,
    ),
    Verb("export", "Write a model as ONNX.", "ExportOptions"),
    Verb("bench", "Compare training speed with coetaur0/ESIM.", "BenchOptions"),
    report_verb(),
    app_verb(),
    Verb("fetch", "Download SNLI, or GloVe.", "FetchOptions"),
    sample_verb(),
    *teaching_verbs(),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("esim", __version__, DESCRIPTION, VERBS, arguments)
