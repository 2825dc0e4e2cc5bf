"""Text files to token ids, with one `<eos>` at the end of each line.

A folder holds train.txt, valid.txt and test.txt, as WikiText-2 does, or any text files, which are joined; one text is
split in that order. Files may be packed (.gz, .bz2, .xz, .zst). Run folders among the texts are left out. The
vocabulary is that of all three texts, which is the coursework's convention: 33,278 types, so no word of the test text
is unknown other than those the publisher wrote as `<unk>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.checksum import describe
from shared.data.samples import data_or_sample
from shared.errors import UserError
from shared.runs.listing import is_in_run
from shared.text.text_files import PACKED, read_pieces, without_packing
from shared.text.tokenizers import has_phrases, tokenizer
from shared.text.vocabulary import Vocabulary
from word_lm.config import TrainConfig
from word_lm.data import sample

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"
DATA_SET = "wikitext-2"
SPLITS = ("train", "valid", "test")
PERCENT = {"valid": 5, "test": 5}
"""Fractions of a single file that become valid and test text; they are its end."""
EXPECTED = (
    "a folder with train.txt, valid.txt and test.txt, a folder of text files, or one text file"
)
ENDINGS = (".txt", ".text", ".md", ".tokens", ".raw")
"""Names of text files in a folder end so, or so before an ending of packed files."""
PHRASES = (
    "most words are whole phrases of a script without spaces; --tokenizer unicode takes each "
    "character as a word"
)

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
        It is the built-in made-up text.
    listing : dict
        Name and checksum of the data for `summary.json`.
    """

    vocabulary: Vocabulary
    splits: Mapping[str, NDArray[np.int32]]
    is_sample: bool
    listing: dict[str, Any]
    notes: tuple[str, ...] = ()
    """What was done that a user might not expect, a line each."""

    def facts(self) -> dict[str, Any]:
        """Return what `summary.json` says about the data."""
        tokens = {name: len(ids) for name, ids in self.splits.items()}
        return {
            **self.listing,
            "is_sample": self.is_sample,
            "tokens": tokens,
            "vocabulary": len(self.vocabulary),
        }


def load_text(config: TrainConfig, start: Vocabulary | None = None) -> Text:
    """Read the data that a configuration names.

    Parameters
    ----------
    config : TrainConfig
    start : Vocabulary, optional
        That of a model to continue from: its words keep their ids, and new words are added after them.

    Raises
    ------
    UserError
        A file is missing, is not UTF-8 text, or is too short.
    """
    path, is_sample = data_or_sample(DATA_SET, config.data, sample.write)
    tokenize = tokenizer(config.tokenizer)
    table = _ProvisionalIds()
    notes: tuple[str, ...] = ()
    named = {name: split_file(path, name) for name in SPLITS} if path.is_dir() else {}
    if any(file.exists() for file in named.values()):
        splits = {name: table.ids(file, tokenize) for name, file in named.items()}
    else:
        files, notes = _text_files(path) if path.is_dir() else ([path], ())
        joined = np.concatenate([table.ids(file, tokenize) for file in files])
        splits = _split(path, joined, table[END_OF_LINE])
        at_ends = all(splits[name][-1] == table[END_OF_LINE] for name in ("train", "valid"))
        where = "at line ends" if at_ends else "within lines, having no line end near"
        notes = (*notes, f"split 90 / 5 / 5 into train, valid and test, {where}")
    if has_phrases(table):
        notes = (*notes, PHRASES)
    numbers = np.bincount(np.concatenate(list(splits.values())), minlength=len(table))
    counts = dict(zip(table, numbers.tolist(), strict=True))
    vocabulary = Vocabulary.from_counts(
        counts,
        max_size=config.max_vocab_size,
        min_count=config.min_count,
        specials=(UNKNOWN, END_OF_LINE),
    )
    if start is not None:
        vocabulary = _continued(start, vocabulary, counts)
    final = vocabulary.ids(table)
    return Text(
        vocabulary,
        {name: final[ids] for name, ids in splits.items()},
        is_sample,
        describe(path).as_dict(),
        notes,
    )


def split_file(folder: Path, split: str) -> Path:
    """Return the file of a split in a folder, packed or not, by the names that publishers use.

    Parameters
    ----------
    folder : Path
    split : {"train", "valid", "test"}

    Returns
    -------
    Path
        `<split>.txt`, which may be missing, if there is none.
    """
    names = (f"{split}.txt", f"wiki.{split}.tokens", f"wiki.{split}.raw", f"{split}.tokens")
    for name in names:
        for packing in ("", *PACKED):
            if (folder / f"{name}{packing}").is_file():
                return folder / f"{name}{packing}"
    return folder / names[0]


