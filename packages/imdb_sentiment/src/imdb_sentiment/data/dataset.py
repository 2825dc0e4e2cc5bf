"""The reviews: found, read, split by film.

    <folder>/{train,test}/{pos,neg}/<id>_<rating>.txt      one review a file, UTF-8
    <folder>/{train,test}/urls_{pos,neg}.txt               line n: the film of review n (optional)

The class is the folder's, the rating the file name's. `train/unsup` is never read. N counts reviews.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data import sample
from shared.data.checksum import describe
from shared.data.datasets import data_root
from shared.data.samples import data_or_sample
from shared.errors import UserError

DATA_SET = "aclImdb"
FOLDERS = ("neg", "pos")
"""Folders of the classes, in the order of the labels."""
CLASSES = ("negative", "positive")
"""Names of the classes, in the order of the labels."""
RATINGS = (1, 2, 3, 4, 7, 8, 9, 10)
"""The ratings that the data set has; 5 and 6 were left out by its makers."""
LAYOUT = "Expected {train,test}/{pos,neg}/<id>_<rating>.txt."

_NAME = re.compile(r"(\d+)_(\d+)\.txt")
_FILM = re.compile(r"/title/(tt\d+)")


def task_classes(task: str) -> tuple[str, ...]:
    """Return the names of the classes (C,) that a task predicts, in the order of its targets."""
    return CLASSES if task == "polarity" else tuple(map(str, RATINGS))


@dataclass(frozen=True)
class Reviews:
    """Some reviews with what is known of each.

    Parameters
    ----------
    texts : list of str (N,)
        As in the files.
    labels : int64 array (N,)
        0 negative, 1 positive.
    ratings : int64 array (N,)
        1 to 10.
    films : list of str (N,)
        What film it is about; empty where the publisher's list is missing.
    names : list of str (N,)
        `train/pos/17_8.txt`.
    """

    texts: list[str]
    labels: NDArray[np.int64]
    ratings: NDArray[np.int64]
    films: list[str]
    names: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, places: NDArray[np.int64]) -> Reviews:
        """Return the reviews at some places."""
        chosen = places.tolist()
        return Reviews(
            [self.texts[i] for i in chosen],
            self.labels[places],
            self.ratings[places],
            [self.films[i] for i in chosen],
            [self.names[i] for i in chosen],
        )

    def targets(self, task: str) -> NDArray[np.int64]:
        """Return what a task asks for: the label, or the place of the rating in `RATINGS`.

        Raises
        ------
        UserError
            The task is `rating`, and a review has 5 or 6.
        """
        if task == "polarity":
            return self.labels
        places = np.searchsorted(RATINGS, self.ratings)
        wrong = np.flatnonzero(np.array(RATINGS)[np.minimum(places, 7)] != self.ratings)
        if len(wrong):
            raise UserError(
                f"{self.names[wrong[0]]}: has the rating {self.ratings[wrong[0]]}. "
                f"--task rating expects {', '.join(map(str, RATINGS))}."
            )
        return places.astype(np.int64)


@dataclass(frozen=True)
class Data:
    """Train, valid and test reviews.

    Parameters
    ----------
    train, valid, test : Reviews
        No film is in both train and valid where the lists of films are there.
    is_sample : bool
        It is the made-up data.
    listing : dict
        Name and checksum of the folder.
    """

    train: Reviews
    valid: Reviews
    test: Reviews
    is_sample: bool
    listing: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """Return what `summary.json` says about the data."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        counts = {name: len(part) for name, part in parts.items()}
        has_films = all(self.train.films) and all(self.valid.films)
        split = "by film" if has_films else "by id"
        return {**self.listing, "is_sample": self.is_sample, "reviews": counts, "split": split}


def find(given: str | None) -> tuple[Path, bool]:
    """Return the data's folder, and whether it is the sample."""
    return data_or_sample(DATA_SET, given, sample.write)


def load_data(config: TrainConfig) -> Data:
    """Read the data that a configuration names; `load` tells the errors."""
    return load(
        config.data,
        valid_fraction=config.valid_fraction,
        limit=config.limit,
        seed=config.seed,
        test_limit=config.test_limit,
    )


def load(
    given: str | None,
    *,
    valid_fraction: float,
    limit: int | None,
    seed: int,
    test_limit: int | None = None,
) -> Data:
    """Read the data, and put some of the training reviews aside for validation.

    Parameters
    ----------
    given : str or None
        Value of `--data`.
    valid_fraction : float
        Part of the training reviews that becomes validation, above 0 and below 1.
    limit : int or None
        Training reviews to keep, half of each class; validation stays whole.
    seed : int
        Seed of the choice of those.
    test_limit : int or None
        Test reviews to keep, half of each class, the same for every seed.

    Raises
    ------
    UserError
        A folder is missing, a file's name or text is not what it should be, or there are too few reviews.
    """
    folder, is_sample = find(given)
    whole, test = read_split(folder, "train"), read_split(folder, "test")
    is_valid = validation_mask(whole, valid_fraction)
    train, valid = (whole.take(np.flatnonzero(mask)) for mask in (~is_valid, is_valid))
    if limit is not None:
        train = subset(train, limit, seed)
    if test_limit is not None:
        test = subset(test, test_limit, seed=0, flag="--test-limit")
    for name, part in (("train", train), ("valid", valid)):
        if len(np.unique(part.labels)) < 2:
            raise UserError(
                f"{folder / 'train'}: too few reviews: {name} would have {len(part)}, all of one class. "
                "Give more reviews, or another --valid-fraction."
            )
    return Data(train, valid, test, is_sample, describe(folder).as_dict())


