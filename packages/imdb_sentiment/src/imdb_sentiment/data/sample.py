"""Made-up reviews in the publisher's layout, from a known rule.

A film has a name of its own, which its reviews mention and which says nothing about the class. A review is a few
sentences: some tell the story, some give an opinion. An opinion is a word of praise or blame, plain or negated by
"not", so that unigrams mislead in a known fraction of the sentences and bigrams do not. In a known fraction of the
reviews, `HARD`, the opinions contradict the class, which no model can see. Everything follows from `SEED`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.files import whole_file

SEED = 11
FILMS = {"train": 80, "test": 40}
REVIEWS_OF_A_FILM = 5
"""In each class; so train has 800 reviews, test 400."""
NEGATED = 0.35
"""Fraction of the opinions that are negated."""
HARD = 0.06
"""Fraction of the reviews that contradict their class."""
EXPECTED_ACCURACY = (0.84, 0.97)
"""Range for a trained model on the test reviews; one that knew the rule would have about 1 - HARD."""

_LETTERS = ("bdfgklmnprstvz", "aeiou")
_GOOD = ("brilliant", "moving", "charming", "superb", "funny", "clever", "gripping", "lovely")
_BAD = ("boring", "awful", "clumsy", "stupid", "dull", "tedious", "lifeless", "dreadful")
_THINGS = ("acting", "story", "ending", "music", "script", "camera work", "hero", "villain")


def write(folder: Path) -> None:
    """Write the reviews and the lists of films into a folder, which is made if missing."""
    random = np.random.default_rng(SEED)
    for split, films in FILMS.items():
        names = [_name(random) for _ in range(films)]
        for kind in ("neg", "pos"):
            here = folder / split / kind
            here.mkdir(parents=True, exist_ok=True)
            for number in range(films * REVIEWS_OF_A_FILM):
                name = names[number // REVIEWS_OF_A_FILM]
                rating = int(random.choice((7, 8, 9, 10) if kind == "pos" else (1, 2, 3, 4)))
                text = _review(random, name, kind == "pos", rating)
                (here / f"{number}_{rating}.txt").write_text(text, encoding="utf-8")
            with whole_file(folder / split / f"urls_{kind}.txt") as file:
                first = 0 if split == "train" else films * 10
                for number in range(films * REVIEWS_OF_A_FILM):
                    title = first + number // REVIEWS_OF_A_FILM
                    file.write(f"http://www.imdb.com/title/tt{title:07d}/usercomments\n")


def _name(random: np.random.Generator) -> str:
    syllables = [letters[random.integers(len(letters))] for _ in range(3) for letters in _LETTERS]
    return "".join(syllables).capitalize()


def _review(random: np.random.Generator, film: str, is_positive: bool, rating: int) -> str:
    """Return a review; those with strong ratings have more opinions."""
    if random.random() < HARD:
        is_positive = not is_positive
    opinions = 3 if rating in (1, 2, 9, 10) else 2
    sentences = [_plot(random, film) for _ in range(int(random.integers(2, 6)))]
    for _ in range(opinions):
        position = int(random.integers(len(sentences) + 1))
        sentences.insert(position, _opinion(random, is_positive))
    middle = len(sentences) // 2
    return " ".join(sentences[:middle]) + "<br /><br />" + " ".join(sentences[middle:])


def _plot(random: np.random.Generator, film: str) -> str:
    who, thing = (
        random.choice(("a man", "a girl", "the police", "my friend")),
        _one(random, _THINGS),
    )
    return str(
        random.choice(
            (
                f"In {film}, {who} looks for the {thing} of a lifetime.",
                f"I saw {film} with {who} last week.",
                f"The {thing} of {film} takes {int(random.integers(2, 90))} minutes.",
                f"Then {who} comes home, and {film} begins again.",
            )
        )
    )


def _opinion(random: np.random.Generator, is_positive: bool) -> str:
    is_negated = random.random() < NEGATED
    word = _one(random, _GOOD if is_positive != is_negated else _BAD)
    middle = "is not" if is_negated else "is"
    return f"The {_one(random, _THINGS)} {middle} {word}{'!' if random.random() < 0.3 else '.'}"


def _one(random: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(random.integers(len(words)))]