def encode_split(
    data: str | None, split: str, vocabulary: Vocabulary, tokenizer_name: str = "space"
) -> NDArray[np.int32]:
    """Return one split of a data set, or a whole text file, as ids of a given vocabulary.

    Parameters
    ----------
    data : str or None
        Folder with the split's file, or a text file; None: as for `load_text`.
    split : {"train", "valid", "test"}
        Which file of a folder; a single file is read whole.
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
    path, _ = data_or_sample(DATA_SET, data, sample.write)
    file = split_file(path, split) if path.is_dir() else path
    pieces = [vocabulary.ids(tokens) for tokens in read_tokens(file, tokenizer(tokenizer_name))]
    ids = np.concatenate([np.zeros(0, dtype=np.int32), *pieces])
    require_words(file, ids, vocabulary.id(END_OF_LINE))
    return ids


def read_tokens(path: Path, tokenize: Tokenize) -> Iterator[list[str]]:
    """Yield the tokens of a text file in pieces of about a megabyte, with `<eos>` at the end of each line.

    Raises
    ------
    UserError
        The file is missing, holds a NUL byte or is not UTF-8; the line is named.
    """
    last = "\n"
    for piece in read_pieces(path, expected=EXPECTED):
        last = piece[-1]
        yield _tokens(piece, tokenize)
    if last != "\n":
        yield [END_OF_LINE]


def require_words(path: Path, ids: NDArray[np.int32], end_of_line: int) -> None:
    """Refuse a text in which nothing can be predicted.

    Raises
    ------
    UserError
        It has fewer than two words.
    """
    words = int((ids != end_of_line).sum())
    if words < 2:
        problem = "is empty" if words == 0 else "holds a single word"
        raise UserError(
            f"{path}:1: the text {problem}. Expected at least two words, to predict one from another."
        )


class _ProvisionalIds(dict[str, int]):
    """Number tokens in order of first occurrence: ids by frequency need counts of the whole text."""

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


def _text_files(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the text files of a folder and of the folders in it, by name, and what to tell about them."""
    files: list[Path] = []
    others: list[Path] = []
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        # Links to folders are not followed, but told of.
        is_shown = path.is_file() or (path.is_symlink() and path.is_dir())
        if is_shown and not is_hidden and not is_in_run(path, folder):
            is_text = without_packing(path).suffix.lower() in ENDINGS and path.is_file()
            (files if is_text else others).append(path)
    if not files:
        raise UserError(
            f"{folder}: has no text file ({', '.join(ENDINGS)}, packed or not). Expected {EXPECTED}."
        )
    notes = [f"{len(files):,} text file{'s' * (len(files) != 1)} joined by name"]
    if others:
        endings = ", ".join(sorted({path.suffix or path.name for path in others})[:5])
        notes.append(f"{len(others):,} other file{'s' * (len(others) != 1)} left out ({endings})")
    return files, tuple(notes)


def _continued(start: Vocabulary, new: Vocabulary, counts: Mapping[str, int]) -> Vocabulary:
    """Return a vocabulary that begins with the words of one and adds those of another, with counts of the new text."""
    added = dict(zip(new.tokens, new.counts.tolist(), strict=True))
    known = [added.pop(token, counts.get(token, 0)) for token in start.tokens]
    return Vocabulary([*start.tokens, *added], [*known, *added.values()], unknown=start.unknown)


def _split(path: Path, ids: NDArray[np.int32], end_of_line: int) -> dict[str, NDArray[np.int32]]:
    """Split a text in three, at line ends where there is one within 1 % of the text."""
    length = len(ids)
    cuts = [
        length * (100 - PERCENT["valid"] - PERCENT["test"]) // 100,
        length * (100 - PERCENT["test"]) // 100,
    ]
    nearby = max(1, length // 100)
    for index, cut in enumerate(cuts):
        ends = np.flatnonzero(ids[cut : cut + nearby] == end_of_line)
        cuts[index] = cut + int(ends[0]) + 1 if len(ends) else cut
    parts = dict(zip(SPLITS, np.split(ids, cuts), strict=True))
    for name, part in parts.items():
        if len(part) < 2:
            raise UserError(
                f"{path}:1: {length} tokens are too few to split into train, valid and test ({name} would have "
                f"{len(part)}). Expected 60 or more, or a folder with the three files."
            )
    return parts


def _tokens(text: str, tokenize: Tokenize) -> list[str]:
    first, *others = text.split("\n")
    tokens = tokenize(first)
    for line in others:
        tokens.append(END_OF_LINE)
        tokens += tokenize(line)
    return tokens
