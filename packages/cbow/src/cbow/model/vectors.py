"""Word vectors with their vocabulary: cosine, neighbors, analogies.

Shapes: V words, D vector size. Everything is float32. `vector_formats.py` has the files they are kept in.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cbow.model import vector_formats
from shared.errors import UserError

Floats = NDArray[np.float32]
Answers = list[tuple[str, float]]
"""Words with their cosines, the highest first."""

_SPELLING_WORDS = 50_000
# Looking for near spellings takes a second or so for this many words; the rest are rarer anyway.
_CACHED_BYTES = 64 << 20  # of vectors, of which a scaled copy is kept for neighbors
_BLOCK_BYTES = 8 << 20


class UnknownWord(UserError, KeyError):
    """A word without a vector, which gensim's users catch as a `KeyError`."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class WordVectors:
    """A vector for each word of a vocabulary.

    `vectors["film"]` is a row, `"film" in vectors` and `len(vectors)` speak of words, iteration gives the words.

    Parameters
    ----------
    tokens : sequence of str, length V
        Each once, in the order of the rows; by falling frequency where that is known.
    matrix : float array (V, D)
        One row per word, all finite. Kept as float32.
    counts : int array (V,), optional
        How often each word occurred in training. Only recall by frequency band needs it.

    Raises
    ------
    ValueError
        The shapes do not agree, a word is there twice, or a number is not finite.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        matrix: NDArray[Any],
        counts: NDArray[Any] | Sequence[int] | None = None,
    ) -> None:
        self.tokens = list(tokens)
        self.matrix: Floats = np.ascontiguousarray(matrix, dtype=np.float32)
        self.counts = None if counts is None else np.ascontiguousarray(counts, dtype=np.int64)
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.tokens):
            raise ValueError(f"{len(self.tokens)} words, but a matrix of shape {self.matrix.shape}")
        if self.counts is not None and self.counts.shape != (len(self.tokens),):
            raise ValueError(f"{len(self.tokens)} words, but counts of shape {self.counts.shape}")
        self._ids = {token: row for row, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            raise ValueError("a word has two rows")
        for start, block in _blocks(self.matrix):
            if not np.isfinite(block).all():
                row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
                raise ValueError(f"the vector of {self.tokens[row]!r} is not finite")

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> Floats:
        return cast(Floats, self.matrix[self.row(token)])

    def __repr__(self) -> str:
        first = ", ".join(map(repr, self.tokens[:3]))
        more = ", ..." if len(self) > 3 else ""
        return f"WordVectors({len(self)} words of {self.matrix.shape[1]} numbers: {first}{more})"

    @cached_property
    def unit(self) -> Floats:
        """Rows of length 1, float32 (V, D). A row of zeros stays zero: its cosine with all is 0."""
        return unit_rows(self.matrix)

    @cached_property
    def _rows_by_casefold(self) -> dict[str, int]:
        """The first row, so the most frequent word, of each spelling without regard to case."""
        rows: dict[str, int] = {}
        for row, token in enumerate(self.tokens):
            rows.setdefault(token.casefold(), row)
        return rows

    @cached_property
    def case_groups(self) -> NDArray[np.int64]:
        """For each row, the first row that differs from it in case only, int64 (V,)."""
        rows = self._rows_by_casefold
        return np.array([rows[token.casefold()] for token in self.tokens], dtype=np.int64)

    def row(self, token: str) -> int:
        """Return the row of a word.

        Raises
        ------
        UnknownWord
            The word has no vector. The message names words spelled alike.
        """
        row = self._ids.get(token)
        if row is not None:
            return row
        message = f"No vector for {token!r} among {len(self)} words."
        other_case = self._rows_by_casefold.get(token.casefold())
        if other_case is not None:
            raise UnknownWord(f"{message} Did you mean {self.tokens[other_case]!r}?")
        near = difflib.get_close_matches(token.lower(), self.tokens[:_SPELLING_WORDS], n=3)
        if near:
            raise UnknownWord(f"{message} Did you mean {' or '.join(map(repr, near))}?")
        raise UnknownWord(f"{message} No word is spelled like it; choose one of the corpus.")

    def find(self, token: str) -> int | None:
        """Return the row of a word as written, else of the most frequent one that differs in case only, else None."""
        row = self._ids.get(token)
        return self._rows_by_casefold.get(token.casefold()) if row is None else row

    def similarity(self, a: str, b: str) -> float:
        """Cosine of two words, -1 to 1."""
        first, second = self._unit_rows([self.row(a), self.row(b)])
        return min(1.0, max(-1.0, float(first @ second)))  # rounding may step over the ends

    def most_similar(
        self,
        positive: str | Sequence[str] = (),
        negative: str | Sequence[str] = (),
        topn: int = 10,
    ) -> Answers:
        """Return the words nearest by cosine to a sum and difference of words, with gensim's conventions.

        The words asked with are left out. `most_similar("film")` lists neighbors;
        `most_similar(["king", "woman"], ["man"])` answers "man is to king as woman is to ...".

        Parameters
        ----------
        positive, negative : str or sequence of str
            Words to add and to subtract, each with its vector scaled to length 1.
        topn : int
            How many answers.

        Raises
        ------
        UserError
            No word is given, or one has no vector.

        References
        ----------
        3CosAdd: Levy & Goldberg 2014, "Linguistic Regularities in Sparse and Explicit Word
        Representations", equation 1.
        """
        plus = [self.row(token) for token in _as_words(positive)]
        minus = [self.row(token) for token in _as_words(negative)]
        if not plus and not minus:
            raise UserError("Give at least one word to add or to subtract.")
        target = self._unit_rows(plus).sum(axis=0) - self._unit_rows(minus).sum(axis=0)  # (D,)
        length = float(np.linalg.norm(target))
        cosines = self._cosines(target / (length if length > 0 else 1.0))  # (V,)
        asked = set(plus + minus)
        order = np.argsort(-cosines, kind="stable")[: topn + len(asked)]
        rows = [int(row) for row in order if int(row) not in asked][:topn]
        return [(self.tokens[row], min(1.0, float(cosines[row]))) for row in rows]

    def neighbors(self, token: str, n: int = 10) -> Answers:
        """Return the `n` words nearest to a word by cosine, the word itself left out."""
        return self.most_similar(token, topn=n)

    def analogy(self, a: str, b: str, c: str, n: int = 5) -> Answers:
        """Answer "a is to b as c is to ?": the words nearest to b - a + c, those three left out."""
        return self.most_similar([b, c], [a], n)

    def most_similar_tokens(self, token: str, n: int = 10) -> Answers:
        """Return the `n` words nearest to a word by cosine, the word itself counted as the first, as in the assignment.

        Equal cosines come in vocabulary order.
        """
        row = self.row(token)
        cosines = self._cosines(self._unit_rows([row])[0])
        order = np.lexsort((np.arange(len(self)), -cosines, np.arange(len(self)) != row))
        return [(self.tokens[i], min(1.0, float(cosines[i]))) for i in order[:n]]

    def _unit_rows(self, rows: Sequence[int]) -> Floats:
        return unit_rows(self.matrix[list(rows)])

    def _cosines(self, target: Floats) -> Floats:
        """Return the cosines (V,) of all words with a vector (D,) of length 1.

        A large matrix, which may be a memory-mapped file, is scaled block by block.
        """
        if self.matrix.nbytes <= _CACHED_BYTES:
            return cast(Floats, self.unit @ target)
        parts = [unit_rows(block) @ target for _, block in _blocks(self.matrix)]
        return cast(Floats, np.concatenate(parts))

    def save(self, path: Path | str) -> None:
        """Write `.npz` or `.safetensors`, vocabulary and counts inside."""
        path = Path(path)
        if path.suffix not in (".npz", ".safetensors"):
            raise UserError(
                f"{path}: vectors are saved as .npz or .safetensors. For other formats use export."
            )
        self.export(path, path.suffix[1:])

    def export(self, path: Path | str, format: str) -> None:
        """Write the vectors in one of `vector_formats.FORMATS`."""
        vector_formats.write(Path(path), format, self.tokens, self.matrix, self.counts)

    @classmethod
    def load(cls, path: Path | str) -> WordVectors:
        """Read `.npz` or `.safetensors` of ours, or GloVe text, word2vec text or binary for any other name."""
        path = Path(path)
        tokens, matrix, counts = vector_formats.read(path)
        try:
            return cls(tokens, matrix, counts)
        except ValueError as problem:
            raise UserError(f"{path}: damaged, {problem}. Write or fetch it again.") from problem


def _blocks(matrix: Floats) -> Iterator[tuple[int, Floats]]:
    """Yield (first row, rows) of a few megabytes each."""
    rows = max(1, _BLOCK_BYTES // (4 * max(1, matrix.shape[1])))
    for start in range(0, len(matrix), rows):
        yield start, matrix[start : start + rows]


def unit_rows(matrix: NDArray[Any]) -> Floats:
    """Scale each row to length 1, float32 (V, D). A row of zeros stays zero."""
    # The largest entry is divided out first: squares of huge or tiny entries leave float32.
    largest = np.abs(matrix).max(axis=1, keepdims=True, initial=0)
    rows = matrix / np.where(largest == 0, 1, largest)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return cast(Floats, (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32))


def joined(parts: Sequence[NDArray[Any]], weights: Sequence[float]) -> Floats:
    """Put several tables of the same words side by side, each centered, with rows of one length.

    Where no part has a row of zeros, the cosine of two joined rows is the mean of the parts' cosines, weighted by the
    squares of `weights`.

    Parameters
    ----------
    parts : sequence of float arrays (V, D_i)
        Such as the input and the output vectors of one model.
    weights : sequence of float
        The length of each part's rows.

    Returns
    -------
    float32 array (V, sum of D_i)
    """
    # Without the mean row: what all words have in common tells none apart.
    scaled = [
        w * unit_rows(part - part.mean(axis=0, keepdims=True))
        for part, w in zip(parts, weights, strict=True)
    ]
    return np.concatenate(scaled, axis=1).astype(np.float32, copy=False)


def _as_words(words: str | Sequence[str]) -> Sequence[str]:
    return (words,) if isinstance(words, str) else words
