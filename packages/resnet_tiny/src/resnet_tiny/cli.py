"""The `resnet-tiny` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_tiny import __version__
from shared.command.cli import (
    TRAIN_CONFIG,
    TRAIN_OPTIONS,
    Verb,
    app_verb,
    fetch_verb,
    report_verb,
    run_verbs,
    sample_verb,
    teaching_verbs,
)

DESCRIPTION = "Image classification on Tiny ImageNet, or on your own images: ResNet-18 and any other torchvision model."

VERBS = (
    Verb(
        "train", "Train a model.", TRAIN_CONFIG, TRAIN_OPTIONS, layered=True,
        example="train --recipe laptop --out runs/resnet_tiny/laptop",
    ),
    Verb(
        "evaluate", "Measure a trained model.", "EvaluateOptions",
        example="evaluate runs/resnet_tiny/laptop",
    ),
    Verb(
        "predict", "Classify images.", "PredictOptions",
        example="predict runs/resnet_tiny/laptop cat.jpg photos/",
    ),
    Verb("summary", "Print the layers of a model.", "SummaryOptions", example="summary --arch resnet18"),
    Verb("pack", "Decode the images into one file ahead of time.", "PackOptions"),
    Verb(
        "inspect", "Show the first training batch.", "InspectOptions",
        example="inspect --recipe modern --out batch.png",
    ),
    Verb("study", "Compare devices, and training with and without augmentation.", "StudyOptions"),
    Verb("ablate", "Train without each part of a recipe in turn.", "AblateOptions"),
    Verb(
        "export", "Write a trained model as ONNX or as weights for torchvision and timm.", "ExportOptions",
        example="export runs/resnet_tiny/laptop --format safetensors",
    ),
    Verb("bench", "Time training on each device of this machine.", "BenchOptions"),
    report_verb(),
    app_verb(),
    fetch_verb("Download Tiny ImageNet."),
    sample_verb(),
    *teaching_verbs(),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("resnet_tiny", __version__, DESCRIPTION, VERBS, arguments)
