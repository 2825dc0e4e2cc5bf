"""The text: found, read piece by piece, and turned into ids with one `<eos>` a line.

A folder holds train.txt, valid.txt and test.txt, as WikiText-2 does; one file is split in that order. The vocabulary
is that of all three, which is the coursework's convention: 33,278 types, so no word of the test text is unknown other
than those the publisher wrote as `<unk>`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.datasets import data_root, describe, fetch_dataset, find_data
from shared.errors import UserError
from shared.tokenizers import tokenizer
from shared.vocabulary import Vocabulary
from word_lm import sample
from word_lm.config import FetchOptions, TrainConfig

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"
DATA_SET = "wikitext-2"
SPLITS = ("train", "valid", "test")
SHARES = {"valid": 0.05, "test": 0.05}
"""Parts of a single file that become valid and test text; they are its end."""
_BYTES = 1 << 20

Tokenize = Callable[[str], list[str]]


@dataclass(frozen=True)
class Text:
    """A data set as ids.

    Parameters
    ----------
    vocabulary : Vocabulary
        `<unk>`, `<eos>`, then words by falling count.
    splits : dict of str to int32 array (N,)
        Ids of train, valid and test.
    is_sample : bool
        It is the made-up one.
    listing : dict
        Name and checksum of the data for `summary.json`.
    """

    vocabulary: Vocabulary
    splits: Mapping[str, NDArray[np.int32]]
    is_sample: bool
    listing: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """Return what `summary.json` says about the data."""
        tokens = {name: len(ids) for name, ids in self.splits.items()}
        known = len(self.vocabulary)
        return {**self.listing, "is_sample": self.is_sample, "tokens": tokens, "vocabulary": known}


def load_text(config: TrainConfig) -> Text:
    """Read the data that a configuration names.

    Raises
    ------
    UserError
        A file is missing, is no UTF-8 text, or holds too little.
    """
    path, is_sample = _find(config.data)
    tokenize = tokenizer(config.tokenizer)
    table = _Provisional()
    if path.is_dir():
        splits = {name: table.ids(path / f"{name}.txt", tokenize) for name in SPLITS}
    else:
        splits = _split(path, table.ids(path, tokenize), table[END_OF_LINE])
    counts = np.bincount(np.concatenate(list(splits.values())), minlength=len(table))
    vocabulary = Vocabulary.from_counts(
        dict(zip(table, counts.tolist(), strict=True)),
        max_size=config.max_vocab_size,
        min_count=config.min_count,
        specials=(UNKNOWN, END_OF_LINE),
    )
    final = vocabulary.ids(table)
    return Text(
        vocabulary,
        {name: final[ids] for name, ids in splits.items()},
        is_sample,
        describe(path).as_dict(),
    )


def encode_split(
    data: str | None, split: str, vocabulary: Vocabulary, tokenizer_name: str = "space"
) -> NDArray[np.int32]:
    """Return one split of a data set, or a whole text file, in the ids of a vocabulary made before.

    Parameters
    ----------
    data : str or None
        Folder with `<split>.txt`, or a text file; None: as for `load_text`.
    split : {"train", "valid", "test"}
        Which file of a folder; a single file is taken whole.
    vocabulary : Vocabulary
        Words outside it become `<unk>`.
    tokenizer_name : str

    Returns
    -------
    int32 array (N,)

    Raises
    ------
    UserError
        As for `load_text`.
    """
    path, _ = _find(data)
    file = path / f"{split}.txt" if path.is_dir() else path
    pieces = [vocabulary.ids(tokens) for tokens in read_tokens(file, tokenizer(tokenizer_name))]
    ids = np.concatenate([np.zeros(0, dtype=np.int32), *pieces])
    require_words(file, ids, vocabulary.id(END_OF_LINE))
    return ids


def encode_words(
    text: str, vocabulary: Vocabulary, tokenizer_name: str = "space"
) -> NDArray[np.int32]:
    """Return a prompt as ids, `<eos>` where a line ends; `<eos>` alone for an empty one."""
    lines = text.split("\n")
    tokenize = tokenizer(tokenizer_name)
    tokens = [token for line in lines for token in [*tokenize(line), END_OF_LINE]][:-1]
    return vocabulary.ids(tokens or [END_OF_LINE])


def read_tokens(path: Path, tokenize: Tokenize) -> Iterator[list[str]]:
    """Yield the tokens of a text file in pieces of about a megabyte, `<eos>` where a line ends.

    A line may have any length: it is cut between words.

    Raises
    ------
    UserError
        The file is missing, holds a NUL byte or is not UTF-8; the line is named.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(
            f"{path}: not found. Expected a folder with train.txt, valid.txt and test.txt, or one text file."
        ) from None
    with file:
        line, rest, last = 1, [], b"\n"  # type: int, list[bytes], bytes
        while chunk := file.read(_BYTES):
            last = chunk[-1:]
            if b"\0" in chunk:
                line += sum(part.count(b"\n") for part in [*rest, chunk[: chunk.index(b"\0")]])
                raise UserError(
                    f"{path}:{line}: holds a NUL byte, so it is no text. Expected UTF-8 text."
                )
            # A word, and with it a character, is never cut: UTF-8 has these two bytes for nothing else.
            cut = max(chunk.rfind(b" "), chunk.rfind(b"\n")) + 1
            if cut == 0:
                rest.append(chunk)
                continue
            piece = b"".join([*rest, chunk[:cut]])
            rest = [chunk[cut:]]
            yield _tokens(_decoded(piece, path, line), tokenize)
            line += piece.count(b"\n")
        piece = b"".join(rest)
        end = [END_OF_LINE] if last != b"\n" else []
        if piece or end:
            yield _tokens(_decoded(piece, path, line), tokenize) + end