def read_split(folder: Path, split: str) -> Reviews:
    """Read the labelled reviews of `train` or `test`, negative ones first, each class by id.

    Raises
    ------
    UserError
        A class folder is missing or empty, a file's name is not `<id>_<rating>.txt`, its rating is not 1 to 10, or
        its text is not UTF-8.
    """
    texts: list[str] = []
    labels: list[int] = []
    ratings: list[int] = []
    films: list[str] = []
    names: list[str] = []
    for label, kind in enumerate(FOLDERS):
        found = _files(folder / split / kind)
        listed = _films(folder / split / f"urls_{kind}.txt")
        for number, rating, name in found:
            texts.append(_text(folder / split / kind / name))
            labels.append(label)
            ratings.append(rating)
            films.append(listed[number] if number < len(listed) else "")
            names.append(f"{split}/{kind}/{name}")
    return Reviews(texts, np.array(labels), np.array(ratings), films, names)


def validation_mask(reviews: Reviews, fraction: float) -> NDArray[np.bool_]:
    """Choose whole films for validation, the same ones in every run.

    Reviews of one film name the same people and agree more than others, so a film on both sides makes validation too
    easy. Films come in the order of a hash of their names, which no seed changes. Without a list of films, the last
    reviews of each class by id are taken: a film's reviews have neighbouring ids, so at most a few films are cut.

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
    wanted = fraction * len(reviews)
    if not all(reviews.films):
        mask = np.zeros(len(reviews), dtype=bool)
        for label in range(len(CLASSES)):
            own = np.flatnonzero(reviews.labels == label)
            mask[own[len(own) - round(fraction * len(own)) :]] = True
        return mask
    films, film_of, counts = np.unique(reviews.films, return_inverse=True, return_counts=True)
    order = sorted(range(len(films)), key=lambda i: hashlib.sha256(str(films[i]).encode()).digest())
    before = np.cumsum(counts[order]) - counts[order]
    chosen = np.zeros(len(films), dtype=bool)
    chosen[np.array(order)[before < wanted]] = True
    return chosen[film_of]


def subset(reviews: Reviews, count: int, seed: int, flag: str = "--limit") -> Reviews:
    """Return `count` reviews, half of each class, in the order they had.

    A larger count with the same seed holds all of a smaller one's, so that a learning curve adds reviews.

    Raises
    ------
    UserError
        There are not so many.
    """
    halves = (count - count // 2, count // 2)
    kept = []
    for label, half in enumerate(halves):
        own = np.flatnonzero(reviews.labels == label)
        if half > len(own):
            raise UserError(
                f"{flag} {count}: there are only {len(own)} {FOLDERS[label]} reviews. "
                f"Expected at most {2 * len(own)}."
            )
        kept.append(np.random.default_rng([seed, label]).permutation(own)[:half])
    return reviews.take(np.sort(np.concatenate(kept)))


def glove_file() -> Path | None:
    """Return the 100 numbers a word that the coursework used, if they are in the data root."""
    path = data_root() / "glove.6B" / "glove.6B.100d.txt"
    return path if path.is_file() else None


def _files(folder: Path) -> list[tuple[int, int, str]]:
    """Return (id, rating, name) of the reviews of one class, by id."""
    try:
        entries = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: not found. {LAYOUT}") from None
    found = []
    for name in entries:
        if name.startswith("."):  # what desktops leave behind
            continue
        match = _NAME.fullmatch(name)
        if match is None:
            shown = name if name.isprintable() else repr(name)  # one line, whatever is in it
            raise UserError(f"{folder / shown}: is not named <id>_<rating>.txt. {LAYOUT}")
        number, rating = int(match[1]), int(match[2])
        if not 1 <= rating <= 10:
            raise UserError(f"{folder / name}: the rating is {rating}. Expected 1 to 10.")
        found.append((number, rating, name))
    if not found:
        raise UserError(f"{folder}: holds no review. {LAYOUT}")
    return sorted(found)


def _text(path: Path) -> str:
    # open() with an encoding costs three times as much for a small file.
    with open(path, "rb", buffering=0) as file:
        content = file.read()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}:{line}: is not UTF-8 ({error.reason}). Expected UTF-8 text. Convert it, for example with iconv."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{path}:{line}: holds a NUL byte, so it is no text. Expected a text file.")
    return text.removeprefix("\ufeff")


def _films(path: Path) -> Sequence[str]:
    """Return the film of each review id; empty if there is no such list."""
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [match[1] if (match := _FILM.search(line)) else line.strip() for line in lines]
