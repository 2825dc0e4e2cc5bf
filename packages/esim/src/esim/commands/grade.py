"""The verb `grade`: grade a class's submissions of the ESIM assignment in a sandbox."""

from __future__ import annotations

from shared.teaching.options import GradeOptions


def run(options: GradeOptions) -> int:
    """Grade submissions (verb `grade`)."""
    from esim.assignment.checks import ASSIGNMENT
    from shared.teaching.verbs import grade

    return grade(ASSIGNMENT, options)
