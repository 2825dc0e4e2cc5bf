"""The `cbow` command: its verbs, and where the code of each is."""

from __future__ import annotations

from collections.abc import Sequence

from cbow import __version__
from cbow.processes.launchers import processes_started
from shared.command.cli import (
    RUN_OPTIONS,
    TRAIN_CONFIG,
    USAGE_ERROR,
    Verb,
    app_verb,
    fetch_verb,
    report_verb,
    run_verbs,
    sample_verb,
    teaching_verbs,
)

DESCRIPTION = "word2vec's continuous bag of words, from numpy up."

VERBS = (
    Verb("train", "Train word vectors.", TRAIN_CONFIG, RUN_OPTIONS, layered=True),
    Verb(
        "evaluate",
        "Measure a model by synonyms, analogies, word pairs.",
        "EvaluateOptions",
        example="evaluate RUN --analogies questions-words.txt",
    ),
    Verb(
        "neighbors",
        "List the words nearest to a word.",
        "NeighborsOptions",
        example="neighbors RUN film funny --count 5",
    ),
    Verb(
        "similarity",
        "Compare two words.",
        "SimilarityOptions",
        example="similarity RUN film movie",
    ),
    Verb(
        "analogy",
        "Answer `a is to b as c is to ?`.",
        "AnalogyOptions",
        example="analogy RUN man king woman",
    ),
    Verb(
        "inspect",
        "Show a run's samples, word indices and vector rows.",
        "InspectOptions",
        example="inspect RUN film --samples 3",
    ),
    Verb(
        "export",
        "Write the vectors for other programs.",
        "ExportOptions",
        example="export RUN --format word2vec-binary --out vectors.bin",
    ),
    Verb("synonyms", "Build a synonym list from WordNet.", "SynonymsOptions"),
    Verb("study", "Run the assignment's whole study, with plots.", "StudyOptions"),
    Verb("explain", "Show one training step with all its numbers.", "ExplainOptions"),
    Verb("bench", "Time the engines against their peers.", "BenchOptions"),
    report_verb(),
    app_verb(),
    fetch_verb("Download the assignment's data."),
    sample_verb(),
    *teaching_verbs(),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    code = run_verbs("cbow", __version__, DESCRIPTION, VERBS, arguments)
    if code == USAGE_ERROR and processes_started() > 1:
        from cbow.processes.team import give_up

        give_up(code)
    return code
