"""The verb `analogy`."""

from __future__ import annotations

from cbow.commands.answers import as_block, as_rows, print_answer
from cbow.commands.options import AnalogyOptions
from cbow.model.trained import load


def run(options: AnalogyOptions) -> int:
    """Answer `a is to b as c is to ?` (verb `analogy`)."""
    a, b, c = options.a, options.b, options.c
    answers = load(options.run).analogy(a, b, c, options.count)
    answer = {"a": a, "b": b, "c": c, "answers": as_rows(answers)}
    text = as_block(f"{a} : {b} = {c} : ?", answers)
    return print_answer(answer, text, as_json=options.json)
