"""The `word-lm` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

from shared.cli import Verb, run_verbs
from word_lm import __version__

DESCRIPTION = "Word-level language models: recurrent, Transformer and convolutional."


def _verb(name: str, text: str, run: str, *options: str, layered: bool = False) -> Verb:
    return Verb(
        name, text, f"word_lm.{run}", tuple(f"word_lm.config:{o}" for o in options), layered
    )


VERBS = (
    _verb("train", "Train a model.", "train:run", "TrainConfig", "TrainOptions", layered=True),
    _verb(
        "evaluate", "Measure perplexity, by a named protocol.", "evaluate:run", "EvaluateOptions"
    ),
    _verb("generate", "Write text.", "generate:run", "GenerateOptions"),
    _verb(
        "surprisal",
        "Show how surprising each word of a text is.",
        "surprisal:run",
        "SurprisalOptions",
    ),
    _verb("context", "Measure perplexity by length of context.", "context:run", "ContextOptions"),
    _verb("export", "Write a model as ONNX.", "export:run", "ExportOptions"),
    _verb("bench", "Time training against pytorch/examples.", "bench:run", "BenchOptions"),
    _verb("report", "Make the page of a run.", "report:run", "ReportOptions"),
    _verb("fetch", "Download WikiText-2.", "data:fetch", "FetchOptions"),
    _verb("sample", "Write a small made-up data set.", "sample:run", "SampleOptions"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("word-lm", __version__, DESCRIPTION, VERBS, arguments)
