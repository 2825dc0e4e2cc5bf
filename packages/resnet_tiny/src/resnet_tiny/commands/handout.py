"""The verb `handout`: the image classification assignment for students and teachers."""

from __future__ import annotations

from resnet_tiny.data import sample
from shared.teaching.options import HandoutOptions


def run(options: HandoutOptions) -> int:
    """Write a handout (verb `handout`)."""
    from resnet_tiny.assignment.checks import ASSIGNMENT
    from shared.teaching.verbs import hand_out

    return hand_out(ASSIGNMENT, options, sample.write)
