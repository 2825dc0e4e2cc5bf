"""The verb `evaluate`: accuracy on any pairs, and what lies behind it.

Beside accuracy: the confusion of labels, calibration, and three checks that ask what a model reads. Order: with each
sentence's words shuffled. Swap: premise and hypothesis exchanged; contradiction should stay what it is. Hypothesis
alone: every premise replaced by one of another pair, so that only the hypothesis can tell.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esim.data.dataset import Pairs
from esim.data.labels import CONTRADICTION, LABELS
from esim.model.trained import TrainedModel
from esim.scores import accuracy, calibration, confusion, loss, score_pairs, scoring_batch
from shared.calibration import calibration_error

SEED = 1
"""Of the shuffles in the checks."""


def figures(scores: NDArray[np.float64], pairs: Pairs) -> dict[str, Any]:
    """Return the figures of scored pairs.

    Parameters
    ----------
    scores : float array (N, C)
    pairs : Pairs
        N of them.

    Returns
    -------
    dict
        accuracy, loss, calibration_error, confusion (rows: labels, columns: what was said), recall by label (None
        where a label does not occur), and the counts of the pairs.
    """
    table = confusion(scores, pairs.labels)
    totals = table.sum(1)
    recall = {
        name: float(table[i, i] / totals[i]) if totals[i] else None for i, name in enumerate(LABELS)
    }
    return {
        "accuracy": accuracy(scores, pairs.labels),
        "loss": loss(scores, pairs.labels),
        "calibration_error": calibration_error(calibration(scores, pairs.labels)),
        "confusion": table.tolist(),
        "recall": recall,
        **pairs.facts(),
    }


def checks(trained: TrainedModel, pairs: Pairs, scores: NDArray[np.float64]) -> dict[str, float]:
    """Return the checks of order, swap and premise, each a share of the pairs.

    Parameters
    ----------
    trained : TrainedModel
    pairs : Pairs
    scores : float array (N, C)
        Of the pairs as they are.
    """
    random = np.random.default_rng(SEED)
    size = scoring_batch(trained.config)
    shuffled = replace(
        pairs,
        premises=[random.permutation(sentence) for sentence in pairs.premises],
        hypotheses=[random.permutation(sentence) for sentence in pairs.hypotheses],
    )
    swapped = replace(pairs, premises=pairs.hypotheses, hypotheses=pairs.premises)
    others = random.permutation(len(pairs))
    alone = replace(pairs, premises=[pairs.premises[i] for i in others])
    by_shuffled, by_swapped, by_alone = (
        score_pairs(trained.model, part, batch_size=size) for part in (shuffled, swapped, alone)
    )
    said = scores.argmax(1)
    is_contradiction = said == CONTRADICTION
    kept = by_swapped.argmax(1)[is_contradiction] == CONTRADICTION
    return {
        "accuracy, words shuffled": accuracy(by_shuffled, pairs.labels),
        "same label, words shuffled": float((by_shuffled.argmax(1) == said).mean()),
        "contradictions kept, swapped": float(kept.mean()) if len(kept) else 0.0,
        "accuracy, premise of another pair": accuracy(by_alone, pairs.labels),
    }


def confusion_lines(table: NDArray[np.int64]) -> list[str]:
    """Return a confusion table as lines: labels downwards, what the model said across."""
    width = max(map(len, LABELS))
    lines = [f"{'label / said':<{width}}" + "".join(f"{name:>{width + 2}}" for name in LABELS)]
    for name, row in zip(LABELS, table.tolist(), strict=True):
        lines.append(f"{name:<{width}}" + "".join(f"{count:>{width + 2},}" for count in row))
    return lines
