"""Synonym lists: reading and writing them, and building one from WordNet.

The list built here is the one the assignment's `synonyms.json` was drawn from: for a word, all
lemmas of all its synsets (any part of speech; inflected words are reduced by WordNet's own rules),
without the word itself, without expressions of several words, and only words of the vocabulary.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.errors import UserError
from shared.files import whole_file

Synonyms = Mapping[str, Sequence[str]]
"""Query word -> its listed synonyms."""

WORDNET_FILES = tuple(
    [f"{file}.{part}" for file in ("data", "index") for part in ("adj", "adv", "noun", "verb")]
    + [f"{part}.exc" for part in ("adj", "adv", "noun", "verb")]
)
"""Files that a WordNet folder must have."""

_LEXICOGRAPHER_FILES = """
    adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body
    noun.cognition noun.communication noun.event noun.feeling noun.food noun.group noun.location
    noun.motive noun.object noun.person noun.phenomenon noun.plant noun.possession noun.process
    noun.quantity noun.relation noun.shape noun.state noun.substance noun.time verb.body verb.change
    verb.cognition verb.communication verb.competition verb.consumption verb.contact verb.creation
    verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative verb.weather
    adj.ppl
""".split()
# The content of WordNet's `lexnames` (manual page lexnames(5)), which some packages leave out.

DEBIAN_WORDNET = Path("/usr/share/wordnet")
_GET_WORDNET = (
    "Get it with `apt-get install wordnet-base` and --wordnet /usr/share/wordnet, or on a machine "
    "with network: python -m nltk.downloader wordnet"
)


def load_synonyms(path: Path | str) -> dict[str, list[str]]:
    """Read the assignment's JSON, `[["word", ["synonym", ...]], ...]`, or `{"word": [...]}`.

    Raises
    ------
    UserError
        The file is missing, not JSON, of another shape, empty, or repeats a word.
    """
    path = Path(path)
    want = 'Expected [["word", ["synonym", ...]], ...] or {"word": ["synonym", ...], ...}.'
    try:
        content = json.loads(read_text(path), object_pairs_hook=_Object)
    except json.JSONDecodeError as problem:
        raise UserError(f"{path}:{problem.lineno}: not JSON, {problem.msg}. {want}") from problem
    except (RecursionError, ValueError) as problem:
        raise UserError(f"{path}: nested too deep, or a number is too long. {want}") from problem
    if not isinstance(content, list) or not content:
        raise UserError(f"{path}: no list of words. {want}")
    synonyms: dict[str, list[str]] = {}
    for number, entry in enumerate(content, 1):
        where = f"{path}: entry {number}"
        if isinstance(content, _Object):
            word, listed = entry
        elif isinstance(entry, _Object) or not isinstance(entry, list) or len(entry) != 2:
            raise UserError(f"{where}: not a pair of a word and its synonyms. {want}")
        else:
            word, listed = entry
        if not isinstance(word, str) or not word:
            raise UserError(f"{where}: the word is not a text. {want}")
        if isinstance(listed, _Object) or not isinstance(listed, list):
            raise UserError(f"{where} ({word!r}): the synonyms are not a list. {want}")
        if not all(isinstance(synonym, str) and synonym for synonym in listed):
            raise UserError(f"{where} ({word!r}): a synonym is not a text. {want}")
        if word in synonyms:
            raise UserError(f"{where}: {word!r} is listed a second time. Join its two entries.")
        if word in listed or len(set(listed)) < len(listed):
            # Either would count as a hit whatever the vectors are.
            raise UserError(f"{where}: {word!r} lists itself, or a word twice. Remove it.")
        synonyms[word] = listed
    return synonyms


def save_synonyms(path: Path | str, synonyms: Synonyms) -> None:
    """Write the assignment's JSON, one word a line."""
    with whole_file(Path(path)) as file:
        entries = [
            json.dumps([word, list(listed)], ensure_ascii=False)
            for word, listed in synonyms.items()
        ]
        file.write("[\n" + ",\n".join(entries) + "\n]\n")


