"""A small made-up text in WikiText-2's layout: train.txt, valid.txt, test.txt.

Articles have a title, a blank line, and sentences from templates. Within an article the subject and the topic stay the
same, so a model gains from long context, and every choice is drawn with a known probability, so the perplexity of the
generating process is known. Everything is determined by `SEED`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.files import whole_file

SEED = 7
ARTICLES = {"train": 260, "valid": 26, "test": 26}
SENTENCES = 12
TOPICS, NOUNS, VERBS, NAMES = 6, 8, 4, 24
RARE = 0.05
"""Probability that a noun is written as `<unk>`, as WikiText does with rare words."""
EXPECTED_PERPLEXITY = (2.7, 5.5)
"""Test perplexity: of the generating process, and the highest that a trained model should have."""

_LETTERS = ("bdfgklmnprstvz", "aeiou")


def write(folder: Path) -> dict[str, float]:
    """Write the three files into a folder, which is made if missing.

    Returns
    -------
    dict of str to float
        Perplexity of the generating process on each file: exp of the mean negative log-probability of a token.
    """
    random = np.random.default_rng(SEED)
    words = _Words(random)
    perplexities = {}
    for name, articles in ARTICLES.items():
        with whole_file(folder / f"{name}.txt") as file:
            writer = _Writer(random)
            for _ in range(articles):
                file.writelines(_article(writer, words))
            perplexities[name] = math.exp(writer.nll / writer.tokens)
    return perplexities


class _Words:
    """Made-up words: nouns and verbs by topic, names for all."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random, self._taken = random, set()  # type: np.random.Generator, set[str]
        self.nouns = [self._some(NOUNS) for _ in range(TOPICS)]
        self.verbs = [self._some(VERBS) for _ in range(TOPICS)]
        self.names = [word.capitalize() for word in self._some(NAMES)]

    def _some(self, count: int) -> list[str]:
        made: list[str] = []
        while len(made) < count:
            syllables = self._random.integers(2, 4)
            word = "".join(
                kind[self._random.integers(len(kind))]
                for _ in range(syllables)
                for kind in _LETTERS
            )
            if word not in self._taken:
                self._taken.add(word)
                made.append(word)
        return made


@dataclass
class _Writer:
    """Draw words and add up the negative log-probability of each draw, in nats."""

    random: np.random.Generator
    nll: float = 0.0
    tokens: int = 0

    def choose(self, options: list[str], weights: list[float] | None = None) -> str:
        """Draw one of several words."""
        probabilities = weights or [1 / len(options)] * len(options)
        index = int(self.random.choice(len(options), p=probabilities))
        self.nll -= math.log(probabilities[index])
        return options[index]

    def line(self, *words: str) -> str:
        """Return a line as WikiText writes it, a space before and after; its `<eos>` counts."""
        self.tokens += len(words) + 1
        return f" {' '.join(words)} \n" if words else " \n"


def _article(writer: _Writer, words: _Words) -> list[str]:
    """Return an article's lines."""
    name = writer.choose(words.names)
    topic = int(writer.choose([str(number) for number in range(TOPICS)]))
    lines = [writer.line(), writer.line("=", name, "="), writer.line()]
    body: list[str] = []
    for _ in range(SENTENCES):
        body += _sentence(writer, words, name, topic)
    return [*lines, writer.line(*body)]


def _sentence(writer: _Writer, words: _Words, name: str, topic: int) -> list[str]:
    """Return one sentence about the article's subject."""
    subject = (
        [name]
        if writer.choose(["name", "noun"], [0.6, 0.4]) == "name"
        else ["the", _noun(writer, words, topic)]
    )
    verb = writer.choose(words.verbs[topic])
    article = writer.choose(["a", "the"], [0.3, 0.7])
    sentence = [*subject, verb, article, _noun(writer, words, topic)]
    if writer.choose(["stop", "with"], [0.7, 0.3]) == "with":
        sentence += ["with", "the", _noun(writer, words, topic)]
    return [*sentence, "."]


def _noun(writer: _Writer, words: _Words, topic: int) -> str:
    nouns = words.nouns[topic]
    # Zipf's law, as in real text.
    weights = [1 / rank for rank in range(1, len(nouns) + 1)]
    scale = (1 - RARE) / sum(weights)
    return writer.choose([*nouns, "<unk>"], [*(scale * weight for weight in weights), RARE])
