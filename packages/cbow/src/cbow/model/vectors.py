"""Word vectors with their vocabulary: cosine, neighbors, analogies, and the files they live in.

Shapes: V words, D vector size, Q query words. Everything is float32 and nothing is ever unpickled.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.files import whole_file

Floats = NDArray[np.float32]

FORMATS = ("npz", "safetensors", "word2vec-text", "word2vec-binary", "projector")
"""What `WordVectors.export` writes."""

_FORMAT_NAME = "dltasks-vectors-1"
_SPELLING_WORDS = 50_000
# Looking for near spellings takes a second or so for this many words; the rest are rarer anyway.


class WordVectors:
    """A vector for each word of a vocabulary.

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
        self.counts = None if counts is None else np.asarray(counts, dtype=np.int64)
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.tokens):
            raise ValueError(f"{len(self.tokens)} words, but a matrix of shape {self.matrix.shape}")
        if self.counts is not None and self.counts.shape != (len(self.tokens),):
            raise ValueError(f"{len(self.tokens)} words, but counts of shape {self.counts.shape}")
        self._ids = {token: row for row, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            raise ValueError("a word has two rows")
        if not np.isfinite(self.matrix).all():
            row = int(np.flatnonzero(~np.isfinite(self.matrix).all(axis=1))[0])
            raise ValueError(f"the vector of {self.tokens[row]!r} is not finite")

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> Floats:
        return cast(Floats, self.matrix[self.row(token)])

    @cached_property
    def unit(self) -> Floats:
        """Rows of length 1, float32 (V, D). A row of zeros stays zero: its cosine with all is 0."""
        return unit_rows(self.matrix)

    def row(self, token: str) -> int:
        """Return the row of a word.

        Raises
        ------
        UserError
            The word has no vector. The message names words spelled alike.
        """
        row = self._ids.get(token)
        if row is not None:
            return row
        message = f"No vector for {token!r} among {len(self)} words."
        if token != token.lower() and token.lower() in self._ids:
            raise UserError(f"{message} Did you mean {token.lower()!r}?")
        near = difflib.get_close_matches(token.lower(), self.tokens[:_SPELLING_WORDS], n=3)
        if near:
            raise UserError(f"{message} Did you mean {' or '.join(map(repr, near))}?")
        raise UserError(f"{message} No word is spelled like it; choose one of the corpus.")

    def similarity(self, a: str, b: str) -> float:
        """Cosine of two words, -1 to 1."""
        cosine = float(self.unit[self.row(a)] @ self.unit[self.row(b)])
        return min(1.0, max(-1.0, cosine))  # rounding may step over the ends

    def most_similar_tokens(self, token: str, n: int = 10) -> list[tuple[str, float]]:
        """Return the `n` words nearest to a word by cosine, itself first (it counts).

        Equal cosines come in vocabulary order.
        """
        row = self.row(token)
        cosines = self.unit @ self.unit[row]
        order = np.lexsort((np.arange(len(self)), -cosines, np.arange(len(self)) != row))
        return [(self.tokens[i], min(1.0, float(cosines[i]))) for i in order[:n]]

    def analogy(
        self, positive: Sequence[str], negative: Sequence[str] = (), n: int = 10
    ) -> list[tuple[str, float]]:
        """Return the `n` words nearest to a sum and difference of words, those left out.

        `analogy(["king", "woman"], ["man"])` answers "man is to king as woman is to ...".

        Parameters
        ----------
        positive, negative : sequences of str
            Words to add and to subtract, each with a vector of length 1.
        n : int
            How many answers.

        References
        ----------
        3CosAdd: Levy & Goldberg 2014, "Linguistic Regularities in Sparse and Explicit Word
        Representations", equation 1.
        """
        if not positive and not negative:
            raise UserError("An analogy needs at least one word to add or to subtract.")
        plus = [self.row(token) for token in positive]
        minus = [self.row(token) for token in negative]
        target = self.unit[plus].sum(axis=0) - self.unit[minus].sum(axis=0)  # (D,)
        length = float(np.linalg.norm(target))
        cosines = self.unit @ (target / (length if length > 0 else 1.0))  # (V,)
        asked = set(plus + minus)
        order = np.argsort(-cosines, kind="stable")[: n + len(asked)]
        answers = [int(i) for i in order if int(i) not in asked][:n]
        return [(self.tokens[i], min(1.0, float(cosines[i]))) for i in answers]

    def save(self, path: Path | str) -> None:
        """Write `.npz` or `.safetensors`, vocabulary and counts inside."""
        path = Path(path)
        if path.suffix not in (".npz", ".safetensors"):
            raise UserError(
                f"{path}: vectors are saved as .npz or .safetensors. For other formats use export."
            )
        self.export(path, path.suffix[1:])

    def export(self, path: Path | str, format: str) -> None:
        """Write the vectors in one of `FORMATS`.

        `projector` makes `path` a folder with the `vectors.tsv` and `metadata.tsv` that the
        TensorBoard Embedding Projector loads; every other format is one file.
        """
        path = Path(path)
        if format == "npz":
            with whole_file(path, "wb") as file:
                self._write_npz(file)
        elif format == "safetensors":
            with whole_file(path, "wb") as file:
                file.write(self._safetensors_bytes())
        elif format in ("word2vec-text", "word2vec-binary"):
            from shared.text.vectors import write_word2vec

            write_word2vec(path, self.tokens, self.matrix, binary=format == "word2vec-binary")
        elif format == "projector":
            self._write_projector(path)
        else:
            raise UserError(f"Unknown vector format {format!r}. Expected {', '.join(FORMATS)}.")

    @classmethod
    def load(cls, path: Path | str) -> WordVectors:
        """Read `.npz` or `.safetensors` of ours, or word2vec text or binary for any other name."""
        path = Path(path)
        if not path.is_file():
            raise UserError(
                f"{path}: no such file. Expected vectors as .npz, .safetensors, "
                "or in word2vec's text or binary format."
            )
        counts = None
        if path.suffix == ".npz":
            tokens, matrix, counts = _read_npz(path)
        elif path.suffix == ".safetensors":
            tokens, matrix, counts = _read_safetensors(path)
        else:
            from shared.text.vectors import read_word2vec

            tokens, matrix = read_word2vec(path)
        try:
            return cls(tokens, matrix, counts)
        except ValueError as problem:
            raise UserError(f"{path}: damaged, {problem}. Write or fetch it again.") from problem

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {"matrix": self.matrix}
        return arrays if self.counts is None else {**arrays, "counts": self.counts}

    def _write_npz(self, file: IO[bytes]) -> None:
        # JSON as bytes, not a numpy string array: that pads every word to the longest one.
        tokens = np.frombuffer(json.dumps(self.tokens).encode(), dtype=np.uint8)
        np.savez(file, format=np.array(_FORMAT_NAME), tokens=tokens, **self._arrays())  # type: ignore[arg-type]

    def _safetensors_bytes(self) -> bytes:
        try:
            from safetensors.numpy import save
        except ImportError as problem:
            raise UserError(_NO_SAFETENSORS) from problem
        metadata = {"format": _FORMAT_NAME, "tokens": json.dumps(self.tokens)}
        return save(self._arrays(), metadata=metadata)

    def _write_projector(self, folder: Path) -> None:
        for token in self.tokens:
            if any(mark in token for mark in "\t\r\n"):
                raise UserError(f"The word {token!r} holds a tab or line end, which a TSV cannot.")
        with whole_file(folder / "vectors.tsv") as file:
            for vector in self.matrix:
                file.write("\t".join(f"{value:.6g}" for value in vector) + "\n")
        with whole_file(folder / "metadata.tsv") as file:
            if self.counts is None:  # the projector wants a header only from two columns on
                file.writelines(f"{token}\n" for token in self.tokens)
            else:
                file.write("word\tcount\n")
                rows = zip(self.tokens, self.counts, strict=True)
                file.writelines(f"{token}\t{count}\n" for token, count in rows)


def unit_rows(matrix: NDArray[Any]) -> Floats:
    """Scale each row to length 1, float32 (V, D). A row of zeros stays zero."""
    # The largest entry is divided out first: squares of huge or tiny entries leave float32.
    largest = np.abs(matrix).max(axis=1, keepdims=True, initial=0)
    rows = matrix / np.where(largest == 0, 1, largest)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return cast(Floats, (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32))


def centered(matrix: NDArray[Any]) -> NDArray[Any]:
    """Take the mean row out of every row: what all words share tells none apart."""
    return cast(NDArray[Any], matrix - matrix.mean(axis=0, keepdims=True))


def joined(parts: Sequence[NDArray[Any]], weights: Sequence[float]) -> Floats:
    """Put several tables of the same words side by side, each centered, with rows of one length.

    Where no part has a row of zeros, the cosine of two joined rows is the mean of the parts'
    cosines, weighted by the squares of `weights`.

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
    scaled = [w * unit_rows(centered(part)) for part, w in zip(parts, weights, strict=True)]
    return np.concatenate(scaled, axis=1).astype(np.float32, copy=False)


_NO_SAFETENSORS = "Reading or writing .safetensors needs safetensors: pip install safetensors."


def _read_npz(path: Path) -> tuple[list[str], NDArray[Any], NDArray[Any] | None]:
    import zipfile

    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            _refuse_false_headers(file)
            if "format" not in file or str(file["format"]) != _FORMAT_NAME:
                raise UserError(f"{path}: not vectors of ours, {_FORMAT_NAME} is expected inside.")
            tokens = json.loads(file["tokens"].tobytes())
            return tokens, file["matrix"], file.get("counts")
    except (
        OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile
    ) as problem:  # fmt: skip
        raise UserError(f"{path}: damaged .npz, {_one_line(problem)}. Save again.") from problem


def _refuse_false_headers(file: Any) -> None:
    """Raise ValueError if an array of an `.npz` claims more numbers than it holds, before memory is taken for them."""
    from numpy.lib import format as npy

    for info in file.zip.infolist():
        with file.zip.open(info) as member:
            read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            shape, _, dtype = read_header[npy.read_magic(member)](member)
            if math.prod(shape) * dtype.itemsize > info.file_size:
                raise ValueError(f"{info.filename} claims {shape} numbers, more than it holds")


def _read_safetensors(path: Path) -> tuple[list[str], NDArray[Any], NDArray[Any] | None]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as problem:
        raise UserError(_NO_SAFETENSORS) from problem
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT_NAME:
                raise UserError(f"{path}: not vectors of ours, {_FORMAT_NAME} is expected inside.")
            names = list(file.keys())
            tokens = json.loads(metadata["tokens"])
            counts = file.get_tensor("counts") if "counts" in names else None
            return tokens, file.get_tensor("matrix"), counts
    except (OSError, ValueError, KeyError, SafetensorError) as problem:
        raise UserError(
            f"{path}: damaged .safetensors, {_one_line(problem)}. Save again."
        ) from problem


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__
