"""The files that word vectors are kept in; nothing is ever unpickled.

Ours are `.npz` and `.safetensors`: the matrix (V, D), the counts (V,) if there are any, and the words as the UTF-8
bytes of a JSON list. The words are an array and not safetensors metadata, whose size is limited to 100 MB and whose
order differs from one process to the next.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.files import whole_file, write_json

FORMATS = ("npz", "safetensors", "word2vec-text", "word2vec-binary", "projector", "numpy")
"""What `write` writes."""

Table = tuple[list[str], NDArray[Any], NDArray[Any] | None]
"""Words, matrix (V, D), counts (V,) or None."""

_FORMAT = "dltasks-vectors-2"
_FIRST_FORMAT = "dltasks-vectors-1"  # its .safetensors have the words in the metadata
_DAMAGE = (
    OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile
)  # fmt: skip


def write(
    path: Path,
    format: str,
    tokens: Sequence[str],
    matrix: NDArray[np.float32],
    counts: NDArray[np.int64] | None,
) -> None:
    """Write vectors in one of `FORMATS`, whole or not at all.

    `projector` makes `path` a folder with the `vectors.tsv` and `metadata.tsv` that the TensorBoard Embedding Projector
    loads, `numpy` one with `vectors.npy`, `token_to_idx.json` and `idx_to_token.json`; every other format is one file.

    Raises
    ------
    UserError
        The format is unknown, cannot hold one of the words, or is not what `read` would take a file of this name for.
    """
    ending = f".{format}"
    if path.suffix != ending and {path.suffix, ending} & {".npz", ".safetensors"}:
        raise UserError(
            f"{path}: a name that ends in .npz or .safetensors is read as that format, and no other name is. "
            f"Give one that goes with {format}, or another format."
        )
    if format == "npz":
        with whole_file(path, "wb") as file:
            arrays: dict[str, Any] = _arrays(tokens, matrix, counts)
            np.savez(file, format=np.array(_FORMAT), **arrays)
    elif format == "safetensors":
        from safetensors.numpy import save

        with whole_file(path, "wb") as file:
            file.write(save(_arrays(tokens, matrix, counts), metadata={"format": _FORMAT}))
    elif format in ("word2vec-text", "word2vec-binary"):
        from shared.text.vectors import write_word2vec

        write_word2vec(path, tokens, matrix, binary=format == "word2vec-binary")
    elif format == "projector":
        _write_projector(path, tokens, matrix, counts)
    elif format == "numpy":
        with whole_file(path / "vectors.npy", "wb") as file:
            np.save(file, matrix)
        write_json(path / "token_to_idx.json", {token: i for i, token in enumerate(tokens)})
        write_json(path / "idx_to_token.json", list(tokens))
    else:
        raise UserError(f"Unknown vector format {format!r}. Expected {', '.join(FORMATS)}.")


def read(path: Path) -> Table:
    """Read `.npz` or `.safetensors` of ours, or GloVe text, word2vec text or binary for any other name.

    Raises
    ------
    UserError
        There is no such file, it is damaged, or holds something else.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such file. Expected a run folder, or vectors as .npz, .safetensors, GloVe text, "
            "or in word2vec's text or binary format."
        )
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    from shared.text.vectors import read_vectors

    return *read_vectors(path), None


def _arrays(
    tokens: Sequence[str], matrix: NDArray[Any], counts: NDArray[Any] | None
) -> dict[str, NDArray[Any]]:
    # JSON as bytes, not a numpy string array: that pads every word to the longest one.
    text = json.dumps(list(tokens), ensure_ascii=False).encode("utf-8", "surrogatepass")
    arrays = {"tokens": np.frombuffer(text, dtype=np.uint8), "matrix": matrix}
    return arrays if counts is None else {**arrays, "counts": counts}


def _write_projector(
    folder: Path,
    tokens: Sequence[str],
    matrix: NDArray[np.float32],
    counts: NDArray[np.int64] | None,
) -> None:
    for token in tokens:
        if any(mark in token for mark in "\t\r\n"):
            raise UserError(f"The word {token!r} holds a tab or line end, which a TSV cannot.")
    with whole_file(folder / "vectors.tsv") as file:
        for vector in matrix:
            file.write("\t".join(f"{value:.6g}" for value in vector) + "\n")
    with whole_file(folder / "metadata.tsv") as file:
        if counts is None:  # the projector wants a header only from two columns on
            file.writelines(f"{token}\n" for token in tokens)
        else:
            file.write("word\tcount\n")
            file.writelines(f"{t}\t{c}\n" for t, c in zip(tokens, counts, strict=True))


def _read_npz(path: Path) -> Table:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            _refuse_false_headers(file)
            _check_format(path, str(file["format"]) if "format" in file else None)
            return _words(file["tokens"]), file["matrix"], file.get("counts")
    except _DAMAGE as problem:
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


def _read_safetensors(path: Path) -> Table:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata.get("format"))
            names = list(file.keys())
            if "tokens" in names:
                tokens = _words(file.get_tensor("tokens"))
            else:
                tokens = json.loads(metadata["tokens"])
            counts = file.get_tensor("counts") if "counts" in names else None
            return tokens, _mapped(path, "matrix"), counts
    except (*_DAMAGE, SafetensorError) as problem:
        raise UserError(
            f"{path}: damaged .safetensors, {_one_line(problem)}. Save again."
        ) from problem


def _mapped(path: Path, name: str) -> NDArray[np.float32]:
    """Return a float32 array of a `.safetensors` that was checked, mapped to memory instead of read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[name]
    if entry["dtype"] != "F32":
        raise ValueError(f"{name} is {entry['dtype']}, expected F32")
    offset, shape = 8 + length + entry["data_offsets"][0], tuple(entry["shape"])
    if 0 in shape:  # nothing to map
        return np.zeros(shape, dtype=np.float32)
    return np.memmap(path, dtype="<f4", mode="r", offset=offset, shape=shape)


def _check_format(path: Path, format: str | None) -> None:
    if format not in (_FORMAT, _FIRST_FORMAT):
        raise UserError(f"{path}: not vectors of ours, {_FORMAT} is expected inside.")


def _words(array: NDArray[np.uint8]) -> list[str]:
    return json.loads(array.tobytes().decode("utf-8", "surrogatepass"))


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__
