"""One progress bar for all long work, and plain lines where a bar would be noise."""

from __future__ import annotations

import sys
from typing import Any


def progress_bar(total: int | None, *, label: str, unit: str, quiet: bool = False) -> Any:
    """Return a tqdm bar with rate; it draws nothing with `quiet` or when standard error is no terminal.

    Parameters
    ----------
    total : int or None
        In `unit`s; None where it is not known.
    label : str
        What the bar counts, for example `epoch 3/10`.
    unit : str
        For example `sample`.
    quiet : bool
    """
    from tqdm import tqdm

    is_hidden = quiet or sys.stderr is None or not sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=label,
        unit=f" {unit}",
        unit_scale=True,
        disable=is_hidden,
        leave=False,
        mininterval=0.2,
    )
