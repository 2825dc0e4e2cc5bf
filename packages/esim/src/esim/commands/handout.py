"""The verb `handout`: the ESIM assignment for students and teachers."""

from __future__ import annotations

from esim.data import sample
from shared.teaching.options import HandoutOptions


def run(options: HandoutOptions) -> int:
    """Write a handout (verb `handout`)."""
    from esim.assignment.checks import ASSIGNMENT
    from shared.teaching.verbs import hand_out

    return hand_out(ASSIGNMENT, options, sample.write)
