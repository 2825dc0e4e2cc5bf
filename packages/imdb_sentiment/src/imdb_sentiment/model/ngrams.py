"""Runs of words as columns of a sparse matrix, counted with sorted arrays instead of dictionaries of strings.

N counts reviews, T words of all of them together, F features. A run of k + 1 words is the pair (its first k words,
its last word), each a number already; so a run of any length is one int64, and a run whose beginning is too rare is
never looked at. Counting the 25,000 reviews with runs up to three takes seconds, where scikit-learn's CountVectorizer
takes most of a minute and gives the same columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.data.text import Tokenize
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

Ints = NDArray[np.int64]

NONE = -1
"""Stands where no known run begins."""


class FeatureCounter:
    """Runs of words, and runs of up to two beginnings of words beside them if wanted.

    Beginnings stand in for stems: "disappointing" and "disappointed" are one feature more, which rare forms gain by.

    Parameters
    ----------
    tokenize : callable
        Review to words and marks.
    longest : int
        Words of the longest runs, >= 1.
    min_reviews : int
        Reviews that a run must be in, >= 1.
    stem_letters : int or None
        Letters of a beginning; None: no beginnings.
    """

    def __init__(
        self, tokenize: Tokenize, longest: int, min_reviews: int, stem_letters: int | None = None
    ) -> None:
        self.tokenize, self.stem_letters = tokenize, stem_letters
        self.parts = {"words": RunCounter(longest, min_reviews)}
        if stem_letters is not None:
            self.parts["stems"] = RunCounter(min(2, longest), min_reviews)

    @property
    def features(self) -> int:
        """F."""
        return sum(part.features for part in self.parts.values())

    def fit(self, texts: Sequence[str]) -> Any:
        """Find the runs; return the matrix that `transform` would.

        Raises
        ------
        UserError
            No word is in enough reviews.
        """
        return self._stacked(texts, RunCounter.fit)

    def transform(self, texts: Sequence[str]) -> Any:
        """Return which runs are in which reviews, a scipy CSR matrix of float32 (N, F)."""
        return self._stacked(texts, RunCounter.transform)

    def run_of(self, feature: int) -> str:
        """Return the words of a column; beginnings of words end in a hyphen."""
        words = self.parts["words"]
        if feature < words.features:
            return words.run_of(feature)
        stems = self.parts["stems"].run_of(feature - words.features).split()
        letters = self.stem_letters
        return " ".join(f"{stem}-" if len(stem) == letters else stem for stem in stems)

    def save(self, folder: Path) -> dict[str, Ints]:
        """Write the words; return the other runs, for the model's own file."""
        return {
            k: v for name, part in self.parts.items() for k, v in part.save(folder, name).items()
        }

    def load(self, folder: Path, arrays: dict[str, Any]) -> None:
        """Put back what `save` wrote and returned."""
        for name, part in self.parts.items():
            part.load(folder, name, arrays)

    def _stacked(self, texts: Sequence[str], count: Callable[..., Any]) -> Any:
        from scipy import sparse

        words = [self.tokenize(text) for text in texts]
        found = [count(self.parts["words"], words)]
        if "stems" in self.parts:
            cut = self.stem_letters
            stems = [[word[:cut] for word in own if word[0].isalnum()] for own in words]
            found.append(count(self.parts["stems"], stems))
        return found[0] if len(found) == 1 else sparse.hstack(found, format="csr")


