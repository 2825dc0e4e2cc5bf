from __future__ import annotations

from collections.abc import Iterable

from shared.data.words import NAMES, SCENES


def assert_unique(words: Iterable[str]) -> None:
    words = list(words)
    assert sorted(words) == sorted(set(words))
    assert all(word.isascii() and word.isalpha() for word in words)


def test_scenes_have_words_of_their_own() -> None:
    assert {(len(nouns), len(verbs)) for nouns, verbs in SCENES.values()} == {(8, 4)}
    assert_unique(word for scene in SCENES.values() for words in scene for word in words)


def test_names_are_unique_and_capitalized() -> None:
    assert_unique(NAMES)
    assert all(name.istitle() for name in NAMES)
