"""CBOW by itself: words, two matrices, and the training of the assignment, for a notebook.

`reference.py` has the equations, `kernels/` the compiled engine that `train` uses.

    >>> from cbow import CBOW, Vocabulary
    >>> lines = [["i", "want", "to", "go"], ["he", "want", "to", "go"]]
    >>> model = CBOW(Vocabulary.build(word for line in lines for word in line), dimension=8, seed=42)
    >>> losses = model.train(lines, window=3, learning_rate=1.0, epochs=10)
    >>> model.most_similar_tokens("i", 3)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cbow.model import reference
from cbow.model.vectors import Answers, WordVectors
from cbow.model.weights import initial_weights
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary


class CBOW:
    """The continuous bag of words with the full softmax: the mean of the context predicts the word.

    Parameters
    ----------
    vocabulary : Vocabulary
    dimension : int
        Size of a word vector, >= 1.
    seed : int
        Seed of the initial weights.

    Attributes
    ----------
    U : float32 array (V, D)
        A row per input word.
    V : float32 array (D, V)
        A column per output word.

    References
    ----------
    Mikolov et al. 2013, arXiv 1301.3781; Rong 2014, arXiv 1411.2738, equations 17 to 23.
    """

    def __init__(self, vocabulary: Vocabulary, dimension: int, seed: int = 42) -> None:
        self.vocabulary = vocabulary
        U, V = initial_weights(len(vocabulary), dimension, seed)
        self.U, self.V = U.astype(np.float32), V.astype(np.float32)

    def __repr__(self) -> str:
        return f"CBOW({len(self.vocabulary)} words, dimension {self.U.shape[1]})"

    def train_one_step(self, context: Sequence[str], target: str, learning_rate: float) -> float:
        """Take one step of SGD on one sample in plain numpy; return the loss before it (nats).

        Parameters
        ----------
        context : sequence of str
            The words around the target, one or more.
        target : str
        learning_rate : float

        Raises
        ------
        UserError
            The context is empty, or is a text instead of its words.
        """
        ids = self._ids(context)
        if not len(ids):
            raise UserError("The context is empty. Expected one word or more.")
        return reference.step(self.U, self.V, ids, self.vocabulary.id(target), learning_rate)

    def train(
        self, lines: Sequence[Sequence[str]], *, window: int, learning_rate: float, epochs: int = 1
    ) -> list[float]:
        """Train on lines of tokens, one sample after the other; windows do not cross lines.

        Returns
        -------
        list of float
            Mean cross entropy per sample (nats) of each epoch.

        Raises
        ------
        UserError
            No line has two tokens, a line is a text instead of its words, or the loss is no longer finite.
        """
        from cbow.kernels import LOSS, SAMPLES, Engine  # Numba takes a second to import

        ids = [i for line in lines for i in (*self._ids(line), -1)]
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

    def most_similar_tokens(self, token: str, n: int) -> Answers:
        """Return the `n` words nearest to a word, the word itself counted and first."""
        return self.vectors.most_similar_tokens(token, n)

    def _ids(self, words: Sequence[str]) -> NDArray[np.int32]:
        if isinstance(words, str):  # its letters would be taken for words
            raise UserError(f"{words!r} is a text. Expected its words, such as {words.split()}.")
        return self.vocabulary.ids(words)

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
