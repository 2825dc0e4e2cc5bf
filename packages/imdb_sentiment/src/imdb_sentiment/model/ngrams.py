"""N-grams as columns of a sparse matrix, counted with sorted arrays instead of dictionaries of strings.

N counts reviews, F features. An n-gram is the pair (its first n - 1 words, its last word), each a number already; so an
n-gram of any length is one int64, and one whose beginning is too rare is never looked at. Counting the 25,000 reviews
with n-grams up to three takes seconds, where scikit-learn's CountVectorizer takes most of a minute and gives the same
columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.data.text import Tokenize
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

Ints = NDArray[np.int64]

NONE = -1
"""Number of an n-gram that is not a feature."""
CLUSTER_REVIEWS = 4500
"""An n-gram of clusters must occur in one of so many reviews: rarer ones take time and tell nothing more."""
FORMER_NAMES = {"prefixes": "stems"}
"""File names that runs of earlier versions have."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of all reviews, T of them, as numbers; what is done to words is done once for each word type.

    Parameters
    ----------
    types : list of str
        Word types, by first occurrence.
    numbers : int64 array (T,)
        The type of each token.
    reviews : int64 array (T,)
        The review of each token, rising.
    count : int
        N.
    """

    types: list[str]
    numbers: Ints
    reviews: Ints
    count: int

    @classmethod
    def of(cls, reviews_tokens: Iterable[Sequence[str]]) -> Tokens:
        """Number the tokens of reviews given one by one (N sequences)."""
        known: dict[str, int] = {}
        parts = [
            np.array([known.setdefault(token, len(known)) for token in tokens], dtype=np.int32)
            for tokens in reviews_tokens
        ]
        numbers = np.concatenate([np.zeros(0, dtype=np.int32), *parts]).astype(np.int64)
        reviews = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return cls(list(known), numbers, reviews, len(parts))

    def renamed(self, name_of: Callable[[str], str | None]) -> Tokens:
        """Give each type another name; types may get the same, and tokens whose type gets None are left out."""
        known: dict[str, int] = {}
        names = map(name_of, self.types)
        number_of = [NONE if n is None else known.setdefault(n, len(known)) for n in names]
        numbers = np.array(number_of, dtype=np.int64)[self.numbers]
        is_kept = numbers != NONE
        return Tokens(list(known), numbers[is_kept], self.reviews[is_kept], self.count)

    def numbered(self, vocabulary: Vocabulary) -> Ints:
        """Return the number of each token in a vocabulary (T,), or `NONE`."""
        known = [vocabulary.id(name) if name in vocabulary else NONE for name in self.types]
        return np.array(known, dtype=np.int64)[self.numbers]


class FeatureCounter:
    """Counts n-grams of words; if wanted, also unigrams and bigrams of word prefixes, and n-grams of word clusters.

    Prefixes stand in for stems: "disappointing" and "disappointed" have a feature in common, which helps rare forms.

    Parameters
    ----------
    tokenize : callable
        Review to tokens.
    longest : int
        Longest n-gram, >= 1.
    min_reviews : int
        Reviews that a feature must occur in, >= 1.
    prefix_letters : int or None
        Letters of a prefix; None: no prefixes.
    word_clusters : int or None
        Clusters of words; None: none.
    seed : int
        Of the clusters.

    Attributes
    ----------
    cluster_of : int64 array (V,)
        For each of the V words that are features, the number of the word that stands for its cluster.
    """

    def __init__(
        self,
        tokenize: Tokenize,
        longest: int,
        min_reviews: int,
        prefix_letters: int | None = None,
        word_clusters: int | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.tokenize, self.prefix_letters = tokenize, prefix_letters
        self.word_clusters, self.seed = word_clusters, seed
        self.parts = {"words": NgramCounter(longest, min_reviews)}
        if prefix_letters is not None:
            self.parts["prefixes"] = NgramCounter(min(2, longest), min_reviews)
        if word_clusters is not None:
            # Clusters are more frequent than words, so that longer n-grams of theirs are, too.
            self.parts["clusters"] = NgramCounter(longest + 1, min_reviews)
        self.cluster_of = np.zeros(0, dtype=np.int64)

    @property
    def features(self) -> int:
        """F."""
        return sum(part.features for part in self.parts.values())

    @property
    def min_reviews(self) -> Ints:
        """Reviews that each feature had to occur in, (F,)."""
        return np.concatenate([np.full(p.features, p.min_reviews) for p in self.parts.values()])

    @property
    def kinds(self) -> Ints:
        """Which part each feature is of, words, prefixes or clusters, by number (F,)."""
        return np.repeat(np.arange(len(self.parts)), [p.features for p in self.parts.values()])

    def fit(self, texts: Sequence[str], known: int | None = None) -> Any:
        """Choose the features; return the matrix that `transform` would.

        Parameters
        ----------
        texts : sequence of str (N,)
        known : int, optional
            Reviews, the first of all, that words are clustered by; default: all.

        Raises
        ------
        UserError
            No word is in enough reviews.
        """
        tokens = Tokens.of(map(self.tokenize, texts))
        matrices = [self.parts["words"].fit(tokens)]
        if self.word_clusters is not None:
            self._cluster(tokens, len(texts) if known is None else known)
        return self._stacked(tokens, matrices, NgramCounter.fit)

    def transform(self, texts: Sequence[str]) -> Any:
        """Return how often each feature occurs in each review, a scipy CSR matrix of float32 (N, F)."""
        tokens = Tokens.of(map(self.tokenize, texts))
        matrices = [self.parts["words"].transform(tokens)]
        return self._stacked(tokens, matrices, NgramCounter.transform)

    def name_of(self, feature: int) -> str:
        """Return the words of a column; prefixes end in a hyphen, words that stand for a cluster are in brackets."""
        for kind, part in self.parts.items():
            if feature < part.features:
                words = part.name_of(feature)
                if kind == "prefixes":
                    letters = self.prefix_letters
                    return " ".join(f"{w}-" if len(w) == letters else w for w in words.split())
                return f"[{words}]" if kind == "clusters" else words
            feature -= part.features
        raise IndexError(f"there are only {self.features} features")

    def save(self, folder: Path) -> dict[str, Ints]:
        """Write the unigrams; return the longer n-grams, for the model's own file."""
        arrays = {"cluster_of": self.cluster_of} if self.word_clusters is not None else {}
        for name, part in self.parts.items():
            arrays |= part.save(folder, name)
        return arrays

    def load(self, folder: Path, arrays: dict[str, Any]) -> None:
        """Read what `save` wrote and returned."""
        for name, part in self.parts.items():
            former = FORMER_NAMES.get(name, name)
            part.load(folder, former if (folder / f"{former}.txt").exists() else name, arrays)
        if self.word_clusters is not None:
            self.cluster_of = arrays["cluster_of"]

    def _cluster(self, tokens: Tokens, known: int) -> None:
        """Cluster the words of the first reviews."""
        from imdb_sentiment.model.word_clusters import cluster_words

        words = self.parts["words"]
        ends = np.searchsorted(tokens.reviews, np.arange(1, known + 1))
        sequences = np.split(tokens.numbered(words.words), ends)[:known]
        self.cluster_of = cluster_words(
            sequences,
            len(words.words),
            self.word_clusters or 1,
            min_reviews=words.min_reviews,
            seed=self.seed,
        )
        self.parts["clusters"].min_reviews = max(words.min_reviews, known // CLUSTER_REVIEWS)

    def _stacked(self, tokens: Tokens, matrices: list[Any], count: Callable[..., Any]) -> Any:
        """Return the matrix of words with those of the other parts, which are counted, beside it."""
        from scipy import sparse

        if "prefixes" in self.parts:
            letters = self.prefix_letters
            prefixes = tokens.renamed(lambda word: word[:letters] if word[0].isalnum() else None)
            matrices.append(count(self.parts["prefixes"], prefixes))
        if "clusters" in self.parts:
            words = self.parts["words"].words

            def cluster(word: str) -> str:
                return words.tokens[self.cluster_of[words.id(word)]] if word in words else word

            matrices.append(count(self.parts["clusters"], tokens.renamed(cluster)))
        return matrices[0] if len(matrices) == 1 else sparse.hstack(matrices, format="csr")


class NgramCounter:
    """Chooses the n-grams that occur in enough reviews, and then counts them.

    Parameters
    ----------
    longest : int
        Longest n-gram, >= 1.
    min_reviews : int
        Reviews that an n-gram must occur in, >= 1.

    Attributes
    ----------
    words : Vocabulary
        Unigrams, with the number of reviews that have them.
    keys : list of int64 arrays
        For n = 2, 3, ...: `number of the first n - 1 words * V + number of the last`, rising. The number of an n-gram
        is its position here.
    """

    def __init__(self, longest: int, min_reviews: int) -> None:
        self.longest, self.min_reviews = longest, min_reviews
        self.words = Vocabulary([], [], unknown=None)
        self.keys: list[Ints] = []

    @property
    def features(self) -> int:
        """F."""
        return len(self.words) + sum(len(keys) for keys in self.keys)

    def fit(self, tokens: Tokens) -> Any:
        """Choose the n-grams; return the matrix that `transform` would.

        Raises
        ------
        UserError
            No word is in enough reviews.
        """
        words, reviews, count = tokens.numbers, tokens.reviews, tokens.count
        in_reviews = _document_frequency(words, reviews, count, len(tokens.types))
        kept = np.flatnonzero(in_reviews >= self.min_reviews)
        if not len(kept):
            raise UserError(
                f"No word is in {self.min_reviews} of the {count} training reviews. "
                "Give more reviews, or a smaller --min-reviews."
            )
        names = tokens.types
        self.words = Vocabulary(
            [names[i] for i in kept.tolist()], in_reviews[kept].tolist(), unknown=None
        )
        numbers = np.full(len(names), NONE)
        numbers[kept] = np.arange(len(kept))
        words = numbers[words]
        self.keys = []
        ngrams, by_length = words, [words]
        for n in range(2, self.longest + 1):
            keys, positions = self._extended(ngrams, words, reviews, n)
            # Most n-grams are too rare. Counting hashes finds most of those, and only the others need to be sorted.
            hashes = keys % (2 * len(keys) + 1)
            is_possible = np.bincount(hashes)[hashes] >= self.min_reviews
            keys, positions = keys[is_possible], positions[is_possible]
            candidates, number_of = np.unique(keys, return_inverse=True)
            in_reviews = _document_frequency(number_of, reviews[positions], count, len(candidates))
            is_kept = in_reviews >= self.min_reviews
            numbers = np.where(is_kept, np.cumsum(is_kept) - 1, NONE)
            self.keys.append(candidates[is_kept])
            ngrams = np.full(len(words), NONE)
            ngrams[positions] = numbers[number_of]
            by_length.append(ngrams)
        return self._matrix(by_length, reviews, count)

    def transform(self, tokens: Tokens) -> Any:
        """Return how often each n-gram occurs in each review, a scipy CSR matrix of float32 (N, F)."""
        words, reviews = tokens.numbered(self.words), tokens.reviews
        ngrams, by_length = words, [words]
        for n, known in enumerate(self.keys, start=2):
            keys, positions = self._extended(ngrams, words, reviews, n)
            at = np.minimum(np.searchsorted(known, keys), max(0, len(known) - 1))
            is_known = known[at] == keys if len(known) else np.zeros(len(keys), dtype=bool)
            ngrams = np.full(len(words), NONE)
            ngrams[positions] = np.where(is_known, at, NONE)
            by_length.append(ngrams)
        return self._matrix(by_length, reviews, tokens.count)

    def name_of(self, feature: int) -> str:
        """Return the words of a column."""
        words: list[str] = []
        sizes = [len(self.words), *(len(keys) for keys in self.keys)]
        n = 0
        while feature >= sizes[n]:
            feature -= sizes[n]
            n += 1
        while n:
            feature, last = divmod(int(self.keys[n - 1][feature]), len(self.words))
            words.append(self.words.tokens[last])
            n -= 1
        return " ".join([self.words.tokens[feature], *reversed(words)])

    def save(self, folder: Path, name: str) -> dict[str, Ints]:
        """Write the unigrams as `<name>.txt`; return the longer n-grams by name, for the model's own file."""
        self.words.save(folder / f"{name}.txt")
        return {f"{name}_{n}": keys for n, keys in enumerate(self.keys, start=2)}

    def load(self, folder: Path, name: str, arrays: dict[str, Any]) -> None:
        """Read what `save` wrote and returned."""
        self.words = Vocabulary.load(folder / f"{name}.txt", unknown=None)
        self.keys = [arrays[f"{name}_{n}"] for n in range(2, self.longest + 1)]

    def _extended(self, ngrams: Ints, words: Ints, reviews: Ints, n: int) -> tuple[Ints, Ints]:
        """Return the keys of all n-grams whose first n - 1 words and last word are known, and where they begin."""
        ahead = n - 1
        end = max(0, len(words) - ahead)
        is_ngram = (
            (ngrams[:end] != NONE) & (words[ahead:] != NONE) & (reviews[:end] == reviews[ahead:])
        )
        positions = np.flatnonzero(is_ngram)
        return ngrams[positions] * len(self.words) + words[positions + ahead], positions

    def _matrix(self, by_length: Sequence[Ints], reviews: Ints, count: int) -> Any:
        from scipy import sparse

        sizes = [len(self.words), *(len(keys) for keys in self.keys)]
        rows, columns, occurrences, first = [], [], [], 0
        for ngrams, size in zip(by_length, sizes, strict=True):
            is_known = ngrams != NONE
            pairs, counts = _pairs(ngrams[is_known], reviews[is_known], count)
            columns.append(first + pairs // count)
            rows.append(pairs % count)
            occurrences.append(counts)
            first += size
        cells = (np.concatenate(rows), np.concatenate(columns))
        values = np.concatenate(occurrences).astype(np.float32)
        return sparse.csr_matrix((values, cells), shape=(count, first))


def document_frequency(counts: Any) -> Ints:
    """Return in how many reviews each feature of a CSR matrix (N, F) occurs, (F,)."""
    return np.bincount(counts.indices, minlength=counts.shape[1])


def _pairs(numbers: Ints, reviews: Ints, count: int) -> tuple[Ints, Ints]:
    """Return `number * count + review` of each pair that occurs, rising, and how often it does."""
    # A sort of plain int64 is several times as fast as np.unique with its extras, or a dictionary.
    pairs = np.sort(numbers * count + reviews)
    starts = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1])) if len(pairs) else pairs
    return pairs[starts], np.diff(np.append(starts, len(pairs)))


def _document_frequency(numbers: Ints, reviews: Ints, count: int, size: int) -> Ints:
    return np.bincount(_pairs(numbers, reviews, count)[0] // count, minlength=size)
