"""The `cbow` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

from cbow import __version__
from shared.cli import Verb, run_verbs

DESCRIPTION = "word2vec's continuous bag of words, from numpy up."


def _verb(name: str, text: str, run: str, *options: str, layered: bool = False) -> Verb:
    return Verb(name, text, f"cbow.{run}", tuple(f"cbow.config:{o}" for o in options), layered)


VERBS = (
    _verb("train", "Train word vectors.", "train:run", "TrainConfig", "TrainOptions", layered=True),
    _verb(
        "evaluate",
        "Measure a model by synonyms, analogies, word pairs.",
        "queries:evaluate",
        "EvaluateOptions",
    ),
    _verb(
        "neighbors", "List the words nearest to a word.", "queries:neighbors", "NeighborsOptions"
    ),
    _verb("similarity", "Compare two words.", "queries:similarity", "SimilarityOptions"),
    _verb("analogy", "Answer `a is to b as c is to ?`.", "queries:analogy", "AnalogyOptions"),
    _verb("export", "Write the vectors for other programs.", "queries:export", "ExportOptions"),
    _verb("synonyms", "Build a synonym list from WordNet.", "queries:synonyms", "SynonymsOptions"),
    _verb("study", "Run the assignment's whole study, with plots.", "study:run", "StudyOptions"),
    _verb(
        "explain", "Show one training step with all its numbers.", "explain:run", "ExplainOptions"
    ),
    _verb("bench", "Time the engines against their peers.", "bench:run", "BenchOptions"),
    _verb("report", "Make the page of a run.", "report:run", "ReportOptions"),
    _verb("fetch", "Download the assignment's data.", "data:fetch", "FetchOptions"),
    _verb("sample", "Write a small made-up data set.", "sample:run", "SampleOptions"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run_verbs("cbow", __version__, DESCRIPTION, VERBS, arguments)
