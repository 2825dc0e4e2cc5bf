"""The verb `handout`: the language model assignment for students and teachers."""

from __future__ import annotations

from shared.teaching.options import HandoutOptions
from word_lm.data import sample


def run(options: HandoutOptions) -> int:
    """Write a handout (verb `handout`)."""
    from shared.teaching.verbs import hand_out
    from word_lm.assignment.checks import ASSIGNMENT

    return hand_out(ASSIGNMENT, options, sample.write)
