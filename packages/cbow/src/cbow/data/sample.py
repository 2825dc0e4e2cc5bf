"""A small made-up data set in the layout of the assignment's: treebank.txt, synonyms.json, debug.txt.

Sentences follow templates over made-up words. Words of one meaning replace each other at random, so a model that learns
anything gives them similar vectors; `synonyms.json` lists them. All of it is a function of `SEED`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.files import whole_file, write_json

SEED = 7
TOPICS = 12
MEANINGS_PER_TOPIC = 8
WORDS_PER_MEANING = 3
SENTENCES = 3000
_FUNCTION_WORDS = ("the", "a", "of", "and", "in", "to", "is", "was", "with", "for")
_DEBUG_LINES = """\
i drink tea
we drink tea
they drink tea
i read a long book
we read a long book
they read a long book
i walk slow
we walk slow
they walk slow
the sky looks blue
the sea looks blue
all of them can sing
"""


def write(folder: Path) -> None:
    """Write the sample's three files into a folder, which is made if missing."""
    random = np.random.default_rng(SEED)
    meanings = _meanings(random)
    with whole_file(folder / "treebank.txt") as file:
        file.writelines(_sentence(random, meanings) + "\n" for _ in range(SENTENCES))
    synonyms = [
        [word, [other for other in words if other != word]]
        for topic in meanings[: TOPICS // 2]
        for words in topic
        for word in words[:1]
    ]
    write_json(folder / "synonyms.json", synonyms)
    with whole_file(folder / "debug.txt") as file:
        file.write(_DEBUG_LINES)


def _meanings(random: np.random.Generator) -> list[list[list[str]]]:
    """Return made-up words by topic and meaning."""
    wanted = TOPICS * MEANINGS_PER_TOPIC * WORDS_PER_MEANING
    words: list[str] = []
    while len(words) < wanted:
        syllables = random.integers(2, 4)
        letters = ("bdfgklmnprstvz", "aeiou")
        word = "".join(
            part[random.integers(len(part))] for _ in range(syllables) for part in letters
        )
        if word not in words and word not in _FUNCTION_WORDS:
            words.append(word)
    array = np.array(words).reshape(TOPICS, MEANINGS_PER_TOPIC, WORDS_PER_MEANING)
    return [[[str(word) for word in words] for words in topic] for topic in array]


def _sentence(random: np.random.Generator, meanings: list[list[list[str]]]) -> str:
    """Return one sentence: four meanings of one topic, in the topic's order, between function words."""
    topic = meanings[random.integers(TOPICS)]
    start = random.integers(MEANINGS_PER_TOPIC)
    words = []
    for step in range(4):
        meaning = topic[(start + step) % MEANINGS_PER_TOPIC]
        words.append(_FUNCTION_WORDS[random.integers(len(_FUNCTION_WORDS))])
        words.append(meaning[random.integers(WORDS_PER_MEANING)])
    return " ".join(words).capitalize() + "."
