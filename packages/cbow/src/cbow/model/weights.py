"""The weights that training starts from, and the word vectors that it ends with.

Shapes: V vocabulary size, D embedding size. `U` (V, D) holds a row per input word, `V` (D, V) a column per output word.
With positions or n-grams `U` is (T R, D): T tables, one for each position in the window, of R rows, one for each word
and n-gram.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.config import TrainConfig
from cbow.model.subwords import Subwords, find_subwords
from cbow.model.vectors import WordVectors, joined
from shared.text.vocabulary import Vocabulary

Floats = NDArray[np.floating[Any]]


def initial_weights(
    size: int, dimension: int, seed: int, kind: str = "uniform", inputs: int | None = None
) -> tuple[Floats, Floats]:
    """Draw the first U (V, D), or (inputs, D), and V (D, V), float64.

    Parameters
    ----------
    size, dimension : int
        V and D.
    seed : int
        Of numpy's legacy generator, which gives the numbers that the assignment's `np.random.seed` gave.
    kind : {"uniform", "word2vec"}
        uniform: all from -1 to 1, U drawn first; word2vec: U from -0.5/D to 0.5/D, V zeros.
    inputs : int, optional
        Rows of U where they are not one for each word.
    """
    random = np.random.RandomState(seed)
    rows = size if inputs is None else inputs
    if kind == "word2vec":
        half = 0.5 / dimension
        return random.uniform(-half, half, (rows, dimension)), np.zeros((dimension, size))
    U = random.uniform(-1, 1, (rows, dimension))
    return U, random.uniform(-1, 1, (dimension, size))


def first_weights(
    config: TrainConfig, vocabulary: Vocabulary, subwords: Subwords | None
) -> tuple[Floats, Floats]:
    """Draw the first U (T R, D) and V (D, V) of a configuration."""
    size = len(vocabulary)
    inputs = input_tables(config) * (size if subwords is None else subwords.size)
    return initial_weights(size, config.dimension, config.seed, config.initial, inputs)


def input_tables(config: TrainConfig) -> int:
    """Return the number of input tables T: one for each position in the window with positions, else 1."""
    return 2 * config.window if config.positions else 1


def subwords_of(config: TrainConfig, vocabulary: Vocabulary) -> Subwords | None:
    """Return the n-grams that a configuration asks for, or None."""
    if config.subword_max == 0:
        return None
    return find_subwords(
        vocabulary.tokens, config.subword_min, config.subword_max, vocabulary.unknown
    )


def word_inputs(U: Floats, tables: int, subwords: Subwords | None) -> Floats:
    """Sum each word's rows, and concatenate its vectors of all tables.

    Parameters
    ----------
    U : float array (T R, D)
        Row r of table t is U[t R + r].
    tables : int
        T.
    subwords : Subwords or None
        The rows of each word; None: every word has one row, R = V.

    Returns
    -------
    float array (V, T D)
    """
    parts = np.split(U, tables)
    if subwords is not None:
        starts = subwords.offsets[:-1]
        parts = [np.add.reduceat(part[subwords.rows], starts, axis=0) for part in parts]
    return np.concatenate(parts, axis=1)


def final_vectors(
    config: TrainConfig, vocabulary: Vocabulary, subwords: Subwords | None, U: Floats, V: Floats
) -> WordVectors:
    """Return the word vectors made from trained weights U (T R, D) and V (D, V), as the setting `vectors` says."""
    matrix = word_inputs(U, input_tables(config), subwords)
    if config.vectors == "input+output":
        matrix = matrix + V.T
    elif config.vectors == "joined":
        matrix = joined([matrix, V.T], [1.0, config.output_weight])
    return WordVectors(vocabulary.tokens, matrix, vocabulary.counts)


def models_of(config: TrainConfig) -> list[TrainConfig]:
    """Return the settings of the models that a run trains one after the other."""
    first = replace(config, twin=False)
    return [first, replace(first, subword_max=0)] if config.twin else [first]
