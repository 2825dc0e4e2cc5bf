"""The verb `similarity`."""

from __future__ import annotations

from cbow.commands.answers import print_answer
from cbow.commands.options import SimilarityOptions
from cbow.model.trained import load


def run(options: SimilarityOptions) -> int:
    """Print the cosine of two words (verb `similarity`)."""
    first, second = options.first, options.second
    cosine = round(load(options.run).similarity(first, second), 6)
    answer = {"first": first, "second": second, "cosine": cosine}
    return print_answer(answer, f"{first} {second} {cosine:.4f}", as_json=options.json)
