"""A small made-up data set in SNLI's layout: snli_1.0_train.jsonl, snli_1.0_dev.jsonl, snli_1.0_test.jsonl.

A premise tells two of three things about somebody (what, where, when). A hypothesis tells one: as the premise does
(entailment), otherwise (contradiction), or the third thing, which the premise leaves open (neutral). Every hypothesis
is as likely under each label, so it takes both sentences to know. One label in twenty is drawn at random, so the
accuracy of one who knew the rules is known. All of it follows from `SEED`.
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
"""Share of labels drawn at random."""
UNLABELED = 0.01
"""Share of pairs whose annotators did not agree (`-`)."""
EXPECTED_ACCURACY = (0.8, 1 - NOISE * 2 / 3)
"""Of a trained model, from and to; one who knew the rules would have the latter. Guessing gives 1/3."""

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
    """Write the three files into a folder, which is made if missing.

    Returns
    -------
    dict of str to int
        Pairs with a label in each file.
    """
    random = np.random.default_rng(SEED)
    found = {}
    for name, count in PREMISES.items():
        rows = [row for number in range(count) for row in _pairs(random, number)]
        with whole_file(folder / f"snli_1.0_{name}.jsonl") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        found[name] = sum(row["gold_label"] != "-" for row in rows)
    return found


def _pairs(random: np.random.Generator, number: int) -> list[dict[str, Any]]:
    """Return the three pairs of one premise, a label each."""
    kind = _pick(random, list(_WHO))
    who = _pick(random, _WHO[kind])
    facts = {name: _pick(random, options) for name, options in _THINGS.items()}
    silent = _pick(random, list(_THINGS))
    told = [name for name in _THINGS if name != silent]
    premise = _sentence(who, {name: facts[name] for name in told})
    rows = []
    for label in (ENTAILMENT, NEUTRAL, CONTRADICTION):
        name = silent if label == NEUTRAL else _pick(random, told)
        said = {name: facts[name]}
        if label == CONTRADICTION:
            said[name] = _pick(random, [other for other in _THINGS[name] if other != facts[name]])
        subject = who if random.random() < 0.5 else kind
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
    """Return a binary parse of a kind: brackets that close from the right, as SNLI writes them."""
    words = [*sentence.rstrip(".").split(), "."]
    return " ".join(f"( {word}" for word in words[:-1]) + f" {words[-1]}" + " )" * (len(words) - 1)


def _pick(random: np.random.Generator, options: Any) -> str:
    return str(options[int(random.integers(len(options)))])
