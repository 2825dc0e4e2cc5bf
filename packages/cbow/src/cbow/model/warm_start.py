"""Starting from trained weights instead of random ones: those of a run, or the vectors of a file.

Shapes as in `weights.py`: U (T R, D), V (D, V).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.config import TrainConfig
from cbow.model.subwords import Subwords
from cbow.model.trained import TrainedWeights, load_weights
from cbow.model.vectors import WordVectors
from cbow.model.weights import input_tables, subwords_of
from shared.errors import UserError
from shared.runs.listing import newest_run
from shared.runs.run_directory import start_from
from shared.text.vocabulary import Vocabulary


def check_source(config: TrainConfig) -> Vocabulary | None:
    """Check what `config.init` names before any work begins; return the vocabulary of a run, None of a vector file.

    Raises
    ------
    UserError
        There is nothing of that name, or it has another size.
    """
    assert config.init is not None
    path = Path(config.init)
    if path.is_dir():
        source = load_weights(path)
        _check_sizes(source.config, config)
        return source.vocabulary
    if path.suffix in (".npz", ".safetensors") or not path.is_file():
        _load_vectors(path, config.dimension)
    else:
        from shared.text.vector_files import sniff

        _check_width(path, sniff(str(path), None).dimension, config.dimension)
    return None


def set_trained_weights(
    config: TrainConfig,
    vocabulary: Vocabulary,
    subwords: Subwords | None,
    U: NDArray[Any],
    V: NDArray[Any],
) -> str:
    """Overwrite first weights with those that `config.init` names, where it has them; return a line about it.

    Parameters
    ----------
    config : TrainConfig
        With `init`.
    vocabulary : Vocabulary
    subwords : Subwords or None
        Those of `config`.
    U, V : float arrays (T R, D) and (D, V)
        From `first_weights`; changed in place.

    Raises
    ------
    UserError
        There is nothing of that name, or it has another size.
    """
    assert config.init is not None
    path = Path(config.init)
    if path.is_dir():
        known = _from_run(load_weights(path), config, vocabulary, subwords, U, V)
    else:
        known = _from_vectors(path, config, vocabulary, U)
    source = newest_run(path, "cbow")  # what a folder of runs stands for
    return f"started from {source}: {known:,} of {len(vocabulary):,} words have trained vectors"


def _from_run(
    source: TrainedWeights,
    config: TrainConfig,
    vocabulary: Vocabulary,
    subwords: Subwords | None,
    U: NDArray[Any],
    V: NDArray[Any],
) -> int:
    """Copy the rows of words and n-grams that both have; return the number of words."""
    _check_sizes(source.config, config)
    new, old = _common(vocabulary.tokens, source.vocabulary.tokens)
    their_subwords = subwords_of(source.config, source.vocabulary)
    ngrams = _common(
        () if subwords is None else subwords.ngrams,
        () if their_subwords is None else their_subwords.ngrams,
    )
    tables = input_tables(config)
    own = U.reshape(tables, -1, config.dimension)  # (T, R, D), a view
    trained = source.U.reshape(tables, -1, config.dimension)
    own[:, new] = trained[:, old]
    own[:, ngrams[0] + len(vocabulary)] = trained[:, ngrams[1] + len(source.vocabulary)]
    if "hierarchical" not in (config.objective, source.config.objective):
        V[:, new] = source.V[:, old]  # of hierarchical softmax a column is a node of another tree
    return len(new)


def _from_vectors(path: Path, config: TrainConfig, vocabulary: Vocabulary, U: NDArray[Any]) -> int:
    """Copy the vectors of a file into the words' input rows, of every table; return their number."""
    dimension = config.dimension
    own = U.reshape(input_tables(config), -1, dimension)  # (T, R, D), a view
    if path.suffix in (".npz", ".safetensors"):
        vectors = _load_vectors(path, dimension)
        new, old = _common(vocabulary.tokens, vectors.tokens)
        own[:, new] = vectors.matrix[old]
        return len(new)
    from shared.text.vectors import load_pretrained

    matrix, coverage = load_pretrained(
        path, vocabulary, dimension=dimension, seed=config.seed, pad=""
    )
    own[:, : len(vocabulary)] = matrix  # words that the file lacks: drawn with its deviation
    return coverage.exact + coverage.lowercased


def _load_vectors(path: Path, dimension: int) -> WordVectors:
    vectors = WordVectors.load(path)
    _check_width(path, vectors.matrix.shape[1], dimension)
    return vectors


def _check_width(path: Path, width: int, dimension: int) -> None:
    if width != dimension:
        raise UserError(
            f"--init {path}: vectors of {width} numbers, but --dimension is {dimension}. Give the same."
        )


def _check_sizes(theirs: TrainConfig, ours: TrainConfig) -> None:
    for name, their_size, our_size in (
        ("--dimension", theirs.dimension, ours.dimension),
        ("input tables (--positions, --window):", input_tables(theirs), input_tables(ours)),
    ):
        if their_size != our_size:
            raise UserError(
                f"--init {ours.init}: was trained with {name} {their_size}, now it is {our_size}. "
                f"Take its settings: {start_from(str(ours.init))}."
            )


def _common(new: Any, old: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices, in each of two sequences, of the names that both have."""
    ids = {name: number for number, name in enumerate(old)}
    pairs = [(number, ids[name]) for number, name in enumerate(new) if name in ids]
    indices = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return indices[:, 0], indices[:, 1]
