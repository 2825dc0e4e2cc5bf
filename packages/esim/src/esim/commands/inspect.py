"""The verb `inspect`: what training would read, without training: counts, ids, the first batch, word vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esim.commands.options import InspectOptions
from esim.config import TrainConfig
from esim.data.dataset import PADDING, Data, batch_of, load_data
from esim.data.labels import LABELS
from esim.data.vectors import load_vectors, resolve
from shared.errors import UserError
from shared.files import whole_folder, write_json
from shared.text.batching import bucketed_batches
from shared.text.vectors import write_word2vec

FIRST_WORDS = 12
SHOWN_NUMBERS = 8


def run(config: TrainConfig, options: InspectOptions) -> int:
    """Print the data as the model gets it, and write the vocabulary and its vectors if asked to."""
    config, note = resolve(config)
    data = load_data(config)
    vectors = load_vectors(config, data)
    word = options.word if options.word is not None else data.vocabulary.tokens[2]
    if word not in data.vocabulary:
        raise UserError(
            f"--word {word}: is not in the vocabulary of {len(data.vocabulary):,} words."
        )
    if options.out is not None:
        _export(Path(options.out), data, vectors.matrix)
    if options.json:
        print(json.dumps(_as_dict(config, data, word, vectors.matrix, vectors.source)))
        return 0
    for name, pairs in data.splits.items():
        counts = ", ".join(f"{label} {pairs.facts()[label]:,}" for label in LABELS)
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
    print(f"vectors: {note or vectors.source}")
    if vectors.matrix is not None:
        row = vectors.matrix[data.vocabulary.id(word)]
        numbers = " ".join(f"{number:.4f}" for number in row[:SHOWN_NUMBERS])
        print(f"  vectors[stoi[{word!r}]] = [{numbers} ...] ({len(row)} numbers)")
    _print_batch(config, data, options.pairs)
    if options.out is not None:
        print(f"Written to {options.out}: stoi.json, itos.txt{_vectors_name(vectors.matrix)}.")
    return 0


def _print_batch(config: TrainConfig, data: Data, pairs: int) -> None:
    first = bucketed_batches(
        data.splits["train"].lengths,
        batch_size=config.batch_size,
        seed=config.seed,
        epoch=0,
        pool=config.pool,
    )[0]
    batch = batch_of(data.splits["train"], first)
    shapes = {name: tuple(batch[name].shape) for name in ("premises", "hypotheses")}
    padding = np.concatenate([(batch[name] == 1).numpy().ravel() for name in shapes]).mean()
    print(f"first batch: premises {shapes['premises']}, hypotheses {shapes['hypotheses']}; ")
    print(f"  {100 * padding:.1f} % {PADDING} (ids beyond each sentence's length are not read)")
    for number in range(min(pairs, len(first))):
        print(f"  {LABELS[int(batch['labels'][number])]}")
        for name in ("premise", "hypothesis"):
            ids = batch["premises" if name == "premise" else "hypotheses"][number].tolist()
            own = ids[: int(batch[f"{name}_lengths"][number])]
            print(f"    {name:<10} {' '.join(data.vocabulary.tokens[i] for i in own)}")
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


def _export(out: Path, data: Data, matrix: NDArray[np.float32] | None) -> None:
    """Write stoi.json, itos.txt and, where there are vectors, vectors.txt in word2vec's text format."""
    tokens = data.vocabulary.tokens
    with whole_folder(out) as folder:
        write_json(folder / "stoi.json", {token: number for number, token in enumerate(tokens)})
        (folder / "itos.txt").write_text("".join(f"{token}\n" for token in tokens), "utf-8")
        if matrix is not None:
            write_word2vec(folder / "vectors.txt", tokens, matrix, binary=False)


def _vectors_name(matrix: NDArray[np.float32] | None) -> str:
    return "" if matrix is None else ", vectors.txt (word2vec text)"
