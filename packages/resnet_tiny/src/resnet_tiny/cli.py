"""The `resnet-tiny` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_tiny import __version__
from shared.cli import RUN_OPTIONS, Verb, fetch_verb, report_verb, run_verbs, sample_verb

DESCRIPTION = "Image classification on Tiny ImageNet: ResNet-18 and any other torchvision model."

VERBS = (
    Verb("train", "Train a model.", "train:run", "TrainConfig", RUN_OPTIONS, layered=True),
    Verb("evaluate", "Measure a trained model.", "evaluate:run", "EvaluateOptions"),
    Verb("predict", "Say what is in a picture.", "predict:run", "PredictOptions"),
    Verb("summary", "Print a model's layers.", "summary:run", "SummaryOptions"),
    Verb("pack", "Decode the pictures into one file.", "pack:run", "PackOptions"),
    Verb("ablate", "Train without each part of a recipe, in turn.", "ablate:run", "AblateOptions"),
    Verb("export", "Write a model as ONNX.", "export:run", "ExportOptions"),
    Verb("bench", "Time training on each device here.", "bench:run", "BenchOptions"),
    report_verb(),
    fetch_verb("Download Tiny ImageNet."),
    sample_verb(),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("resnet_tiny", __version__, DESCRIPTION, VERBS, arguments)
