"""The `word-lm` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

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
from word_lm import __version__

DESCRIPTION = "Word-level language models: recurrent, Transformer and convolutional."

VERBS = (
    Verb("train", "Train a model.", TRAIN_CONFIG, TRAIN_OPTIONS, layered=True),
    Verb(
        "evaluate",
        "Measure perplexity by named protocols.",
        "EvaluateOptions",
        example="evaluate RUN --cache --ngram",
    ),
    Verb(
        "generate",
        "Generate text.",
        "GenerateOptions",
        example='generate RUN --prompt "the captain" --top-p 0.9',
    ),
    Verb(
        "surprisal",
        "Show the surprisal of each word of a text.",
        "SurprisalOptions",
        example="surprisal RUN --text my.txt",
    ),
    Verb(
        "context",
        "Measure perplexity by length of context.",
        "ContextOptions",
        example="context RUN RUN --lengths 1,10,100",
    ),
    Verb(
        "study",
        "Train an LSTM, a Transformer and a CNN, and compare their use of context.",
        "StudyConfig",
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
    Verb(
        "bench",
        "Time training and generation against pytorch/examples.",
        "BenchOptions",
    ),
    report_verb(),
    app_verb(),
    fetch_verb("Download WikiText-2."),
    sample_verb(),
    *teaching_verbs(),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("word_lm", __version__, DESCRIPTION, VERBS, arguments)
