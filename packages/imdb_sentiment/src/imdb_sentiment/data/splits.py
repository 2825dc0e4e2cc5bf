"""Which reviews are for validation and for test, and balanced subsets. N counts reviews."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.data.reviews import Reviews
from shared.errors import UserError

FOLDS = 8
"""Parts of the training reviews, where what is counted for one's reviews is counted on the others."""


def validation_mask(reviews: Reviews, fraction: float) -> NDArray[np.bool_]:
    """Choose reviews for validation, the same ones in every run.

    Whole films where films are known: reviews of one film name the same people and agree more than others, so a film
    on both sides makes validation too easy. Films come in the order of a hash of their names, which no seed changes.
    With the publisher's file names alone, the last reviews of each class by id: a film's reviews have neighboring ids,
    so at most a few films are cut. Else `stratified_mask`.

    Parameters
    ----------
    reviews : Reviews
        Each class by id.
    fraction : float
        Least fraction of the reviews to choose.

    Returns
    -------
    bool array (N,)
    """
    if reviews.grouping == "text":
        return stratified_mask(reviews, fraction)
    if reviews.grouping == "id":
        mask = np.zeros(len(reviews), dtype=bool)
        for label in range(len(reviews.classes)):
            own = np.flatnonzero(reviews.labels == label)
            mask[own[len(own) - round(fraction * len(own)) :]] = True
        return mask
    wanted = fraction * len(reviews)
    films, film_of, counts = np.unique(reviews.films, return_inverse=True, return_counts=True)
    order = sorted(range(len(films)), key=lambda i: _hash(str(films[i])))
    before = np.cumsum(counts[order]) - counts[order]
    chosen = np.zeros(len(films), dtype=bool)
    chosen[np.array(order)[before < wanted]] = True
    return chosen[film_of]


def stratified_mask(reviews: Reviews, fraction: float) -> NDArray[np.bool_]:
    """Choose a fraction of each class, the same reviews in every run and in whatever order they come.

    They come in the order of a hash of their texts, and equal texts stay together, so that no duplicate is on both
    sides; unless a class has hardly any other text.

    Returns
    -------
    bool array (N,)
        At least one review of each class that has two.
    """
    hashes = [_hash(_normalized(text)) for text in reviews.texts]
    mask = np.zeros(len(reviews), dtype=bool)
    for label in range(len(reviews.classes)):
        own = np.flatnonzero(reviews.labels == label).tolist()
        if len(own) < 2:
            continue
        wanted = min(max(1, round(fraction * len(own))), len(own) - 1)
        groups: dict[bytes, list[int]] = {}
        for index in sorted(own, key=lambda i: hashes[i]):
            groups.setdefault(hashes[index], []).append(index)
        chosen: list[int] = []
        for group in groups.values():
            room = wanted - len(chosen)
            if len(group) <= room or (not chosen and len(group) <= len(own) // 2):
                chosen += group
        mask[chosen or own[:wanted]] = True
    return mask


def folds_of(reviews: Reviews, count: int = FOLDS) -> NDArray[np.int64]:
    """Divide reviews into folds, in every run alike, with those of a film, or of one text, in the same.

    Returns
    -------
    int64 array (N,)
        The fold of each review, 0 to below `count`.
    """
    names = reviews.films if reviews.grouping == "film" else map(_normalized, reviews.texts)
    hashes = [int.from_bytes(_hash(name)[:8], "big") for name in names]
    return np.array([number % count for number in hashes], dtype=np.int64)


def subset(reviews: Reviews, count: int, seed: int, flag: str = "--limit") -> Reviews:
    """Return `count` reviews, as many of each class as there are, in the order they had.

    A larger count with the same seed contains all of a smaller one's, so that a learning curve adds reviews.

    Raises
    ------
    UserError
        There are not so many.
    """
    if count > len(reviews):
        raise UserError(
            f"{flag} {count}: there are only {len(reviews)} reviews. Expected at most as many."
        )
    own = [np.flatnonzero(reviews.labels == label) for label in range(len(reviews.classes))]
    sizes = _equal_sizes(count, [len(part) for part in own])
    kept = [
        np.random.default_rng([seed, label]).permutation(part)[:size]
        for label, (part, size) in enumerate(zip(own, sizes, strict=True))
    ]
    return reviews.take(np.sort(np.concatenate(kept)))


def _equal_sizes(count: int, most: list[int]) -> list[int]:
    """Deal a count out equally; a class with fewer reviews gives all it has, and the others more."""
    sizes = [0] * len(most)
    while count:
        open_ = [i for i, size in enumerate(sizes) if size < most[i]]
        equal, extra = divmod(count, len(open_))
        for position, i in enumerate(open_):
            added = min(equal + (position < extra), most[i] - sizes[i])
            sizes[i] += added
            count -= added
    return sizes


def _normalized(text: str) -> str:
    return " ".join(text.lower().split())


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
