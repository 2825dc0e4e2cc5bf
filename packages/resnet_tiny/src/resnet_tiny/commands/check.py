"""The verb `check`: the visible checks of the image classification assignment, for a student's own file."""

from __future__ import annotations

from shared.teaching.options import CheckOptions


def run(options: CheckOptions) -> int:
    """Check a notebook or a Python file (verb `check`)."""
    from resnet_tiny.assignment.checks import ASSIGNMENT
    from shared.teaching.verbs import check_file

    return check_file(ASSIGNMENT, options)
