"""The verb `inspect`: what training would read, without training: counts, ids, the first batch, word vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esim.commands.options import InspectOptions
from esim.config import TrainConfig
from esim.data.dataset import PADDING, UNKNOWN, Data, batch_of, load_data
from esim.data.vectors import load_vectors, resolve
from shared.text.batching import bucketed_batches
from shared.text.inspection import word_to_show, write_vocabulary

FIRST_WORDS = 12
SHOWN_NUMBERS = 8


def run(config: TrainConfig, options: InspectOptions) -> int:
    """Print the data as the model gets it, and write the vocabulary and its vectors if asked to."""
    config, note = resolve(config)
    data = load_data(config)
    vectors = load_vectors(config, data)
    word = word_to_show(data.vocabulary, options.word, specials=2)
    out, tokens = options.out, data.vocabulary.tokens
    written = write_vocabulary(Path(out), tokens, vectors.matrix) if out else None
    if options.json:
        print(json.dumps(_as_dict(config, data, word, vectors.matrix, vectors.source)))
        return 0
    for name, pairs in data.splits.items():
        counts = pairs.by_label(config.label_names)
        lengths = pairs.lengths
        print(f"{name}: {len(pairs):,} pairs ({counts}); {pairs.left_out() or 'none left out'}")
        print(
            f"  words: premise mean {lengths[:, 0].mean():.1f}, longest {lengths[:, 0].max()}; "
            f"hypothesis mean {lengths[:, 1].mean():.1f}, longest {lengths[:, 1].max()}"
        )
    print(f"vocabulary: {len(data.vocabulary):,} words")
    stoi = ", ".join(f"{w!r}: {i}" for i, w in enumerate(data.vocabulary.tokens[:FIRST_WORDS]))
    print(f"  stoi = {{{stoi}, ...}}")
    print(f"  itos[{data.vocabulary.id(word)}] = {word!r}")
    if note:
        print(note)
    print(f"vectors: {vectors.source}")
    if vectors.matrix is not None:
        row = vectors.matrix[data.vocabulary.id(word)]
        numbers = " ".join(f"{number:.4f}" for number in row[:SHOWN_NUMBERS])
        print(f"  vectors[stoi[{word!r}]] = [{numbers} ...] ({len(row)} numbers)")
    _print_batch(config, data, options.pairs)
    if written:
        print(written)
    return 0


def _print_batch(config: TrainConfig, data: Data, pairs: int) -> None:
    first = bucketed_batches(
        data.splits["train"].lengths,
        batch_size=config.batch_size,
        seed=config.seed,
        epoch=0,
        pool=config.pool,
    )[0]
    batch, tokens = batch_of(data.splits["train"], first), data.vocabulary.tokens
    shapes = {name: tuple(batch[name].shape) for name in ("premises", "hypotheses")}
    padding = np.concatenate([(batch[name] == 1).numpy().ravel() for name in shapes]).mean()
    print(f"first batch: premises {shapes['premises']}, hypotheses {shapes['hypotheses']}")
    print(f"  {100 * padding:.1f} % {PADDING} (ids beyond each sentence's length are not read)")
    for number in range(min(pairs, len(first))):
        print(f"  {config.label_names[int(batch['labels'][number])]}")
        for name in ("premise", "hypothesis"):
            ids = batch["premises" if name == "premise" else "hypotheses"][number].tolist()
            own = ids[: int(batch[f"{name}_lengths"][number])]
            # With stem back-off, unknown words have ids of their own, above those of the vocabulary.
            shown = (tokens[i] if i < len(tokens) else UNKNOWN for i in own)
            print(f"    {name:<10} {' '.join(shown)}")
            print(f"    {'':<10} {ids}")


def _as_dict(
    config: TrainConfig, data: Data, word: str, matrix: NDArray[np.float32] | None, source: str
) -> dict[str, Any]:
    index = data.vocabulary.id(word)
    return {
        **data.facts(),
        "tokenizer": config.tokenizer,
        "word": word,
        "id": index,
        "vectors": source,
        "vector": None if matrix is None else [float(value) for value in matrix[index]],
    }
