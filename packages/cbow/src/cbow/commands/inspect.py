"""The verb `inspect`: samples, word indices and vector rows of a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cbow.commands.answers import print_answer
from cbow.commands.options import InspectOptions
from cbow.config import TrainConfig
from cbow.data.dataset import Corpus, find_corpus
from cbow.model.reference import pairs, windows
from cbow.model.trained import VOCABULARY, load
from shared.command import config as configuration
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory
from shared.text.vocabulary import Vocabulary

FIRST_WORDS = 5
NUMBERS = 8
"""Numbers of a vector that are printed in a line; JSON has all of them."""


def run(options: InspectOptions) -> int:
    """Show a run's first samples, and index, count and vector of words (verb `inspect`)."""
    folder = RunDirectory.read(options.run, task="cbow")
    config = configuration.load(TrainConfig, folder.path / "config.yaml")
    vectors = load(folder.path)
    vocabulary = Vocabulary.load(folder.path / VOCABULARY)
    words = options.words or vocabulary.tokens[:FIRST_WORDS]
    answer = {
        "words": len(vocabulary),
        "dimension": vectors.matrix.shape[1],
        "samples": [
            {
                "context": [[vocabulary.tokens[i], i] for i in context],
                "target": [vocabulary.tokens[target], target],
            }
            for context, target in itertools.islice(
                _samples(folder, config, vocabulary), options.samples
            )
        ],
        "token_to_idx": {word: vectors.row(word) for word in words},
        "counts": {word: int(vocabulary.counts[vectors.row(word)]) for word in words},
        "vectors": {word: [float(value) for value in vectors[word]] for word in words},
    }
    return print_answer(answer, _as_text(answer, config), as_json=options.json)


def _samples(
    folder: RunDirectory, config: TrainConfig, vocabulary: Vocabulary
) -> Iterator[tuple[list[int], int]]:
    """Yield the samples in the order of training; subsampling and shrinking windows would draw from them."""
    samples = pairs if config.architecture == "skipgram" else windows
    for line in _corpus(folder, config).lines():
        yield from samples(vocabulary.ids(line), config.window)


def _corpus(folder: RunDirectory, config: TrainConfig) -> Corpus:
    """Return the corpus that a run was trained on, if it is still there."""
    given = Path(config.data).expanduser() if config.data else None
    without = "Put it back, or leave its samples out with --samples 0."
    if given is not None and not (given.is_file() or given.is_dir()):
        raise UserError(
            f"{folder.path}: was trained on {given}, which is not found from here. {without}"
        )
    corpus = find_corpus(config)
    if corpus.listing["sha256"] != folder.summary()["data"]["sha256"]:
        raise UserError(f"{folder.path}: the data of this run has changed since. {without}")
    return corpus


def _as_text(answer: dict[str, Any], config: TrainConfig) -> str:
    lines = [f"{answer['words']:,} words, vectors of {answer['dimension']} numbers"]
    if answer["samples"]:
        # What training draws at random is not shown.
        before = " before subsampling" if config.subsample else ""
        full = ", not yet shrunk" if config.shrink_window else ""
        head = f"first samples{before} (window {config.window}{full}): context -> target"
        lines += ["", head]
    for sample in answer["samples"]:
        context = "  ".join(f"{word} {index}" for word, index in sample["context"])
        word, index = sample["target"]
        lines.append(f"  {context}  ->  {word} {index}")
    lines += ["", "index, count, word, vector"]
    for word, index in answer["token_to_idx"].items():
        row = answer["vectors"][word]
        numbers = "  ".join(f"{value: .4f}" for value in row[:NUMBERS])
        more = "  ..." if len(row) > NUMBERS else ""
        lines.append(f"  {index:>6}  {answer['counts'][word]:>8,}  {word}  [{numbers}{more}]")
    return "\n".join(lines)
