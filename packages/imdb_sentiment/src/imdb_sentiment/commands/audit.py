"""The verb `audit`: duplicates, leaks and contradictions in a data folder, and the lengths of its reviews.

Two reviews are duplicates when their words are equal, whatever the case, punctuation and HTML between them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field

import numpy as np

from imdb_sentiment.commands.options import AuditOptions
from imdb_sentiment.data.dataset import Columns, find, has_test, read_split
from imdb_sentiment.data.reviews import CLASSES, Reviews
from shared.pages.report import Report
from shared.text.tokenizers import review_tokens

FEW = 3
"""Reviews with fewer words have hardly any content."""


@dataclass(frozen=True)
class Lengths:
    """Words of the reviews of a split.

    Parameters
    ----------
    shortest, median, longest : int
    mean, deviation : float
        Mean and standard deviation.
    limit : int
        Mean plus two standard deviations: the coursework's length limit.
    covered : float
        Fraction of the reviews within that limit, 0 to 1.
    """

    shortest: int
    median: int
    longest: int
    mean: float
    deviation: float
    limit: int
    covered: float


@dataclass
class Findings:
    """Result of an audit; reviews are named by their files, `train/pos/17_8.txt`.

    Parameters
    ----------
    reviews : dict of split to int
        Number of reviews.
    duplicates_within : dict of split to list of list of str
        Groups of duplicates within a split.
    duplicates_across : list of list of str
        Groups that are in several splits.
    leaks : int
        Test reviews that are in train too.
    contradictory : list of list of str
        Groups that are in several classes.
    shared_films : list of str
        Films that are in all splits.
    empty, short : list of str
        Reviews without a word, and of fewer than `FEW`.
    odd_ratings : list of str
        Reviews of more than 5 stars in neg, or of 5 and fewer in pos.
    lengths : dict of split to Lengths
    """

    reviews: dict[str, int] = field(default_factory=dict)
    duplicates_within: dict[str, list[list[str]]] = field(default_factory=dict)
    duplicates_across: list[list[str]] = field(default_factory=list)
    leaks: int = 0
    contradictory: list[list[str]] = field(default_factory=list)
    shared_films: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    short: list[str] = field(default_factory=list)
    odd_ratings: list[str] = field(default_factory=list)
    lengths: dict[str, Lengths] = field(default_factory=dict)


def run(options: AuditOptions) -> int:
    """Check the data and print what is wrong (verb `audit`)."""
    folder, _ = find(options.data)
    columns = Columns(
        options.text_column, options.label_column, options.separator, options.encoding
    )
    splits = {"train": read_split(folder, "train", columns=columns)}
    if has_test(folder):
        splits["test"] = read_split(folder, "test", splits["train"].classes, columns)
    findings = audit(splits)
    if options.out:
        _page(findings, folder.name, options.show).save(options.out)
    if options.json:
        print(json.dumps(asdict(findings)))
        return 0
    for line in lines(findings, options.show):
        print(line)
    if options.out:
        print(f"The page is {options.out}.")
    return 0


def audit(splits: dict[str, Reviews]) -> Findings:
    """Compare all reviews with all others.

    Parameters
    ----------
    splits : dict of name to Reviews
    """
    findings = Findings()
    by_words: dict[tuple[str, ...], list[tuple[str, str, int]]] = defaultdict(list)
    for split, reviews in splits.items():
        findings.reviews[split] = len(reviews)
        sizes = []
        columns = zip(reviews.names, reviews.texts, reviews.labels.tolist(), strict=True)
        for name, text, label in columns:
            words = tuple(review_tokens(text))
            sizes.append(len(words))
            if not words:
                findings.empty.append(name)
                continue
            if len(words) < FEW:
                findings.short.append(name)
            by_words[words].append((split, name, label))
        if sizes:
            findings.lengths[split] = lengths_of(sizes)
        is_odd = (reviews.ratings > 5) != (reviews.labels == 1)
        is_odd &= (reviews.ratings > 0) & (reviews.classes == CLASSES)
        findings.odd_ratings += [reviews.names[i] for i in is_odd.nonzero()[0].tolist()]
    for group in by_words.values():
        if len(group) < 2:
            continue
        names = [name for _, name, _ in group]
        if len({label for _, _, label in group}) > 1:
            findings.contradictory.append(names)
        if len({split for split, _, _ in group}) > 1:
            findings.duplicates_across.append(names)
            findings.leaks += sum(split == "test" for split, _, _ in group)
        for split in splits:
            own = [name for s, name, _ in group if s == split]
            if len(own) > 1:
                findings.duplicates_within.setdefault(split, []).append(own)
    films = [set(reviews.films) - {""} for reviews in splits.values()]
    findings.shared_films = sorted(set.intersection(*films)) if len(films) > 1 else []
    return findings


def lengths_of(sizes: list[int]) -> Lengths:
    """Return the statistics of the lengths (N,) of reviews, N >= 1."""
    ordered = np.sort(sizes)
    mean, deviation = float(ordered.mean()), float(ordered.std())
    limit = round(mean + 2 * deviation)
    return Lengths(
        shortest=int(ordered[0]),
        median=int(ordered[len(ordered) // 2]),
        longest=int(ordered[-1]),
        mean=mean,
        deviation=deviation,
        limit=limit,
        covered=float((ordered <= limit).mean()),
    )


def rows(findings: Findings, show: int) -> list[tuple[str, int, str]]:
    """Return (what, how many, the first of them) for each kind of finding."""

    def groups(some: list[list[str]]) -> str:
        return "; ".join(" = ".join(group) for group in some[:show])

    def names(some: list[str]) -> str:
        return ", ".join(some[:show])

    across = groups(findings.duplicates_across)
    table: list[tuple[str, int, str]] = [
        ("test reviews that are in train too", findings.leaks, across),
    ]
    for split in findings.reviews:
        within = findings.duplicates_within.get(split, [])
        table.append(
            (f"duplicates within {split}", sum(len(g) - 1 for g in within), groups(within))
        )
    contradictory, odd = findings.contradictory, findings.odd_ratings
    return [
        *table,
        ("duplicates in several classes", len(contradictory), groups(contradictory)),
        ("films in train and test", len(findings.shared_films), names(findings.shared_films)),
        ("reviews without a word", len(findings.empty), names(findings.empty)),
        (f"reviews of fewer than {FEW} words", len(findings.short), names(findings.short)),
        ("ratings that contradict the folder", len(odd), names(odd)),
    ]


def lines(findings: Findings, show: int) -> list[str]:
    """Return the findings as lines of text."""
    text = []
    for split, count in findings.reviews.items():
        text.append(f"{split}: {count:,} reviews")
        own = findings.lengths.get(split)
        if own is not None:
            text.append(
                f"  words: {own.shortest:,} to {own.longest:,}, median {own.median:,}, mean {own.mean:.1f}, standard "
                f"deviation {own.deviation:.1f}"
            )
            text.append(
                f"  mean + 2 standard deviations: {own.limit:,} words, which {own.covered:.1%} of the reviews do not "
                "exceed"
            )
    for what, count, first in rows(findings, show):
        text.append(f"{count:>6,}  {what}{f': {first}' if first else ''}")
    return text


def _page(findings: Findings, name: str, show: int) -> Report:
    page = Report("Audit of the data", name)
    header = [
        *("split", "reviews", "shortest", "median", "mean", "longest", "mean + 2 sd"),
        "within it",
    ]
    page.table(
        header,
        [
            [
                *(split, count, own.shortest, own.median, f"{own.mean:.1f}", own.longest),
                *(own.limit, f"{own.covered:.1%}"),
            ]
            for split, count in findings.reviews.items()
            if (own := findings.lengths.get(split)) is not None
        ],
        caption="Words in a review",
    )
    page.table(
        ["finding", "how many", f"the first {show}"],
        [[what, count, first or None] for what, count, first in rows(findings, show)],
    )
    page.text(
        "Reviews are duplicates when their words are equal, whatever the case, punctuation and HTML. A model may have "
        "memorized a test review that is in train too; accuracy gains at most their fraction of the test reviews."
    )
    return page
