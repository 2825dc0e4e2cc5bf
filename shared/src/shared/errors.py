"""The one exception that users see.

Anything a user can cause (a missing file, a torn line, a value out of range) is a `UserError`. The command line prints
its message as one line and exits with 2; anything else that escapes is our own defect and keeps its traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """A problem that the user can fix.

    Parameters
    ----------
    message : str
        One line: what is wrong, where (file and line), what was expected, what to do.
    """
