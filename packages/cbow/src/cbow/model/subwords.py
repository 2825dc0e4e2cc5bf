"""Character n-grams: words with common n-grams have common parameters.

A word's input vector is the sum of its own row and the rows of its n-grams, the character sequences of `<word>` of some
lengths; `<` and `>` mark its beginning and end. Only n-grams that at least two words of the vocabulary have in common
get a row: one that a single word has would only double that word's own row. So few remain that none needs hashing.

Letters: V vocabulary size, G n-grams with a row, R = V + G rows, N entries over all words.

References
----------
Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information", arXiv 1607.04606,
section 3.2: for skip-gram, all n-grams of 3 to 6 characters, hashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Subwords:
    """The input rows whose sum is a word's input vector.

    Attributes
    ----------
    ngrams : list of str, length G
        In the order of their rows, which follow those of the V words.
    rows : int32 array (N,)
        The rows of word 0, then those of word 1, ...; each word's own row comes first.
    offsets : int64 array (V + 1,)
        The rows of word w are rows[offsets[w] : offsets[w + 1]].
    """

    ngrams: list[str]
    rows: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        """The number of rows R."""
        return len(self.offsets) - 1 + len(self.ngrams)

    def of(self, word: int) -> npt.NDArray[np.int32]:
        """Return the rows of one word."""
        return self.rows[self.offsets[word] : self.offsets[word + 1]]


def find_subwords(
    tokens: Sequence[str], shortest: int, longest: int, unknown: str | None = "<unk>"
) -> Subwords:
    """Return the n-grams that words have in common, and the rows of each word.

    Parameters
    ----------
    tokens : sequence of str, length V
    shortest, longest : int
        Characters of an n-gram, the marks `<` and `>` included, 1 <= shortest <= longest.
    unknown : str or None
        The token of unknown words, which has no n-grams.
    """
    words_with: dict[str, list[int]] = {}
    for word, token in enumerate(tokens):
        if token != unknown:
            for ngram in _ngrams(f"<{token}>", shortest, longest):
                words_with.setdefault(ngram, []).append(word)
    shared = [ngram for ngram, words in words_with.items() if len(words) > 1]
    rows_of = [[word] for word in range(len(tokens))]
    for row, ngram in enumerate(shared, start=len(tokens)):
        for word in words_with[ngram]:
            rows_of[word].append(row)
    offsets = np.cumsum([0, *map(len, rows_of)], dtype=np.int64)
    return Subwords(shared, np.concatenate(rows_of).astype(np.int32), offsets)


def _ngrams(marked: str, shortest: int, longest: int) -> list[str]:
    """Return the different n-grams of a word, in a fixed order; one that occurs twice counts once."""
    ngrams = (
        marked[start : start + length]
        for length in range(shortest, longest + 1)
        for start in range(len(marked) - length + 1)
    )
    return list(dict.fromkeys(ngrams))
