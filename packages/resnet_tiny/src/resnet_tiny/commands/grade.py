"""The verb `grade`: grade a class's submissions of the image classification assignment in a sandbox."""

from __future__ import annotations

from shared.teaching.options import GradeOptions


def run(options: GradeOptions) -> int:
    """Grade submissions (verb `grade`)."""
    from resnet_tiny.assignment.checks import ASSIGNMENT
    from shared.teaching.verbs import grade

    return grade(ASSIGNMENT, options)
