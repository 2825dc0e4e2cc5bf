"""What the verb `inspect` of several packages has in common: the word that it shows, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.files import require_empty, whole_folder, write_json
from shared.text.vectors import write_word2vec
from shared.text.vocabulary import Vocabulary


def word_to_show(vocabulary: Vocabulary, word: str | None, specials: int) -> str:
    """Return the word that was asked for, or the first one after so many special tokens.

    Raises
    ------
    UserError
        It is not in the vocabulary, or that has special tokens alone.
    """
    if word is None:
        if len(vocabulary) <= specials:
            raise UserError(
                "The vocabulary has no words, only special tokens. Give more text, or a smaller --min-count."
            )
        return vocabulary.tokens[specials]
    if word not in vocabulary:
        raise UserError(f"--word {word}: is not in the vocabulary of {len(vocabulary):,} words.")
    return word


def write_vocabulary(
    out: Path, tokens: Sequence[str], vectors: NDArray[np.floating[Any]] | None = None
) -> str:
    """Write stoi.json and itos.txt, and vectors.txt in word2vec's text format, into a new folder.

    Parameters
    ----------
    out : Path
    tokens : sequence of str (V,)
    vectors : float array (V, D), optional

    Returns
    -------
    str
        What was written, in a line for the user.

    Raises
    ------
    UserError
        The folder is not empty.
    """
    require_empty(out)
    with whole_folder(out) as folder:
        write_json(folder / "stoi.json", {token: number for number, token in enumerate(tokens)})
        (folder / "itos.txt").write_text("".join(f"{token}\n" for token in tokens), "utf-8")
        if vectors is not None:
            write_word2vec(folder / "vectors.txt", tokens, vectors, binary=False)
    more = "" if vectors is None else ", vectors.txt (word2vec text)"
    return f"Written to {out}: stoi.json, itos.txt{more}."
