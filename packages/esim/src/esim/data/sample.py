"""A small made-up data set in SNLI's layout: snli_1.0_train.jsonl, snli_1.0_dev.jsonl, snli_1.0_test.jsonl.

A premise states two of three facts about somebody (what, where, when). A hypothesis states one: the same
(entailment), another value of it (contradiction), or the third fact, which the premise leaves open (neutral). Every
hypothesis is as likely under each label, so it takes both sentences to know. One label in twenty is drawn at random,
so the best possible accuracy is known. All of it follows from `SEED`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from esim.data.labels import CONTRADICTION, ENTAILMENT, LABELS, NEUTRAL
from shared.files import whole_file

SEED = 11
PREMISES = {"train": 1000, "dev": 200, "test": 200}
"""Premises of each file; each comes with three hypotheses."""
NOISE = 0.05
"""Fraction of labels drawn at random."""
UNLABELED = 0.01
"""Fraction of pairs without a gold label (`-`)."""
EXPECTED_ACCURACY = (0.8, 1 - NOISE * 2 / 3)
"""Range of a trained model's test accuracy; the upper end is the best possible. Guessing gives 1/3."""

_WHO = {
    "animal": ("dog", "cat", "horse", "goat", "fox"),
    "person": ("man", "woman", "boy", "girl", "nurse"),
}
_THINGS = {
    "what": ("runs", "sleeps", "eats", "waits", "plays"),
    "where": ("inside", "outside", "upstairs", "nearby", "indoors"),
    "when": ("today", "tonight", "always", "again", "now"),
}


def write(folder: Path) -> dict[str, int]:
    """Write the three files into a folder, creating it if missing.

    Returns
    -------
    dict of str to int
        Pairs with a label in each file.
    """
    random = np.random.default_rng(SEED)
    counts = {}
    for name, count in PREMISES.items():
        rows = [row for number in range(count) for row in _pairs(random, number)]
        with whole_file(folder / f"snli_1.0_{name}.jsonl") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        counts[name] = sum(row["gold_label"] != "-" for row in rows)
    return counts


def _pairs(random: np.random.Generator, number: int) -> list[dict[str, Any]]:
    """Return the three pairs of one premise, one for each label."""
    category = _pick(random, list(_WHO))
    who = _pick(random, _WHO[category])
    facts = {name: _pick(random, options) for name, options in _THINGS.items()}
    omitted = _pick(random, list(_THINGS))
    told = [name for name in _THINGS if name != omitted]
    premise = _sentence(who, {name: facts[name] for name in told})
    rows = []
    for label in (ENTAILMENT, NEUTRAL, CONTRADICTION):
        name = omitted if label == NEUTRAL else _pick(random, told)
        said = {name: facts[name]}
        if label == CONTRADICTION:
            said[name] = _pick(random, [other for other in _THINGS[name] if other != facts[name]])
        subject = who if random.random() < 0.5 else category
        gold = label if random.random() >= NOISE else int(random.integers(len(LABELS)))
        is_agreed = random.random() >= UNLABELED
        hypothesis = _sentence(subject, said)
        rows.append(
            {
                "annotator_labels": [LABELS[gold]],
                "gold_label": LABELS[gold] if is_agreed else "-",
                "pairID": f"{number}{LABELS[label][0]}",
                "sentence1": premise,
                "sentence1_binary_parse": _parse(premise),
                "sentence2": hypothesis,
                "sentence2_binary_parse": _parse(hypothesis),
            }
        )
    return rows


def _sentence(subject: str, facts: dict[str, str]) -> str:
    words = [facts[name] for name in _THINGS if name in facts]
    if "what" not in facts:
        words.insert(0, "is there")
    article = "An" if subject[0] in "aeiou" else "A"
    return f"{article} {subject} {' '.join(words)}."


def _parse(sentence: str) -> str:
    """Return a right-branching binary parse in SNLI's notation."""
    words = [*sentence.rstrip(".").split(), "."]
    return " ".join(f"( {word}" for word in words[:-1]) + f" {words[-1]}" + " )" * (len(words) - 1)


def _pick(random: np.random.Generator, options: Any) -> str:
    return str(options[int(random.integers(len(options)))])
