"""Similar pairs: copies are found under other names, the handout's code is not counted."""

from __future__ import annotations

import json

from shared.teaching.similarity import similar_pairs
from shared.teaching.submissions import code_of

HANDOUT = "\n".join(f"def given_{i}(a, b):\n    return a * {i} + b - {i}\n" for i in range(30))
OWN = """
def step(U, V, context, rate):
    total = 0
    for index in context:
        total = total + U[index] @ V
        if total.max() > 3:
            total -= total.mean() * rate
    while total.sum() > 0:
        total = total / 2 - 1
    return [x ** 2 for x in total if x > 0], {k: v for k, v in enumerate(total)}
"""
OTHER = """
def step(a, b, c, d):
    import numpy as np
    h = np.stack([a[i] for i in c]).mean(0)
    s = h.dot(b); s = np.exp(s - s.max()); s /= s.sum()
    try:
        s[d] -= 1
    except IndexError as e:
        raise ValueError(str(e)) from e
    return lambda x: (x, s), not s.any() or h.all()
"""


def test_copy_under_other_names_is_found() -> None:
    renamed = OWN.replace("total", "acc").replace("index", "j").replace("context", "words")
    pairs = similar_pairs(
        {"a": HANDOUT + OWN, "b": HANDOUT + renamed, "c": HANDOUT + OTHER}, known=HANDOUT
    )
    assert [(p.first, p.second) for p in pairs] == [("a", "b")]
    assert pairs[0].similarity > 0.9


def test_half_an_emoji_in_a_notebook_is_read_as_a_question_mark() -> None:
    cells = [{"cell_type": "code", "source": ["x = 1  # \ud83d\n"]}]
    code = code_of("1.ipynb", json.dumps({"cells": cells}).encode())
    assert code == "# code cell 1\nx = 1  # ?\n"
    assert similar_pairs({"a": code, "b": OWN}) == []


def test_those_who_did_nothing_are_not_alike() -> None:
    assert similar_pairs({"a": HANDOUT, "b": HANDOUT}, known=HANDOUT) == []


def test_many_copies_of_one_file_are_still_found() -> None:
    codes = {f"copy_{i}": HANDOUT + OWN for i in range(5)}
    pairs = similar_pairs({**codes, "other": HANDOUT + OTHER}, known=HANDOUT)
    assert len(pairs) == 10
    assert all(pair.similarity == 1 for pair in pairs)


def test_the_solution_is_not_counted_as_one_more_student() -> None:
    codes = {
        f"copy_{i}": f"{HANDOUT}{OWN}\nassert step is not {{{i}: {list(range(i))}}}\n"
        for i in range(3)
    }
    pairs = similar_pairs(codes, known=HANDOUT, published={"(solution)": HANDOUT + OWN})
    assert {p.second for p in pairs if p.first == "(solution)"} == set(codes)