def require_words(path: Path, ids: NDArray[np.int32], end_of_line: int) -> None:
    """Refuse a text in which nothing can be predicted.

    Raises
    ------
    UserError
        It has no word, or one only.
    """
    words = int((ids != end_of_line).sum())
    if words < 2:
        found = "is empty" if words == 0 else "holds a single word"
        raise UserError(
            f"{path}:1: the text {found}. Expected at least two words, to predict one from another."
        )


def fetch(options: FetchOptions) -> int:
    """Download WikiText-2 (verb `fetch`)."""
    folder = fetch_dataset(DATA_SET, options.out, quiet=options.quiet)
    print(f"The data is in {folder}. `word-lm train --data {folder} --recipe laptop` trains on it.")
    if folder == data_root() / DATA_SET:
        print("It lies in the default place, so --data may be left out.")
    return 0


class _Provisional(dict[str, int]):
    """Tokens by the order in which they were first met; ids by frequency need all of the text."""

    def __missing__(self, token: str) -> int:
        self[token] = number = len(self)
        return number

    def ids(self, path: Path, tokenize: Tokenize) -> NDArray[np.int32]:
        pieces = [
            np.fromiter((self[token] for token in tokens), dtype=np.int32, count=len(tokens))
            for tokens in read_tokens(path, tokenize)
        ]
        ids = np.concatenate([np.zeros(0, dtype=np.int32), *pieces])
        require_words(path, ids, self[END_OF_LINE])
        return ids


def _find(data: str | None) -> tuple[Path, bool]:
    path = find_data(DATA_SET, data)
    if path is not None:
        return path, False
    # Made anew each time: it is small, and a copy kept somewhere could be stale.
    holder = tempfile.TemporaryDirectory(prefix="word-lm-sample-")
    _SAMPLES.append(holder)
    folder = Path(holder.name) / "sample"
    sample.write(folder)
    return folder, True


_SAMPLES: list[tempfile.TemporaryDirectory] = []  # removed when the process ends


def _split(path: Path, ids: NDArray[np.int32], end_of_line: int) -> dict[str, NDArray[np.int32]]:
    """Cut a text in three, after a line's end where there is one nearby."""
    length = len(ids)
    cuts = [
        int(length * (1 - SHARES["valid"] - SHARES["test"])),
        int(length * (1 - SHARES["test"])),
    ]
    reach = max(1, length // 100)
    for place, cut in enumerate(cuts):
        ends = np.flatnonzero(ids[cut : cut + reach] == end_of_line)
        cuts[place] = cut + int(ends[0]) + 1 if len(ends) else cut
    parts = dict(zip(SPLITS, np.split(ids, cuts), strict=True))
    for name, part in parts.items():
        if len(part) < 2:
            raise UserError(
                f"{path}:1: {length} tokens are too few to split into train, valid and test ({name} would have "
                f"{len(part)}). Expected 40 or more, or a folder with the three files."
            )
    return parts


def _decoded(piece: bytes, path: Path, line: int) -> str:
    try:
        return piece.decode(
            "utf-8-sig" if line == 1 and piece.startswith(b"\xef\xbb\xbf") else "utf-8"
        )
    except UnicodeDecodeError as error:
        line += piece.count(b"\n", 0, error.start)
        raise UserError(
            f"{path}:{line}: is not UTF-8 ({error.reason}). Expected UTF-8 text; convert it, for example with iconv."
        ) from None


def _tokens(text: str, tokenize: Tokenize) -> list[str]:
    first, *others = text.split("\n")
    tokens = tokenize(first)
    for line in others:
        tokens.append(END_OF_LINE)
        tokens += tokenize(line)
    return tokens
