"""Every figure the task reports: synonym recall, analogy accuracy, correlation with rated word pairs.

A word of a test is looked up as written, else without regard to case. What the vocabulary lacks is counted, and a
figure for which nothing could be counted is None, not 0.

Shapes: V words, D vector size, Q queries of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.data.evaluation_sets import Question, WordPair
from cbow.data.synonyms import Synonyms
from cbow.model.vectors import WordVectors
from shared.errors import UserError

NEIGHBORS = 40
"""The k of recall@k in the assignment."""
BANDS = (1, 15, 50, 200)
"""Lower ends of the frequency bands of `SynonymRecall.bands`, in occurrences of the query word."""

_QUERIES_AT_ONCE = 512
_TABLE = 1 << 25  # cosines held at once, 128 MB: fewer queries with many words


@dataclass(frozen=True)
class Band:
    """Recall of the query words whose count is `low` or more and below `high` (None: no upper end)."""

    low: int
    high: int | None
    words: int
    hits: int
    listed: int
    recall: float | None


@dataclass(frozen=True)
class SynonymRecall:
    """Micro-averaged recall of listed synonyms among the nearest words, as fractions from 0 to 1."""

    recall: float | None
    """`hits / listed`; None if no query word has a vector."""
    hits: int
    listed: int
    """All synonyms of the list, those without a vector and those of skipped words included."""
    ceiling: float
    """The highest recall that any vectors of this vocabulary could reach at this k."""
    interval: tuple[float, float] | None
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
    accuracy: float | None
    """`correct / total`; None if no question could be asked."""


@dataclass(frozen=True)
class AnalogyScore:
    """The score of each section and of all together."""

    sections: tuple[SectionScore, ...]
    total: SectionScore


@dataclass(frozen=True)
class PairCorrelation:
    """Correlation of cosines with human scores; None for fewer than two pairs or without spread."""

    spearman: float | None
    pearson: float | None
    pairs: int
    """Pairs compared."""
    skipped: int
    """Pairs left out because a word has no vector."""


def synonym_recall(
    vectors: WordVectors,
    synonyms: Synonyms,
    k: int = NEIGHBORS,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> SynonymRecall:
    """Recall at k: the fraction of the listed synonyms that are among the k words nearest to their query word.

    The query word itself is the first of the k, as in the assignment, so k = 40 leaves 39 others. Words of equal cosine
    rank in vocabulary order.

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
        Seed of the bootstrap.

    Raises
    ------
    UserError
        `k` is below 2, or the list has no synonym.
    """
    if k < 2:
        raise UserError(f"k is {k}; it counts the word itself, so it must be 2 or more.")
    listed_of = np.array([len(listed) for listed in synonyms.values()], dtype=np.int64)
    if listed_of.sum() == 0:
        raise UserError("The synonym list has no synonym in it; there is nothing to recall.")

    rows = [vectors.find(word) for word in synonyms]
    # A word may have the row of one that differs in case only: a row counts once, the query's own never.
    listed_rows = [
        list({row: None for row in map(vectors.find, listed) if row is not None and row != own})
        for own, listed in zip(rows, synonyms.values(), strict=True)
    ]
    hits_of = np.zeros(len(rows), dtype=np.int64)
    reachable = 0
    queries = [(i, row) for i, row in enumerate(rows) if row is not None]
    at_once = _queries_at_once(vectors)
    for start in range(0, len(queries), at_once):
        batch = queries[start : start + at_once]
        table = vectors.unit[[row for _, row in batch]] @ vectors.unit.T  # (Q, V)
        for (i, query), cosines in zip(batch, table, strict=True):
            hits_of[i] = (_ranks(cosines, query, listed_rows[i]) < k).sum()
            reachable += min(len(listed_rows[i]), k - 1)

    hits, listed = int(hits_of.sum()), int(listed_of.sum())
    is_measured = bool(queries)
    return SynonymRecall(
        recall=hits / listed if is_measured else None,
        hits=hits,
        listed=listed,
        ceiling=reachable / listed,
        interval=_bootstrap(hits_of, listed_of, resamples, seed) if is_measured else None,
        words=len(queries),
        words_skipped=len(rows) - len(queries),
        k=k,
        bands=_bands(vectors, rows, hits_of, listed_of),
    )


def analogy_accuracy(
    vectors: WordVectors, questions: Mapping[str, Sequence[Question]]
) -> AnalogyScore:
    """Accuracy on "a is to b as c is to d": d must be the nearest word to b - a + c.

    The words a, b and c are no answers, nor are words that differ from them in case only.

    Parameters
    ----------
    vectors : WordVectors
    questions : mapping of str to questions
        From `load_analogies`.

    References
    ----------
    Mikolov et al. 2013, arXiv 1301.3781, section 4. 3CosAdd: Levy & Goldberg 2014, equation 1.
    """
    same_word, at_once = vectors.case_groups, _queries_at_once(vectors)
    sections = []
    for name, asked in questions.items():
        all_rows = [[vectors.find(word) for word in question] for question in asked]
        rows = [question for question in all_rows if None not in question]
        correct = 0
        for start in range(0, len(rows), at_once):
            a, b, c, d = np.array(rows[start : start + at_once]).T  # (Q,) each
            unit = vectors.unit
            # argmax over cosines: the target's length does not matter
            scores = (unit[b] - unit[a] + unit[c]) @ unit.T  # (Q, V)
            for given in (a, b, c):
                scores[same_word[None, :] == same_word[given][:, None]] = -np.inf
            correct += int((same_word[scores.argmax(axis=1)] == same_word[d]).sum())
        sections.append(_section(name, correct, len(rows), len(asked) - len(rows)))
    total = _section(
        "total",
        sum(section.correct for section in sections),
        sum(section.total for section in sections),
        sum(section.skipped for section in sections),
    )
    return AnalogyScore(tuple(sections), total)


def pair_correlation(vectors: WordVectors, pairs: Sequence[WordPair]) -> PairCorrelation:
    """Correlation of the cosines of word pairs with human scores.

    Parameters
    ----------
    vectors : WordVectors
    pairs : sequence of (word, word, score)
        From `load_word_pairs`.
    """
    cosines, scores = [], []
    for first, second, score in pairs:
        a, b = vectors.find(first), vectors.find(second)
        if a is not None and b is not None:
            cosines.append(float(vectors.unit[a] @ vectors.unit[b]))
            scores.append(score)
    x, y = np.array(cosines), np.array(scores)
    return PairCorrelation(
        spearman=pearson(tied_ranks(x), tied_ranks(y)),
        pearson=pearson(x, y),
        pairs=len(cosines),
        skipped=len(pairs) - len(cosines),
    )


def tied_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks from 1; equal values get the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[which], dtype=np.float64)


def pearson(x: NDArray[Any], y: NDArray[Any]) -> float | None:
    """Pearson's correlation, or None where it is not defined (below two values, or no spread)."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def recall_lines(recall: SynonymRecall, name: str) -> list[str]:
    """Return a recall as lines of text: the figure, its interval, its ceiling, its frequency bands."""
    if recall.recall is None or recall.interval is None:
        return [
            f"recall@{recall.k} -: none of the {recall.words_skipped} words of {name} has a vector"
        ]
    low, high = recall.interval
    lines = [
        f"recall@{recall.k} {100 * recall.recall:.2f} % (95 % interval {100 * low:.1f}-{100 * high:.1f}, "
        f"ceiling {100 * recall.ceiling:.1f} %): {recall.hits} of {recall.listed} synonyms in {name}"
    ]
    if recall.words_skipped:
        lines.append(
            f"{recall.words_skipped} of its words have no vector; their synonyms count as missed"
        )
    for band in recall.bands:
        if band.recall is None:
            continue
        seen = f"{band.low} to {band.high - 1}" if band.high is not None else f"{band.low} or more"
        hits = f"{100 * band.recall:6.2f} %  {band.hits}/{band.listed}"
        lines.append(f"  {hits}  {band.words} words seen {seen} times")
    return lines


