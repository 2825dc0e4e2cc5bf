"""The verbs that ask a trained model: evaluate, neighbors, similarity, analogy, export, synonyms."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from cbow import config
from cbow.data.synonyms import load_synonyms, save_synonyms, synonyms_from_wordnet
from cbow.measure import (
    analogy_accuracy,
    load_analogies,
    load_word_pairs,
    pair_correlation,
    recall_lines,
    synonym_recall,
)
from cbow.model import neighbors as answers
from cbow.model.trained import SYNONYMS, load_model
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

ENDINGS = {
    "npz": ".npz",
    "safetensors": ".safetensors",
    "word2vec-text": ".txt",
    "word2vec-binary": ".bin",
}


def evaluate(options: config.EvaluateOptions) -> int:
    """Print what a model scores on each list that is given (verb `evaluate`)."""
    vectors = load_model(options.model)
    scores: dict[str, Any] = {}
    synonyms = _synonyms_of(options)
    if synonyms is not None:
        recall = synonym_recall(vectors, load_synonyms(synonyms), k=options.neighbors)
        scores[f"recall_at_{recall.k}"] = recall.recall
        scores["synonyms"] = dataclasses.asdict(recall)
        _say(options, recall_lines(recall, str(synonyms)))
    if options.analogies:
        analogies = analogy_accuracy(vectors, load_analogies(options.analogies))
        scores["analogy_accuracy"] = analogies.total.accuracy
        scores["analogies"] = dataclasses.asdict(analogies)
        for section in (*analogies.sections, analogies.total):
            share = f"{100 * section.accuracy:6.2f} %  {section.correct}/{section.total}"
            _say(options, [f"{share}  {section.skipped} skipped  {section.name}"])
    if options.pairs:
        pairs = pair_correlation(vectors, load_word_pairs(options.pairs))
        scores["pairs"] = dataclasses.asdict(pairs)
        figures = [f"{name} {_or_dash(value)}" for name, value in _correlations(pairs)]
        _say(options, [f"{', '.join(figures)} on {pairs.pairs} pairs, {pairs.skipped} skipped"])
    if not scores:
        raise UserError(
            f"{options.model}: nothing to measure by. Give --synonyms, --analogies or --pairs a file."
        )
    if options.json:
        print(json.dumps(scores, ensure_ascii=False))
    return 0


def neighbors(options: config.NeighborsOptions) -> int:
    """Print the words nearest to each word (verb `neighbors`)."""
    vectors = load_model(options.model)
    return _answer(answers.neighbors(vectors, options.words, options.count), options.json)


def similarity(options: config.SimilarityOptions) -> int:
    """Print the cosine of two words (verb `similarity`)."""
    vectors = load_model(options.model)
    return _answer(answers.similarity(vectors, options.first, options.second), options.json)


def analogy(options: config.AnalogyOptions) -> int:
    """Print the answers to `a is to b as c is to ?` (verb `analogy`)."""
    vectors = load_model(options.model)
    answer = answers.analogy(vectors, options.a, options.b, options.c, options.count)
    return _answer(answer, options.json)


def export(options: config.ExportOptions) -> int:
    """Write the vectors in another format (verb `export`)."""
    out = options.out or (
        "projector" if options.format == "projector" else f"vectors{ENDINGS[options.format]}"
    )
    vectors = load_model(options.model)
    vectors.export(Path(out), options.format)
    print(
        f"{len(vectors)} vectors of size {vectors.matrix.shape[1]} are in {out} ({options.format})."
    )
    return 0


def synonyms(options: config.SynonymsOptions) -> int:
    """Write the synonyms that WordNet knows among a vocabulary (verb `synonyms`)."""
    path = Path(options.model)
    is_vocabulary = path.suffix == ".txt" and path.name.startswith("vocab")
    known = list(
        Vocabulary.load(path).tokens if is_vocabulary else load_model(options.model).tokens
    )
    words = _words_in(Path(options.words)) if options.words else known
    found = synonyms_from_wordnet(words, known, options.wordnet)
    save_synonyms(options.out, found)
    print(f"{sum(map(len, found.values()))} synonyms of {len(found)} words are in {options.out}.")
    return 0


def _synonyms_of(options: config.EvaluateOptions) -> Path | None:
    """Return the list that was given, else, if no other test was asked for, the one the run was measured by."""
    if options.synonyms:
        return Path(options.synonyms)
    kept = Path(options.model) / SYNONYMS
    asked_for_others = options.analogies or options.pairs
    return kept if kept.is_file() and not asked_for_others else None


def _words_in(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--words {path}: cannot be read ({error}). Expected one word a line."
        ) from None


def _correlations(pairs: Any) -> list[tuple[str, float | None]]:
    return [("Spearman", pairs.spearman), ("Pearson", pairs.pearson)]


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _say(options: config.EvaluateOptions, lines: list[str]) -> None:
    if not options.json:
        print("\n".join(lines))


def _answer(answer: dict[str, Any], as_json: bool) -> int:
    print(json.dumps(answer, ensure_ascii=False) if as_json else answers.as_text(answer))
    return 0
