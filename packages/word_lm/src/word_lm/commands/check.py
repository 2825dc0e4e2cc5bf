"""The verb `check`: the visible checks of the language model assignment, for a student's own file."""

from __future__ import annotations

from shared.teaching.options import CheckOptions


def run(options: CheckOptions) -> int:
    """Check a notebook or a Python file (verb `check`)."""
    from shared.teaching.verbs import check_file
    from word_lm.assignment.checks import ASSIGNMENT

    return check_file(ASSIGNMENT, options)
