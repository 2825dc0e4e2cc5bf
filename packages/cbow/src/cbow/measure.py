"""Three measures of word vectors: synonym recall, analogies, and agreement with rated word pairs.

All of them read small files of the field's own formats and count what the vocabulary lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.data.synonyms import Synonyms, load_synonyms, read_text
from cbow.model.vectors import WordVectors
from shared.errors import UserError

__all__ = [
    "AnalogyScore",
    "Band",
    "PairCorrelation",
    "SectionScore",
    "SynonymRecall",
    "analogy_accuracy",
    "load_analogies",
    "load_synonyms",
    "load_word_pairs",
    "pair_correlation",
    "pearson",
    "synonym_recall",
    "tied_ranks",
]

BANDS = (1, 15, 50, 200)
"""Lower ends of the frequency bands of `SynonymRecall.bands`, in occurrences of the query word."""

_QUERIES_AT_ONCE = 512  # bounds the table of cosines to 512 rows


@dataclass(frozen=True)
class Band:
    """Recall of the query words whose count is `low` or more and below `high` (None: no end)."""

    low: int
    high: int | None
    words: int
    hits: int
    listed: int
    recall: float


@dataclass(frozen=True)
class SynonymRecall:
    """Micro-averaged recall of listed synonyms among the nearest words; shares are 0 to 1."""

    recall: float
    """`hits / listed`."""
    hits: int
    listed: int
    """All synonyms of the list, those without a vector and those of skipped words included."""
    ceiling: float
    """The most that any vectors of this vocabulary could reach at this k."""
    interval: tuple[float, float]
    """95 % bootstrap interval of the recall over query words."""
    words: int
    """Query words that have a vector."""
    words_skipped: int
    """Query words that have none; their synonyms count as missed."""
    k: int
    bands: tuple[Band, ...] = ()
    """Recall by frequency of the query word, where the vectors carry counts."""


@dataclass(frozen=True)
class SectionScore:
    """Questions of one section: answered right, asked, and skipped because a word has no vector."""

    name: str
    correct: int
    total: int
    skipped: int
    accuracy: float
    """`correct / total`, 0 where nothing could be asked."""


@dataclass(frozen=True)
class AnalogyScore:
    """The score of each section and of all together."""

    sections: tuple[SectionScore, ...]
    total: SectionScore


@dataclass(frozen=True)
class PairCorrelation:
    """Correlation of cosines with human scores; None where fewer than two pairs or no spread."""

    spearman: float | None
    pearson: float | None
    pairs: int
    """Pairs compared."""
    skipped: int
    """Pairs left out because a word has no vector."""


def synonym_recall(
    vectors: WordVectors,
    synonyms: Synonyms,
    k: int = 40,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> SynonymRecall:
    """Share of the listed synonyms that are among the k words nearest to their query word.

    The query word itself is the first of the k, as in the assignment, so 39 others are looked at
    for k = 40. Words of equal cosine rank in vocabulary order.

    Parameters
    ----------
    vectors : WordVectors
    synonyms : mapping of str to sequence of str
        From `load_synonyms`.
    k : int
        Nearest words looked at, the word itself included, 2 or more.
    resamples : int
        Bootstrap samples of the query words.
    seed : int
        Of the bootstrap.
    """
    if k < 2:
        raise UserError(f"k is {k}; it counts the word itself, so it must be 2 or more.")
    listed_of = np.array([len(listed) for listed in synonyms.values()], dtype=np.int64)
    if listed_of.sum() == 0:
        raise UserError("The synonym list has no synonym in it; there is nothing to recall.")

    words = list(synonyms)
    known = np.array([word in vectors for word in words])
    hits_of = np.zeros(len(words), dtype=np.int64)
    reachable = 0
    for start in range(0, len(words), _QUERIES_AT_ONCE):
        batch = [i for i in range(start, min(start + _QUERIES_AT_ONCE, len(words))) if known[i]]
        queries = [vectors.row(words[i]) for i in batch]
        table = vectors.unit[queries] @ vectors.unit.T  # (Q, V)
        for i, query, cosines in zip(batch, queries, table, strict=True):
            wanted = [vectors.row(s) for s in synonyms[words[i]] if s in vectors]
            hits_of[i] = (_ranks(cosines, query, wanted) < k).sum()
            reachable += min(len(wanted), k - 1)

    hits, listed = int(hits_of.sum()), int(listed_of.sum())
    return SynonymRecall(
        recall=hits / listed,
        hits=hits,
        listed=listed,
        ceiling=reachable / listed,
        interval=_bootstrap(hits_of, listed_of, resamples, seed),
        words=int(known.sum()),
        words_skipped=int((~known).sum()),
        k=k,
        bands=_bands(vectors, words, known, hits_of, listed_of),
    )


def _ranks(cosines: NDArray[Any], query: int, wanted: Sequence[int]) -> NDArray[np.int64]:
    # Rank of each wanted word: 0 is the query word itself, whatever its cosine is.
    ranks = []
    for row in wanted:
        nearer = cosines > cosines[row]
        nearer[:row] |= cosines[:row] == cosines[row]
        nearer[query] = True
        ranks.append(int(nearer.sum()) if row != query else 0)
    return np.array(ranks, dtype=np.int64)


def _bootstrap(
    hits_of: NDArray[np.int64], listed_of: NDArray[np.int64], resamples: int, seed: int
) -> tuple[float, float]:
    # Words are drawn, not synonyms: synonyms of one word are hit or missed together.
    generator = np.random.default_rng(seed)
    recalls = np.empty(resamples)
    for i in range(resamples):  # row by row: a table of resamples x words may be large
        drawn = generator.integers(len(hits_of), size=len(hits_of))
        recalls[i] = hits_of[drawn].sum() / max(1, listed_of[drawn].sum())
    low, high = np.percentile(recalls, [2.5, 97.5])
    return float(low), float(high)


def _bands(
    vectors: WordVectors,
    words: Sequence[str],
    known: NDArray[np.bool_],
    hits_of: NDArray[np.int64],
    listed_of: NDArray[np.int64],
) -> tuple[Band, ...]:
    if vectors.counts is None:
        return ()
    count_of = np.array(
        [vectors.counts[vectors.row(w)] if k else -1 for w, k in zip(words, known, strict=True)]
    )
    bands = []
    for low, high in zip(BANDS, (*BANDS[1:], None), strict=True):
        inside = known & (count_of >= low) & (count_of < (high or np.inf))
        hits, listed = int(hits_of[inside].sum()), int(listed_of[inside].sum())
        share = hits / listed if listed else 0.0
        bands.append(Band(low, high, int(inside.sum()), hits, listed, share))
    return tuple(bands)


def load_analogies(path: Path | str) -> dict[str, list[tuple[str, str, str, str]]]:
    """Read `questions-words.txt`: `: section` lines, and four words a line, "a b c d".

    Returns
    -------
    dict of section name to questions
        Questions before the first section line are in the section "".
    """
    path = Path(path)
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    current: list[tuple[str, str, str, str]] | None = None
    for number, line in _lines(path):
        if line.startswith(":"):
            current = sections.setdefault(line[1:].strip(), [])
            continue
        question = line.split()
        if len(question) != 4:
            raise UserError(
                f"{path}:{number}: {len(question)} words. Expected four, or a line ': section'."
            )
        if current is None:
            current = sections.setdefault("", [])
        current.append((question[0], question[1], question[2], question[3]))
    if not any(sections.values()):
        raise UserError(f"{path}: no question. Expected lines of four words, 'a b c d'.")
    return sections


def analogy_accuracy(
    vectors: WordVectors,
    questions: Mapping[str, Sequence[tuple[str, str, str, str]]],
    *,
    lowercase: bool = True,
) -> AnalogyScore:
    """Share of "a is to b as c is to d" where d is nearest to b - a + c (a, b, c left out).

    Parameters
    ----------
    vectors : WordVectors
    questions : mapping of str to questions
        From `load_analogies`.
    lowercase : bool
        Lower-case the questions first, as our tokenizer does with the corpus.

    References
    ----------
    Mikolov et al. 2013, arXiv 1301.3781, section 4.
    """
    sections = []
    for name, asked in questions.items():
        rows, skipped = [], 0
        for question in asked:
            words = [word.lower() for word in question] if lowercase else list(question)
            if all(word in vectors for word in words):
                rows.append([vectors.row(word) for word in words])
            else:
                skipped += 1
        correct = 0
        for start in range(0, len(rows), _QUERIES_AT_ONCE):
            a, b, c, d = np.array(rows[start : start + _QUERIES_AT_ONCE]).T
            unit = vectors.unit
            cosines = (unit[b] - unit[a] + unit[c]) @ unit.T  # (Q, V), lengths do not matter here
            at = np.arange(len(a))
            for given in (a, b, c):
                cosines[at, given] = -np.inf
            correct += int((cosines.argmax(axis=1) == d).sum())
        sections.append(_section(name, correct, len(rows), skipped))
    total = _section(
        "total",
        sum(section.correct for section in sections),
        sum(section.total for section in sections),
        sum(section.skipped for section in sections),
    )
    return AnalogyScore(tuple(sections), total)


def _section(name: str, correct: int, total: int, skipped: int) -> SectionScore:
    return SectionScore(name, correct, total, skipped, correct / total if total else 0.0)


def load_word_pairs(path: Path | str) -> list[tuple[str, str, float]]:
    """Read pairs of words with a human score, as WordSim-353, SimLex-999 and MEN are published.

    Columns are split at tabs, else commas, else spaces (the first line decides). The two words come
    first; the score is the first later column that holds a number. A first line without a number
    is a header, lines starting with `#` are comments.
    """
    path = Path(path)
    pairs: list[tuple[str, str, float]] = []
    mark: str | None = None
    column = -1
    for position, (number, line) in enumerate(_lines(path)):
        if position == 0:
            mark = "\t" if "\t" in line else "," if "," in line else None
        cells = [cell.strip() for cell in line.split(mark)]
        if column < 0:
            numbers = [i for i in range(2, len(cells)) if _number(cells[i]) is not None]
            if not numbers and position == 0:
                continue  # the header
            column = numbers[0] if numbers else -1
        score = _number(cells[column]) if 0 <= column < len(cells) else None
        if score is None or not cells[0] or not cells[1]:
            raise UserError(f"{path}:{number}: expected two words and a score, got {line[:60]!r}.")
        pairs.append((cells[0], cells[1], score))
    if not pairs:
        raise UserError(f"{path}: no pair. Expected lines of two words and a score.")
    return pairs


def pair_correlation(
    vectors: WordVectors, pairs: Sequence[tuple[str, str, float]], *, lowercase: bool = True
) -> PairCorrelation:
    """Correlation of the cosines of word pairs with human scores.

    Parameters
    ----------
    vectors : WordVectors
    pairs : sequence of (word, word, score)
        From `load_word_pairs`.
    lowercase : bool
        Lower-case the words first, as our tokenizer does with the corpus.
    """
    cosines, scores = [], []
    for first, second, score in pairs:
        a, b = (first.lower(), second.lower()) if lowercase else (first, second)
        if a in vectors and b in vectors:
            cosines.append(vectors.similarity(a, b))
            scores.append(score)
    x, y = np.array(cosines), np.array(scores)
    return PairCorrelation(
        spearman=pearson(tied_ranks(x), tied_ranks(y)),
        pearson=pearson(x, y),
        pairs=len(cosines),
        skipped=len(pairs) - len(cosines),
    )


def tied_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which], dtype=np.float64)


def pearson(x: NDArray[Any], y: NDArray[Any]) -> float | None:
    """Pearson's correlation, or None where it is not defined (below two values, or no spread)."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def recall_lines(recall: SynonymRecall, name: str) -> list[str]:
    """Say a recall in lines of text: the figure, its interval, its ceiling, its frequency bands."""
    low, high = recall.interval
    lines = [
        f"recall@{recall.k} {100 * recall.recall:.2f} % (95 % interval {100 * low:.1f}-{100 * high:.1f}, "
        f"ceiling {100 * recall.ceiling:.1f} %): {recall.hits} of {recall.listed} synonyms in {name}"
    ]
    if recall.words_skipped:
        lines.append(
            f"{recall.words_skipped} of its words have no vector; their synonyms count as missed"
        )
    for band in (band for band in recall.bands if band.words):
        seen = f"{band.low} to {band.high - 1}" if band.high is not None else f"{band.low} or more"
        share = f"{100 * band.recall:6.2f} %  {band.hits}/{band.listed}"
        lines.append(f"  {share}  {band.words} words seen {seen} times")
    return lines
