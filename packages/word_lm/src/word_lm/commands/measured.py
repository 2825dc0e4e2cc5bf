"""Which text a verb measures: a part that training split off, or another text."""

from __future__ import annotations

import sys
from dataclasses import replace

from word_lm.model.trained import TrainedModel


def resolve_text(
    trained: TrainedModel, data: str | None, split: str
) -> tuple[TrainedModel, str | None]:
    """Tell a text that training split itself from others: measured whole, it would be mostly training data.

    Returns
    -------
    trained : TrainedModel
        With `data` as its own text if it is that; standard error says so.
    data : str or None
        None: the run's own text is meant.
    """
    if data is None or not trained.is_own_text(data):
        return trained, data
    print(
        f"{data}: the run was trained on it; measured is the {split} part that training split off.",
        file=sys.stderr,
    )
    return replace(trained, config=replace(trained.config, data=data)), None