def synonyms_from_wordnet(
    words: Iterable[str], vocabulary: Iterable[str], wordnet: Path | str | None = None
) -> dict[str, list[str]]:
    """List the synonyms of words that WordNet gives and the vocabulary holds.

    Parameters
    ----------
    words : iterable of str
        Words to look up; the result keeps their order. Words without a synonym are left out.
    vocabulary : iterable of str
        Lower-case words that may be listed.
    wordnet : path, optional
        A folder with WordNet's `data.*`, `index.*` and `*.exc` files; default: NLTK's own data, else the folder of
        Debian's wordnet-base.

    Returns
    -------
    dict of str to list of str
        Synonyms in WordNet's order, the most common sense first.

    Raises
    ------
    UserError
        NLTK or WordNet is missing; the message says how to get it.
    """
    inside = set(vocabulary)
    result: dict[str, list[str]] = {}
    with _reader(wordnet) as reader:
        for word in dict.fromkeys(words):
            lemmas: dict[str, None] = {}
            for synset in reader.synsets(word):
                # WordNet joins the words of an expression with "_".
                names = (name.lower() for name in synset.lemma_names() if "_" not in name)
                lemmas.update((name, None) for name in names if name in inside and name != word)
            if lemmas:
                result[word] = list(lemmas)
    return result


@contextmanager
def _reader(folder: Path | str | None) -> Iterator[Any]:
    try:
        import nltk.data
        from nltk.corpus.reader.wordnet import WordNetCorpusReader, WordNetError
    except ImportError as problem:
        raise UserError("Building synonyms needs NLTK: pip install nltk.") from problem

    opened: list[Any] = []

    class Reader(WordNetCorpusReader):  # type: ignore[misc, unused-ignore]
        def open(self, file: str) -> Any:
            if file == "lexnames":
                names = enumerate(_LEXICOGRAPHER_FILES)
                return io.StringIO("".join(f"{i:02d}\t{name}\t0\n" for i, name in names))
            opened.append(super().open(file))
            return opened[-1]

        def map_wn(self, version: str = "wordnet") -> None:
            # It links other languages to English through a second copy of WordNet.
            return None

    allowed = list(nltk.data.path)
    root = _nltk_wordnet() if folder is None else None
    if root is None and folder is None:
        if not DEBIAN_WORDNET.is_dir():
            raise UserError(f"NLTK has no WordNet data. {_GET_WORDNET}.")
        folder = DEBIAN_WORDNET
    where = str(folder or root)
    if folder is not None:
        root = str(Path(folder).resolve())
        missing = [name for name in WORDNET_FILES if not (Path(root) / name).is_file()]
        if missing:
            raise UserError(
                f"{where}: not a WordNet folder, {missing[0]} is missing. {_GET_WORDNET}."
            )
        # NLTK opens only what lies below its data path. The user named this folder, so it is
        # added, for as long as it is read.
        nltk.data.path.append(root)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "multilingual functions are not available"
            reader = Reader(root, None)
        yield reader
    except (OSError, ValueError, LookupError, WordNetError) as problem:
        reason = " ".join(str(problem).split())
        raise UserError(f"{where}: WordNet cannot be read, {reason}. {_GET_WORDNET}.") from problem
    finally:
        nltk.data.path[:] = allowed
        for stream in opened:  # NLTK leaves them open
            stream.close()


def _nltk_wordnet() -> Any:
    """Return where NLTK has WordNet, or None."""
    import nltk.data

    for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            return nltk.data.find(name)
        except LookupError:
            continue
    return None


def read_text(path: Path) -> str:
    """Read a whole UTF-8 file; a UserError says what is wrong with it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise UserError(f"{path}: cannot be read, {problem.strerror}.") from problem
    except UnicodeDecodeError as problem:
        raise UserError(f"{path}: not UTF-8 text (byte {problem.start}). Convert it.") from problem


class _Object(list[Any]):
    """A JSON object as its list of (key, value): keeps repeated keys, which a dict would drop."""
