"""The verb `inspect`: what a network would read: splits, vocabulary, a word vector, the first batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from imdb_sentiment.commands.options import InspectOptions
from imdb_sentiment.config import LINEAR, TrainConfig
from imdb_sentiment.data.dataset import load_data
from imdb_sentiment.data.reviews import Data
from imdb_sentiment.data.text import SPECIALS, WordCodec, tokenize_with
from imdb_sentiment.train_network import Examples, initial_vectors, with_glove_file
from shared.errors import UserError
from shared.text.inspection import word_to_show, write_vocabulary

FIRST = 12
"""Words, ids and numbers to show."""


def run(config: TrainConfig, options: InspectOptions) -> int:
    """Print the data as the network gets it, and write the vocabulary if asked to (verb `inspect`)."""
    if config.model in LINEAR or config.model == "encoder":
        raise UserError(
            f"--model {config.model}: has no vocabulary of words with vectors. Expected lstm, handwritten_lstm or cnn."
        )
    data = load_data(config)
    codec = WordCodec.build(config, data.train.texts)
    vocabulary = codec.vocabulary
    word = word_to_show(vocabulary, options.word, len(SPECIALS))
    say = _silent if options.json else print
    config, note = with_glove_file(config)
    if note:
        say(note)
    vectors = initial_vectors(config, codec, codec.whole(data.train.texts), say)
    if vectors is None:
        rng = np.random.default_rng(config.seed)
        vectors = rng.uniform(-0.1, 0.1, (len(vocabulary), config.embedding_size)).astype(
            np.float32
        )
        vectors[codec.pad_id] = 0
    examples = Examples(
        config,
        codec.pad_id,
        codec.encode(data.train.texts),
        data.train,
        data.train.targets(config.task),
    )
    shard = examples.order().shard(0, 0, 0, 1)
    batch = {name: np.asarray(value) for name, value in examples.fetch(shard).items()}
    out = options.out
    written = write_vocabulary(Path(out), vocabulary.tokens, vectors) if out else None
    index = vocabulary.id(word)
    if options.json:
        print(json.dumps(_facts(data, vocabulary.tokens, vectors, index, batch)))
        return 0
    for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test)):
        counts = np.bincount(part.labels, minlength=len(part.classes)).tolist()
        own = ", ".join(f"{n:,} {label}" for n, label in zip(counts, part.classes, strict=True))
        print(f"{name}: {len(part):,} reviews ({own})")
    tokens = tokenize_with(config.tokenizer)(data.train.texts[0])
    print(f"first review, {data.train.names[0]}: {len(tokens):,} tokens: {tokens[:FIRST]} ...")
    stoi_shown = ", ".join(f"{t!r}: {i}" for i, t in enumerate(vocabulary.tokens[:FIRST]))
    print(f"vocabulary: {len(vocabulary):,} words\n  stoi = {{{stoi_shown}, ...}}")
    numbers = " ".join(f"{x:.4f}" for x in vectors[index][:FIRST])
    print(f"  vectors[{index}] ({word!r}) = [{numbers} ...], dimension {vectors.shape[1]}")
    print(f"first batch of {examples.order().steps(0):,}, {examples.padding():.1%} padding:")
    for name, value in batch.items():
        print(f"  {name} {value.shape}: {value.flatten()[:FIRST].tolist()} ...")
    if written:
        print(written)
    return 0


def _silent(line: str) -> None:
    """Say nothing."""


def _facts(
    data: Data, tokens: tuple[str, ...], vectors: Any, index: int, batch: dict[str, Any]
) -> dict[str, Any]:
    return {
        "reviews": {n: len(p) for n, p in (("train", data.train), ("valid", data.valid), ("test", data.test))},
        "classes": list(data.train.classes),
        "vocabulary": len(tokens),
        "stoi": {token: i for i, token in enumerate(tokens[:FIRST])},
        "word": tokens[index],
        "vector": vectors[index].tolist(),
        "batch": {name: {"shape": list(v.shape), "first": v.flatten()[:FIRST].tolist()} for name, v in batch.items()},
    }  # fmt: skip
