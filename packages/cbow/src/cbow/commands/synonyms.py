"""The verb `synonyms`: build a synonym list from WordNet."""

from __future__ import annotations

from pathlib import Path

from cbow.commands.options import SynonymsOptions
from cbow.data.synonyms import save_synonyms, synonyms_from_wordnet
from cbow.model.trained import load
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary


def run(options: SynonymsOptions) -> int:
    """Write the synonyms that WordNet lists among the words of a vocabulary (verb `synonyms`)."""
    vocabulary = _vocabulary_of(options.run)
    queries = _read_words(Path(options.words)) if options.words else vocabulary
    synonyms = synonyms_from_wordnet(queries, vocabulary, options.wordnet)
    save_synonyms(options.out, synonyms)
    pairs = sum(map(len, synonyms.values()))
    print(f"{pairs} synonyms of {len(synonyms)} words are in {options.out}.")
    return 0


def _vocabulary_of(run: str) -> list[str]:
    """Return the words of a run, of a vector file, or of a `vocab.txt`."""
    path = Path(run)
    if path.suffix == ".txt" and path.name.startswith("vocab"):
        return list(Vocabulary.load(path).tokens)
    return load(run).tokens


def _read_words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--words {path}: cannot be read ({error}). Expected one word a line."
        ) from None
