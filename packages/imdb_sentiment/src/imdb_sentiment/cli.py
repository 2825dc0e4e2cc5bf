"""The `imdb-sentiment` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

from imdb_sentiment import __version__
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

DESCRIPTION = "Sentiment of film reviews: from naive Bayes to pretrained encoders."

VERBS = (
    Verb(
        "train",
        "Train a model.",
        TRAIN_CONFIG,
        TRAIN_OPTIONS,
        layered=True,
        example="train --recipe nbsvm",
    ),
    Verb("evaluate", "Measure a trained model.", "EvaluateOptions"),
    Verb(
        "predict",
        "Predict the class of texts, files, tables, standard input.",
        "PredictOptions",
        example='predict RUN "A moving film."',
    ),
    Verb("explain", "Show which words mattered.", "ExplainOptions"),
    Verb("mistakes", "Show the most confident mistakes.", "MistakesOptions"),
    Verb("audit", "Find duplicates and leaks in the data.", "AuditOptions"),
    Verb("inspect", "Show what a network reads.", TRAIN_CONFIG, "InspectOptions", layered=True),
    Verb("compare-models", "Train all models; one table, one page.", "CompareOptions"),
    Verb("learning-curve", "Accuracy by number of reviews.", "CurveOptions"),
    Verb("ablate", "Measure what each defect of the coursework costs.", "AblateOptions"),
    Verb("study", "Repeat the coursework's tuning; one table, one page.", "StudyOptions"),
    Verb("export", "Write a model as ONNX or save_pretrained.", "ExportOptions"),
    Verb("bench", "Time LSTM training against padding to 592.", "BenchOptions"),
    report_verb(),
    app_verb(),
    Verb("fetch", "Download the reviews, or GloVe.", "FetchOptions"),
    sample_verb(),
    *teaching_verbs(),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("imdb_sentiment", __version__, DESCRIPTION, VERBS, arguments)
