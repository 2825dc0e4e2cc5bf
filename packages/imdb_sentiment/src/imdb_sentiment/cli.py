"""The `imdb-sentiment` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

from imdb_sentiment import __version__
from shared.cli import RUN_OPTIONS, Verb, report_verb, run_verbs, sample_verb

DESCRIPTION = "Is this film review good or bad: from naive Bayes to pretrained encoders."

VERBS = (
    Verb("train", "Train a model.", "train:run", "TrainConfig", RUN_OPTIONS, layered=True),
    Verb("evaluate", "Measure a trained model.", "evaluate:run", "EvaluateOptions"),
    Verb("predict", "Judge texts, files, CSV, standard input.", "predict:run", "PredictOptions"),
    Verb("explain", "Show which words mattered.", "explain:run", "ExplainOptions"),
    Verb("mistakes", "Show the most confident mistakes.", "mistakes:run", "MistakesOptions"),
    Verb("audit", "Look for duplicates and leaks in the data.", "audit:run", "AuditOptions"),
    Verb("compare", "Train all models; one table, one page.", "compare:run", "CompareOptions"),
    Verb("learning-curve", "Accuracy by number of reviews.", "learning_curve:run", "CurveOptions"),
    Verb("export", "Write a model as ONNX or save_pretrained.", "export:run", "ExportOptions"),
    Verb("bench", "Time LSTM training against padding to 592.", "bench:run", "BenchOptions"),
    report_verb(),
    Verb("fetch", "Download the reviews, or GloVe.", "data:fetch", "FetchOptions"),
    sample_verb(),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("imdb_sentiment", __version__, DESCRIPTION, VERBS, arguments)
