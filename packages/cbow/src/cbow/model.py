"""A CBOW model in memory, with the assignment's names; and what training starts from and ends with.

Shapes: V vocabulary size, D embedding size. `U` (V, D) holds a row per input word, `V` (D, V) a column per output word.

    >>> from cbow import CBOW, Vocabulary
    >>> lines = [["i", "want", "to", "go"], ["he", "want", "to", "go"]]
    >>> model = CBOW(Vocabulary.build(word for line in lines for word in line), dimension=8, seed=42)
    >>> losses = model.train(lines, window=3, learning_rate=1.0, epochs=10)
    >>> model.most_similar_tokens("i", 3)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.config import TrainConfig
from cbow.vectors import WordVectors
from shared.errors import UserError
from shared.vocabulary import Vocabulary

Floats = NDArray[np.floating[Any]]


def initial_weights(
    size: int, dimension: int, seed: int, kind: str = "uniform"
) -> tuple[Floats, Floats]:
    """Draw the first U (V, D) and V (D, V), float64.

    Parameters
    ----------
    size, dimension : int
        V and D.
    seed : int
        Of numpy's legacy generator, which gives the numbers that the assignment's `np.random.seed` gave.
    kind : {"uniform", "word2vec"}
        uniform: all from -1 to 1, U drawn first; word2vec: U from -0.5/D to 0.5/D, V zeros.
    """
    random = np.random.RandomState(seed)
    if kind == "word2vec":
        half = 0.5 / dimension
        return random.uniform(-half, half, (size, dimension)), np.zeros((dimension, size))
    U = random.uniform(-1, 1, (size, dimension))
    return U, random.uniform(-1, 1, (dimension, size))


def final_vectors(config: TrainConfig, vocabulary: Vocabulary, U: Floats, V: Floats) -> WordVectors:
    """Make each word's vector out of the trained weights, as `vectors` and `remove_components` say."""
    rows = U + V.T if config.vectors == "input+output" else U
    if config.remove_components:
        rows = without_components(rows, config.remove_components)
    return WordVectors(vocabulary.tokens, rows, vocabulary.counts)


def without_components(rows: Floats, count: int) -> Floats:
    """Take the mean and the first principal components out of vectors (V, D): "all but the top".

    Parameters
    ----------
    rows : float array (V, D)
    count : int
        Components taken out, 0 to D; with 0 only the mean.

    References
    ----------
    Mu and Viswanath 2018, arXiv 1702.01417.
    """
    centered = rows - rows.mean(axis=0)
    _, _, directions = np.linalg.svd(centered, full_matrices=False)  # (min(V, D), D)
    top = directions[:count]
    return centered - centered @ top.T @ top


class CBOW:
    """CBOW with the full softmax, trained as in the assignment: one sample after the other.

    Parameters
    ----------
    vocabulary : Vocabulary
    dimension : int
        Size of a word vector, >= 1.
    seed : int
        Of the first weights.

    Attributes
    ----------
    U, V : float32 arrays (V, D) and (D, V)
        The weights.
    """

    def __init__(self, vocabulary: Vocabulary, dimension: int, seed: int = 42) -> None:
        self.vocabulary = vocabulary
        U, V = initial_weights(len(vocabulary), dimension, seed)
        self.U, self.V = U.astype(np.float32), V.astype(np.float32)

    def train(
        self, lines: Sequence[Sequence[str]], *, window: int, learning_rate: float, epochs: int = 1
    ) -> list[float]:
        """Train on lines of tokens; windows do not cross lines.

        Returns
        -------
        list of float
            Mean cross entropy per sample (nats) of each epoch.

        Raises
        ------
        UserError
            No line has two tokens, or the loss is no longer finite.
        """
        from cbow.kernels import LOSS, SAMPLES, Engine

        ids = [i for line in lines for i in (*self.vocabulary.ids(line), -1)]
        block = np.array(ids, dtype=np.int32)
        engine = Engine(self.vocabulary.counts, self.U, self.V, window=window)
        losses = []
        for epoch in range(epochs):
            stats = engine.new_stats()
            outcome = engine.run(block, engine.new_control(block), stats, learning_rate)
            if outcome == "diverged":
                raise UserError(
                    f"The loss is no longer a finite number (epoch {epoch + 1}). Lower the learning rate."
                )
            if stats[0, SAMPLES] == 0:
                raise UserError("No line has two tokens. Expected sentences.")
            losses.append(float(stats[0, LOSS] / stats[0, SAMPLES]))
            self.U, self.V = engine.weights()
        return losses

    @property
    def vectors(self) -> WordVectors:
        """The input rows with their words."""
        return WordVectors(self.vocabulary.tokens, self.U, self.vocabulary.counts)

    def similarity(self, first: str, second: str) -> float:
        """Return the cosine of two words, -1 to 1."""
        return self.vectors.similarity(first, second)

    def most_similar_tokens(self, token: str, n: int) -> list[tuple[str, float]]:
        """Return the `n` words nearest to a word, the word itself counted and first."""
        return self.vectors.most_similar_tokens(token, n)

    def save(self, folder: str | Path) -> None:
        """Write `vocab.txt` and `weights.npz` into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.vocabulary.save(folder / "vocab.txt")
        np.savez(folder / "weights.npz", U=self.U, V=self.V)

    @classmethod
    def load(cls, folder: str | Path) -> CBOW:
        """Read what `save` wrote."""
        folder = Path(folder)
        vocabulary = Vocabulary.load(folder / "vocab.txt")
        with np.load(folder / "weights.npz", allow_pickle=False) as weights:
            model = cls(vocabulary, dimension=weights["U"].shape[1])
            model.U, model.V = weights["U"], weights["V"]
        return model
