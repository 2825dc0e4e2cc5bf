from __future__ import annotations

from collections.abc import Iterable

from shared.data.words import BLAME, NAMES, PRAISE, SCENES, TITLES


def assert_unique(words: Iterable[str]) -> None:
    words = list(words)
    assert sorted(words) == sorted(set(words))
    assert all(word.isascii() and word.isalpha() for word in words)


def test_scenes_have_words_of_their_own() -> None:
    assert {(len(nouns), len(verbs)) for nouns, verbs in SCENES.values()} == {(8, 4)}
    assert_unique(word for scene in SCENES.values() for words in scene for word in words)


def test_names_titles_and_judgements_are_unique_and_enough_for_the_samples() -> None:
    for words, least in ((NAMES, 24), (TITLES, 120), ((*PRAISE, *BLAME), 16)):
        assert_unique(words)
        assert len(words) >= least
    assert all(word.istitle() for word in (*NAMES, *TITLES))
