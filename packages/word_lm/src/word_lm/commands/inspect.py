"""The verb `inspect`: what training would read, without training: counts, ids, columns and the first batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from shared.files import json_text
from shared.text.inspection import word_to_show, write_vocabulary
from word_lm.commands.options import InspectOptions
from word_lm.config import TrainConfig
from word_lm.data.dataset import Text, load_text
from word_lm.data.segments import Segments
from word_lm.model.trained import load_run

FIRST_WORDS = 12


def run(config: TrainConfig, options: InspectOptions) -> int:
    """Print the data as the model gets it, and write the vocabulary if asked to (verb `inspect`)."""
    start = None if config.init is None else load_run(config.init).vocabulary
    text = load_text(config, start)
    vocabulary, ids = text.vocabulary, text.splits["train"]
    segments = Segments(
        ids, config.batch_size, config.bptt, vary=config.vary_bptt, seed=config.seed
    )
    word = word_to_show(vocabulary, options.word, specials=2)
    written = write_vocabulary(Path(options.out), vocabulary.tokens) if options.out else None
    if options.json:
        print(json_text(_facts(text, segments, word)))
        return 0
    for name, split in text.splits.items():
        print(f"{name}: {len(split):,} tokens, starts with {_words(text, split[:FIRST_WORDS])!r}")
    for note in text.notes:
        print(note)
    print(f"vocabulary: {len(vocabulary):,} words")
    stoi = ", ".join(f"{token!r}: {i}" for i, token in enumerate(vocabulary.tokens[:FIRST_WORDS]))
    print(f"  stoi = {{{stoi}, ...}}")
    index = vocabulary.id(word)
    print(f"  itos[{index}] = {word!r}, {vocabulary.counts[index]:,} occurrences")
    rows, columns = segments.columns.shape
    print(
        f"batchify(train, {columns}): {(rows, columns)}, {segments.dropped} tokens dropped at the end"
    )
    print(f"  {segments.steps(0):,} batches of up to {config.bptt} words per epoch")
    _print_batch(text, segments, options.columns)
    if written:
        print(written)
    return 0


def _print_batch(text: Text, segments: Segments, columns: int) -> None:
    batch = segments.fetch(segments.shard(0, 0, 0, 1))
    inputs, targets = np.asarray(batch["inputs"]), np.asarray(batch["targets"])  # (T, B)
    print(f"first batch: inputs {inputs.shape}, targets {targets.shape} = the words after them")
    for column in range(min(columns, inputs.shape[1])):
        print(f"  column {column}")
        print(f"    inputs   {_words(text, inputs[:, column])}")
        print(f"             {inputs[:, column].tolist()}")
        print(f"    targets  {_words(text, targets[:, column])}")


def _words(text: Text, ids: Any) -> str:
    return " ".join(text.vocabulary.tokens[word] for word in ids)


def _facts(text: Text, segments: Segments, word: str) -> dict[str, Any]:
    batch = segments.fetch(segments.shard(0, 0, 0, 1))
    return {
        **text.facts(),
        "notes": text.notes,
        "word": word,
        "id": text.vocabulary.id(word),
        "columns": list(segments.columns.shape),
        "dropped": segments.dropped,
        "batches_per_epoch": segments.steps(0),
        "inputs": np.asarray(batch["inputs"]).tolist(),
        "targets": np.asarray(batch["targets"]).tolist(),
    }
