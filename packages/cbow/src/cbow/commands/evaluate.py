"""The verb `evaluate`: synonym recall, analogies, word pairs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from cbow.commands.options import EvaluateOptions
from cbow.data.evaluation_sets import load_analogies, load_word_pairs
from cbow.data.synonyms import load_synonyms
from cbow.measure import (
    NEIGHBORS,
    analogy_accuracy,
    analogy_lines,
    correlation_line,
    pair_correlation,
    recall_lines,
    synonym_recall,
)
from cbow.model.trained import SYNONYMS, load
from shared.errors import UserError


def run(options: EvaluateOptions) -> int:
    """Print what a model scores on each list that is given (verb `evaluate`)."""
    vectors = load(options.run)
    scores: dict[str, Any] = {}
    lines: list[str] = []
    synonyms = _synonyms_of(options)
    if synonyms is not None:
        recall = synonym_recall(vectors, load_synonyms(synonyms), k=options.neighbors or NEIGHBORS)
        scores[f"recall_at_{recall.k}"] = recall.recall
        scores["synonyms"] = dataclasses.asdict(recall)
        lines += recall_lines(recall, str(synonyms))
    elif options.neighbors is not None:
        raise UserError("--neighbors has no effect without --synonyms. Give both or neither.")
    if options.analogies:
        analogies = analogy_accuracy(vectors, load_analogies(options.analogies))
        scores["analogy_accuracy"] = analogies.total.accuracy
        scores["analogies"] = dataclasses.asdict(analogies)
        lines += analogy_lines(analogies)
    if options.pairs:
        pairs = pair_correlation(vectors, load_word_pairs(options.pairs))
        scores["pairs"] = dataclasses.asdict(pairs)
        lines.append(correlation_line(pairs))
    if not scores:
        raise UserError(
            f"{options.run}: nothing to measure by. Give --synonyms, --analogies or --pairs a file."
        )
    print(json.dumps(scores, ensure_ascii=False) if options.json else "\n".join(lines))
    return 0


def _synonyms_of(options: EvaluateOptions) -> Path | None:
    """Return the list that was given, else, if no other test was asked for, the one the run was measured by."""
    if options.synonyms:
        return Path(options.synonyms)
    kept = Path(options.run) / SYNONYMS
    is_other_test = options.analogies or options.pairs
    return kept if kept.is_file() and not is_other_test else None