class RunCounter:
    """Finds the runs of words that occur in enough reviews, and then marks in which reviews they are.

    Parameters
    ----------
    longest : int
        Words of the longest runs, >= 1.
    min_reviews : int
        Reviews that a run must be in, >= 1.

    Attributes
    ----------
    words : Vocabulary
        Runs of one word, with the number of reviews that have them.
    keys : list of int64 arrays
        For runs of 2, 3, ... words: `number of the first words * V + number of the last`, rising. A run's number is
        its place here.
    """

    def __init__(self, longest: int, min_reviews: int) -> None:
        self.longest, self.min_reviews = longest, min_reviews
        self.words = Vocabulary([], [], unknown=None)
        self.keys: list[Ints] = []

    @property
    def features(self) -> int:
        """F."""
        return len(self.words) + sum(len(keys) for keys in self.keys)

    def fit(self, reviews_words: Sequence[Sequence[str]]) -> Any:
        """Find the runs in reviews given as words (N lists); return the matrix that `transform` would.

        Raises
        ------
        UserError
            No word is in enough reviews.
        """
        provisional: dict[str, int] = {}
        words, reviews = _flat(reviews_words, provisional)
        count = len(reviews_words)
        distinct = _distinct(words, reviews, count)
        in_reviews = np.bincount(distinct // count, minlength=len(provisional))
        kept = np.flatnonzero(in_reviews >= self.min_reviews)
        if not len(kept):
            raise UserError(
                f"No word is in {self.min_reviews} of the {count} training reviews. "
                "Give more reviews, or a smaller --min-reviews."
            )
        names = list(provisional)
        self.words = Vocabulary(
            [names[i] for i in kept.tolist()], in_reviews[kept].tolist(), unknown=None
        )
        numbers = np.full(len(provisional), NONE)
        numbers[kept] = np.arange(len(kept))
        words = numbers[words]
        self.keys = []
        runs, found = words, [(words, reviews)]
        for length in range(2, self.longest + 1):
            keys, places = self._pairs(runs, words, reviews, length)
            known, number_of = np.unique(keys, return_inverse=True)
            distinct = _distinct(number_of, reviews[places], count)
            is_kept = np.bincount(distinct // count, minlength=len(known)) >= self.min_reviews
            numbers = np.where(is_kept, np.cumsum(is_kept) - 1, NONE)
            self.keys.append(known[is_kept])
            runs = np.full(len(words), NONE)
            runs[places] = numbers[number_of]
            found.append((runs, reviews))
        return self._matrix(found, count)

    def transform(self, reviews_words: Sequence[Sequence[str]]) -> Any:
        """Return which runs are in which reviews, given as words.

        Returns
        -------
        scipy CSR matrix of float32 (N, F)
            1 where a review has the run, however often.
        """
        words, reviews = _flat(reviews_words, self.words)
        runs, found = words, [(words, reviews)]
        for length, known in enumerate(self.keys, start=2):
            keys, places = self._pairs(runs, words, reviews, length)
            at = np.minimum(np.searchsorted(known, keys), max(0, len(known) - 1))
            is_known = known[at] == keys if len(known) else np.zeros(len(keys), dtype=bool)
            runs = np.full(len(words), NONE)
            runs[places] = np.where(is_known, at, NONE)
            found.append((runs, reviews))
        return self._matrix(found, len(reviews_words))

    def run_of(self, feature: int) -> str:
        """Return the words of a column."""
        words: list[str] = []
        sizes = [len(self.words), *(len(keys) for keys in self.keys)]
        length = 0
        while feature >= sizes[length]:
            feature -= sizes[length]
            length += 1
        while length:
            feature, last = divmod(int(self.keys[length - 1][feature]), len(self.words))
            words.append(self.words.tokens[last])
            length -= 1
        return " ".join([self.words.tokens[feature], *reversed(words)])

    def save(self, folder: Path, name: str) -> dict[str, Ints]:
        """Write the words as `<name>.txt`; return the other runs by name, for the model's own file."""
        self.words.save(folder / f"{name}.txt")
        return {f"{name}_{length}": keys for length, keys in enumerate(self.keys, start=2)}

    def load(self, folder: Path, name: str, arrays: dict[str, Any]) -> None:
        """Put back what `save` wrote and returned."""
        self.words = Vocabulary.load(folder / f"{name}.txt", unknown=None)
        self.keys = [arrays[f"{name}_{length}"] for length in range(2, self.longest + 1)]

    def _pairs(self, runs: Ints, words: Ints, reviews: Ints, length: int) -> tuple[Ints, Ints]:
        """Return the keys of all runs of `length` words whose parts are known, and the places where they begin."""
        ahead = length - 1
        end = max(0, len(words) - ahead)
        is_run = (runs[:end] != NONE) & (words[ahead:] != NONE) & (reviews[:end] == reviews[ahead:])
        places = np.flatnonzero(is_run)
        return runs[places] * len(self.words) + words[places + ahead], places

    def _matrix(self, found: Sequence[tuple[Ints, Ints]], count: int) -> Any:
        from scipy import sparse

        sizes = [len(self.words), *(len(keys) for keys in self.keys)]
        rows, columns, first = [], [], 0
        for (runs, reviews), size in zip(found, sizes, strict=True):
            is_known = runs != NONE
            distinct = _distinct(runs[is_known], reviews[is_known], count)
            columns.append(first + distinct // count)
            rows.append(distinct % count)
            first += size
        places = (np.concatenate(rows), np.concatenate(columns))
        ones = np.ones(len(places[0]), dtype=np.float32)
        return sparse.csr_matrix((ones, places), shape=(count, first))


def _distinct(numbers: Ints, reviews: Ints, count: int) -> Ints:
    """Return `number * count + review` for each pair that occurs, once, rising."""
    # A sort of plain int64 is several times as fast as np.unique with its extras, or a dictionary.
    pairs = np.sort(numbers * count + reviews)
    return pairs[np.concatenate([[True], pairs[1:] != pairs[:-1]])] if len(pairs) else pairs


def _flat(
    reviews_words: Sequence[Sequence[str]], known: dict[str, int] | Vocabulary
) -> tuple[Ints, Ints]:
    """Return the number of every word of all reviews, and which review it is in.

    A dictionary takes in new words; a vocabulary gives `NONE` for those.
    """
    parts: list[NDArray[np.int32]] = []
    for words in reviews_words:
        if isinstance(known, dict):
            numbers = [known.setdefault(word, len(known)) for word in words]
        else:
            numbers = [known.id(word) if word in known else NONE for word in words]
        parts.append(np.array(numbers, dtype=np.int32))
    lengths = [len(part) for part in parts]
    flat = np.concatenate([np.zeros(0, dtype=np.int32), *parts]).astype(np.int64)
    return flat, np.repeat(np.arange(len(reviews_words)), lengths)
