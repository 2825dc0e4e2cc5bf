"""The verb `grade`: grade a class's submissions of the language model assignment in a sandbox."""

from __future__ import annotations

from shared.teaching.options import GradeOptions


def run(options: GradeOptions) -> int:
    """Grade submissions (verb `grade`)."""
    from shared.teaching.verbs import grade
    from word_lm.assignment.checks import ASSIGNMENT

    return grade(ASSIGNMENT, options)
