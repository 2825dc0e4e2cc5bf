"""What is wrong with a data folder: reviews there twice, in train and test, or in both classes; films in both.

Reviews count as the same when their words are, whatever the case, punctuation and HTML between them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from imdb_sentiment.commands.options import AuditOptions
from imdb_sentiment.data.dataset import Reviews, find, read_split
from shared.pages.report import Report
from shared.text.tokenizers import review_tokens

FEW = 3
"""Reviews with fewer words hardly say anything."""


@dataclass
class Findings:
    """What was found; reviews are named by their files, `train/pos/17_8.txt`.

    Parameters
    ----------
    reviews : dict of split to int
        How many there are.
    same_within : dict of split to list of list of str
        Groups of reviews that are the same, within a split.
    same_across : list of list of str
        Groups that are in several splits.
    contradictory : list of list of str
        Groups that are in both classes.
    shared_films : list of str
        Films that are in all splits.
    empty, short : list of str
        Reviews without a word, and of fewer than `FEW`.
    odd_ratings : list of str
        Reviews of more than 5 stars in neg, or of 5 and fewer in pos.
    lengths : dict of split to list of int
        Words of the shortest, the middle and the longest review.
    """

    reviews: dict[str, int] = field(default_factory=dict)
    same_within: dict[str, list[list[str]]] = field(default_factory=dict)
    same_across: list[list[str]] = field(default_factory=list)
    contradictory: list[list[str]] = field(default_factory=list)
    shared_films: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    short: list[str] = field(default_factory=list)
    odd_ratings: list[str] = field(default_factory=list)
    lengths: dict[str, list[int]] = field(default_factory=dict)

    @property
    def leaks(self) -> int:
        """Test reviews that are in train too."""
        return sum(name.startswith("test/") for group in self.same_across for name in group)


def run(options: AuditOptions) -> int:
    """Look through the data and say what is wrong (verb `audit`)."""
    folder, _ = find(options.data)
    found = audit({name: read_split(folder, name) for name in ("train", "test")})
    if options.out:
        _page(found, folder.name, options.show).save(options.out)
    if options.json:
        print(json.dumps(as_dict(found)))
        return 0
    for line in lines(found, options.show):
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
    found = Findings()
    same: dict[tuple[str, ...], list[tuple[str, str, int]]] = defaultdict(list)
    for split, reviews in splits.items():
        found.reviews[split] = len(reviews)
        sizes = []
        pairs = zip(reviews.names, reviews.texts, reviews.labels.tolist(), strict=True)
        for name, text, label in pairs:
            words = tuple(review_tokens(text))
            sizes.append(len(words))
            if not words:
                found.empty.append(name)
                continue
            if len(words) < FEW:
                found.short.append(name)
            same[words].append((split, name, label))
        sizes.sort()
        found.lengths[split] = [sizes[0], sizes[len(sizes) // 2], sizes[-1]] if sizes else []
        contrary = (reviews.ratings > 5) != (reviews.labels == 1)
        found.odd_ratings += [reviews.names[i] for i in contrary.nonzero()[0].tolist()]
    for group in same.values():
        if len(group) < 2:
            continue
        names = [name for _, name, _ in group]
        if len({label for _, _, label in group}) > 1:
            found.contradictory.append(names)
        if len({split for split, _, _ in group}) > 1:
            found.same_across.append(names)
        for split in splits:
            own = [name for s, name, _ in group if s == split]
            if len(own) > 1:
                found.same_within.setdefault(split, []).append(own)
    films = [set(reviews.films) - {""} for reviews in splits.values()]
    found.shared_films = sorted(set.intersection(*films)) if len(films) > 1 else []
    return found


def as_dict(found: Findings) -> dict[str, Any]:
    """Return everything that was found, as JSON values."""
    return {**found.__dict__, "leaks": found.leaks}


def rows(found: Findings, show: int) -> list[tuple[str, int, str]]:
    """Return (what, how many, the first of them) for each kind of finding."""

    def groups(some: list[list[str]]) -> str:
        return "; ".join(" = ".join(group) for group in some[:show])

    kinds: list[tuple[str, int, str]] = [
        ("test reviews that are in train too", found.leaks, groups(found.same_across)),
    ]
    for split in found.reviews:
        twice = found.same_within.get(split, [])
        kinds.append((f"copies within {split}", sum(len(g) - 1 for g in twice), groups(twice)))
    return [
        *kinds,
        ("same review in both classes", len(found.contradictory), groups(found.contradictory)),
        ("films in train and test", len(found.shared_films), ", ".join(found.shared_films[:show])),
        ("reviews without a word", len(found.empty), ", ".join(found.empty[:show])),
        (f"reviews of fewer than {FEW} words", len(found.short), ", ".join(found.short[:show])),
        ("ratings that contradict the folder", len(found.odd_ratings), ", ".join(found.odd_ratings[:show])),
    ]  # fmt: skip


def lines(found: Findings, show: int) -> list[str]:
    """Return the findings for people."""
    text = [
        f"{split}: {count:,} reviews; words in the shortest, middle, longest: "
        f"{', '.join(f'{size:,}' for size in found.lengths[split])}"
        for split, count in found.reviews.items()
    ]
    for what, count, first in rows(found, show):
        text.append(f"{count:>6,}  {what}{f': {first}' if first else ''}")
    return text


def _page(found: Findings, name: str, show: int) -> Report:
    page = Report("What is wrong with the data", name)
    counts = [[split, count, *found.lengths[split]] for split, count in found.reviews.items()]
    page.table(["", "reviews", "shortest", "middle", "longest (words)"], counts)
    page.table(
        ["found", "how many", f"the first {show}"],
        [[what, count, first or None] for what, count, first in rows(found, show)],
    )
    page.text(
        "Reviews count as the same when their words are, whatever the case, punctuation and HTML. A test review that "
        "is in train too is answered from memory; what accuracy gains by it is at most their share of the test reviews."
    )
    return page
