"""The corpus: text files read line by line, counted, and encoded to a flat file that training reads in blocks.

Shapes: N tokens of the corpus. Memory does not grow with N: text is read a megabyte at a time, and the ids (int32, -1
after each line) are on disk.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cbow.config import TrainConfig
from cbow.data import sample
from shared.data.checksum import describe
from shared.data.samples import data_or_sample
from shared.errors import UserError
from shared.files import whole_file
from shared.progress import progress_bar
from shared.runs.listing import is_in_run
from shared.text.text_files import PACKED, read_line_parts
from shared.text.tokenizers import has_phrases, tokenizer
from shared.text.vocabulary import Vocabulary

END_OF_LINE = -1
EXPECTED = "a text file or a folder of them"
LONGEST_LINE = 10_000
"""Tokens; a longer line (a book without line breaks) is cut into pieces of this length."""
BLOCK = 1 << 20
"""Tokens that training holds in memory at once, ends of line included."""
_TOKENS_AT_ONCE = 1 << 17  # as Python strings, about 10 MB


@dataclass(frozen=True)
class Corpus:
    """Text files and the way to read them.

    Parameters
    ----------
    files : tuple of Path
        Plain text or .gz, read in this order.
    encoding : str
    tokenize : callable
        Takes a line, returns its tokens.
    synonyms : Path or None
        The synonym list beside it, or the one that was given.
    is_sample : bool
        It is the made-up sample.
    listing : dict
        Name and checksum of the data for `summary.json`.
    limit : int or None
        Lines to read; None: all.
    ignored : tuple of Path
        Files of the folder that are not text by their names.
    """

    files: tuple[Path, ...]
    encoding: str
    tokenize: Callable[[str], list[str]]
    synonyms: Path | None
    is_sample: bool
    listing: dict
    limit: int | None = None
    ignored: tuple[Path, ...] = ()

    def lines(self) -> Iterator[list[str]]:
        """Yield the tokens of each line that has some, long lines in pieces of `LONGEST_LINE`."""
        done = 0
        for path in self.files:
            for text, is_whole in read_line_parts(path, self.encoding, expected=EXPECTED):
                if done == self.limit:
                    return
                done += is_whole
                tokens = self.tokenize(text)
                for start in range(0, len(tokens), LONGEST_LINE):
                    yield tokens[start : start + LONGEST_LINE]


@dataclass(frozen=True)
class EncodedCorpus:
    """A corpus as ids on disk.

    Parameters
    ----------
    path : Path
        Little-endian int32: token ids, -1 after each line.
    length : int
        Entries in the file.
    counts : int64 array (V,)
        Occurrences of each id; those of `<unk>` too, which has the count 1 in `vocab.txt`.
    """

    path: Path
    length: int
    counts: NDArray[np.int64]

    @property
    def tokens(self) -> int:
        """Tokens in the corpus, ends of line not counted."""
        return int(self.counts.sum())

    def blocks(self, start: int = 0) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """Yield (offset in entries, ids) of whole lines, about `BLOCK` entries at a time.

        Parameters
        ----------
        start : int
            Offset at which a block began before; 0 for the first.
        """
        while start < self.length:
            ids = np.fromfile(self.path, dtype="<i4", count=BLOCK, offset=4 * start)
            # Lines are never longer than LONGEST_LINE, so a block ends a line somewhere.
            ids = ids[: int(np.flatnonzero(ids == END_OF_LINE)[-1]) + 1].astype(
                np.int32, copy=False
            )
            yield start, ids
            start += len(ids)


def find_corpus(config: TrainConfig) -> Corpus:
    """Return the corpus that a configuration names.

    Raises
    ------
    UserError
        A file or folder is missing, or the folder holds no text.
    """
    folder, is_sample = data_or_sample("cbow", config.data, sample.write)
    files, ignored = ((folder,), ()) if folder.is_file() else _text_files(folder, config.corpus)
    beside = folder / "synonyms.json"
    chosen = Path(config.synonyms) if config.synonyms else beside if beside.is_file() else None
    if chosen is not None and not chosen.is_file():
        raise UserError(f"--synonyms {chosen}: not found. Expected a JSON file, or leave it out.")
    ignored = tuple(path for path in ignored if path != chosen)
    listing = describe(files[0] if len(files) == 1 else folder).as_dict()
    tokenize = tokenizer(config.tokenizer)
    return Corpus(
        files, config.encoding, tokenize, chosen, is_sample, listing, config.limit, ignored
    )


def count_words(
    corpus: Corpus,
    config: TrainConfig,
    known: Vocabulary | None = None,
    *,
    say: Callable[[str], object] | None = None,
    quiet: bool = False,
) -> Vocabulary:
    """Read the corpus once and return its vocabulary: `<unk>`, then words by falling count, ties as first seen.

    Parameters
    ----------
    corpus : Corpus
    config : TrainConfig
    known : Vocabulary, optional
        Vocabulary of a run to start from: its words come first, and counts add up.
    say : callable, optional
        Called with a line about words that are left out, were forgotten while counting, or are whole phrases.
    quiet : bool
        No bar.

    Raises
    ------
    UserError
        The corpus cannot be read, is empty, has no line of two tokens, or fewer than two words.
    """
    has_pair = False

    def tokens(bar: object) -> Iterator[list[str]]:
        nonlocal has_pair
        for line in corpus.lines():
            has_pair = has_pair or len(line) > 1
            bar.update(len(line))  # type: ignore[attr-defined]
            yield line

    with (
        progress_bar(None, label="counting words", unit="token", quiet=quiet) as bar,
        warnings.catch_warnings(record=say is not None) as caught,
    ):
        if say is not None:
            warnings.simplefilter("always")
        vocabulary = Vocabulary.build(
            itertools.chain.from_iterable(tokens(bar)),
            min_count=config.min_count,
            specials=("<unk>",),
            prune_above=config.prune_above,
        )
    for warning in caught or ():
        say(str(warning.message))  # type: ignore[misc]
    name = corpus.files[0] if len(corpus.files) == 1 else corpus.files[0].parent
    if len(vocabulary) < 2:
        rare = f" seen at least {config.min_count} times" if config.min_count > 1 else ""
        raise UserError(f"{name}: has no words{rare}. Expected text with words to learn.")
    are_phrases = has_phrases(vocabulary.tokens)
    if not has_pair:
        expected = (
            "Separate its words by spaces, or take each character as a word by --tokenizer unicode."
            if are_phrases
            else "Expected sentences, one a line."
        )
        raise UserError(f"{name}: has no line of two tokens or more. {expected}")
    if are_phrases and say is not None:
        say(
            f"{name}: most words are whole phrases of a script without spaces; --tokenizer unicode takes each "
            "character as a word"
        )
    kept = _joined(known, vocabulary) if known is not None else vocabulary
    size = max(config.max_vocab_size or len(kept), len(known or ()))
    if len(kept) > size:
        if say is not None:
            say(
                f"{len(kept) - size:,} of {len(kept):,} words become <unk>, the rarest ones "
                f"(--max-vocab-size {size}; --max-vocab-size null keeps all)"
            )
        kept = Vocabulary(kept.tokens[:size], kept.counts[:size].tolist())
    return kept


def _joined(known: Vocabulary, new: Vocabulary) -> Vocabulary:
    """Return the words of both, the known ones first, with the sums of their counts."""
    counts = dict(zip(known.tokens, known.counts.tolist(), strict=True))
    for token, count in zip(new.tokens, new.counts.tolist(), strict=True):
        if token != new.unknown:
            counts[token] = counts.get(token, 0) + count
    return Vocabulary(list(counts), list(counts.values()))


def encode(
    corpus: Corpus, vocabulary: Vocabulary, path: Path, *, quiet: bool = False
) -> EncodedCorpus:
    """Write the ids of a corpus to a file, whole or not at all.

    Parameters
    ----------
    corpus : Corpus
    vocabulary : Vocabulary
        Words outside it become `<unk>`.
    path : Path
    """
    counts = np.zeros(len(vocabulary), dtype=np.int64)
    length = 0
    with (
        progress_bar(
            int(vocabulary.counts.sum()), label="encoding", unit="token", quiet=quiet
        ) as bar,
        whole_file(path, "wb") as file,
    ):
        for lines in _batches(corpus.lines()):
            ids = vocabulary.ids(itertools.chain.from_iterable(lines))
            counts += np.bincount(ids, minlength=len(vocabulary))
            ends = np.cumsum([len(line) for line in lines])
            marked = np.insert(ids, ends, END_OF_LINE)
            marked.astype("<i4").tofile(file)
            length += len(marked)
            bar.update(len(ids))
    return EncodedCorpus(path, length, counts)


def _text_files(folder: Path, corpus: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the corpus file of a folder, else all text files below it, and the other files; runs are left out."""
    named = folder / corpus
    if named.is_file():
        return (named,), ()
    files: list[Path] = []
    ignored: list[Path] = []
    for path in sorted(folder.rglob("*")):
        # A link whose file is gone is told of where the file would be read; links to folders are not followed.
        if path.exists() and not path.is_file() and not path.is_symlink():
            continue
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if is_hidden or is_in_run(path, folder):
            continue
        is_text = path.suffix.lower() in (".txt", *PACKED) and not path.is_dir()
        (files if is_text else ignored).append(path)
    if not files:
        endings = ", ".join((".txt", *PACKED))
        raise UserError(
            f"{folder}: holds neither {corpus} nor any text file ({endings}). Expected text to train on."
        )
    return tuple(files), tuple(ignored)


def _batches(lines: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    """Group lines until they hold many tokens, so that numpy's cost per call does not count."""
    batch, tokens = [], 0
    for line in lines:
        batch.append(line)
        tokens += len(line)
        if tokens >= _TOKENS_AT_ONCE:
            yield batch
            batch, tokens = [], 0
    if batch:
        yield batch