def analogy_lines(score: AnalogyScore) -> list[str]:
    """Return the accuracy of each section and of all as lines of text."""
    lines = []
    for section in (*score.sections, score.total):
        accuracy, counted = f"{'-':>8}", "none asked"
        if section.accuracy is not None:
            accuracy = f"{100 * section.accuracy:6.2f} %"
            counted = f"{section.correct}/{section.total}"
        lines.append(f"{accuracy}  {counted}  {section.skipped} skipped  {section.name}")
    if score.total.accuracy is None:
        lines.append("no question has a vector for each of its four words: nothing was measured")
    return lines


def correlation_line(pairs: PairCorrelation) -> str:
    """Return both correlations as a line of text."""
    figures = ", ".join(
        f"{name} {'-' if value is None else f'{value:.4f}'}"
        for name, value in (("Spearman", pairs.spearman), ("Pearson", pairs.pearson))
    )
    return f"{figures} on {pairs.pairs} pairs, {pairs.skipped} skipped"


def _queries_at_once(vectors: WordVectors) -> int:
    return max(1, min(_QUERIES_AT_ONCE, _TABLE // max(1, len(vectors))))


def _ranks(cosines: NDArray[Any], query: int, wanted: Sequence[int]) -> NDArray[np.int64]:
    """Rank of each wanted row by cosine; 0 is the query word itself, whatever its cosine is."""
    ranks = []
    for row in wanted:
        nearer = cosines > cosines[row]
        nearer[:row] |= cosines[:row] == cosines[row]
        nearer[query] = True
        ranks.append(int(nearer.sum()))
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
    rows: Sequence[int | None],
    hits_of: NDArray[np.int64],
    listed_of: NDArray[np.int64],
) -> tuple[Band, ...]:
    """Split the recall by the count of the query word; words without a vector are in no band."""
    if vectors.counts is None:
        return ()
    count_of = np.array([-1 if row is None else vectors.counts[row] for row in rows])
    bands = []
    for low, high in zip(BANDS, (*BANDS[1:], None), strict=True):
        inside = (count_of >= low) & (count_of < (high or np.inf))
        hits, listed = int(hits_of[inside].sum()), int(listed_of[inside].sum())
        recall = hits / listed if listed else None
        bands.append(Band(low, high, int(inside.sum()), hits, listed, recall))
    return tuple(bands)


def _section(name: str, correct: int, total: int, skipped: int) -> SectionScore:
    return SectionScore(name, correct, total, skipped, correct / total if total else None)
