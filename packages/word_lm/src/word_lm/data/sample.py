"""A small made-up text in WikiText-2's layout: train.txt, valid.txt, test.txt.

Articles have a title, a blank line, and sentences from templates. Within an article the subject and the topic stay the
same, so a model gains from long context, and every choice is drawn with a known probability, so the perplexity of the
generating process is known. Everything is determined by `SEED`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.data.words import NAMES, SCENES
from shared.files import whole_file

SEED = 7
ARTICLES = {"train": 260, "valid": 26, "test": 26}
SENTENCES = 12
TOPICS = tuple(SCENES.values())[:6]
"""Nouns, by falling frequency, and verbs of each topic."""
SUBJECTS = NAMES[:24]
RARE = 0.05
"""Probability that a noun is written as `<unk>`, as WikiText does with rare words."""
EXPECTED_PERPLEXITY = (2.7, 5.5)
"""Test perplexity: of the generating process, and the highest that a trained model should have."""


def write(folder: Path) -> dict[str, float]:
    """Write the three files into a folder, which is made if missing.

    Returns
    -------
    dict of str to float
        Perplexity of the generating process on each file: exp of the mean negative log-probability of a token.
    """
    random = np.random.default_rng(SEED)
    perplexities = {}
    for name, articles in ARTICLES.items():
        with whole_file(folder / f"{name}.txt") as file:
            writer = _Writer(random)
            for _ in range(articles):
                file.writelines(_article(writer))
            perplexities[name] = math.exp(writer.nll / writer.tokens)
    return perplexities


@dataclass
class _Writer:
    """Draw words and add up the negative log-probability of each draw, in nats."""

    random: np.random.Generator
    nll: float = 0.0
    tokens: int = 0

    def choose(self, options: Sequence[str], weights: Sequence[float] | None = None) -> str:
        """Draw one of several words."""
        probabilities = weights or [1 / len(options)] * len(options)
        index = int(self.random.choice(len(options), p=probabilities))
        self.nll -= math.log(probabilities[index])
        return options[index]

    def line(self, *words: str) -> str:
        """Return a line as WikiText writes it, a space before and after; its `<eos>` counts."""
        self.tokens += len(words) + 1
        return f" {' '.join(words)} \n" if words else " \n"


def _article(writer: _Writer) -> list[str]:
    """Return an article's lines."""
    name = writer.choose(SUBJECTS)
    nouns, verbs = TOPICS[int(writer.choose([str(number) for number in range(len(TOPICS))]))]
    lines = [writer.line(), writer.line("=", name, "="), writer.line()]
    body: list[str] = []
    for _ in range(SENTENCES):
        body += _sentence(writer, name, nouns, verbs)
    return [*lines, writer.line(*body)]


def _sentence(writer: _Writer, name: str, nouns: Sequence[str], verbs: Sequence[str]) -> list[str]:
    """Return one sentence about the article's subject."""
    subject = (
        [name]
        if writer.choose(["name", "noun"], [0.6, 0.4]) == "name"
        else ["the", _noun(writer, nouns)]
    )
    verb = writer.choose(verbs)
    article = writer.choose(["a", "the"], [0.3, 0.7])
    sentence = [*subject, verb, article, _noun(writer, nouns)]
    if writer.choose(["stop", "with"], [0.7, 0.3]) == "with":
        sentence += ["with", "the", _noun(writer, nouns)]
    return [*sentence, "."]


def _noun(writer: _Writer, nouns: Sequence[str]) -> str:
    # Zipf's law, as in real text.
    weights = [1 / rank for rank in range(1, len(nouns) + 1)]
    scale = (1 - RARE) / sum(weights)
    return writer.choose([*nouns, "<unk>"], [*(scale * weight for weight in weights), RARE])
