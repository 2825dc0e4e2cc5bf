"""Every figure that the task reports: accuracy, loss, confusion, calibration, and checks of what a model reads.

Shapes: N pairs, C = 3 labels.

Three checks ask which inputs a model relies on. Order: the words of each sentence are shuffled. Swap: premise and
hypothesis exchange places; a contradiction should stay one. Hypothesis only: each premise is replaced by that of
another pair, so that nothing but the hypothesis can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from esim.config import BadLine, Columns, Split, TrainConfig
from esim.data.dataset import Pairs, batch_of, load_split
from esim.data.labels import CONTRADICTION, LABELS
from esim.model.trained import TrainedModel
from shared.calibration import Bin, calibration_error, reliability
from shared.progress import progress_bar
from shared.text.batching import bucketed_batches
from shared.torch.device import to_device
from shared.torch.evaluation import Totals, evaluating
from shared.torch.sampler import evaluation_shards

SCORING_BATCH = 128
CHECK_SEED = 1
"""Seed of the shuffles in the checks."""


def scoring_batch(config: TrainConfig) -> int:
    """Return the batch size to score with.

    Scores do not depend on it, except in the ablations with the coursework's defect or without a mask: those are scored
    in batches of the training size.
    """
    return config.batch_size if config.batch_axis or not config.mask else SCORING_BATCH


def score_pairs(
    model: nn.Module,
    pairs: Pairs,
    *,
    batch_size: int = SCORING_BATCH,
    progress: Callable[[int], Any] = lambda count: None,
) -> NDArray[np.float64]:
    """Return a model's scores in the order of the pairs.

    Parameters
    ----------
    model : Esim
    pairs : Pairs
    batch_size : int
    progress : callable
        Takes the number of pairs scored, batch by batch.

    Returns
    -------
    float64 array (N, C)
        Before the softmax.
    """
    device = next(model.parameters()).device
    scores = np.zeros((len(pairs), len(LABELS)))
    with evaluating(model):
        for batch in bucketed_batches(pairs.lengths, batch_size=batch_size, shuffle=False):
            inputs = to_device(batch_of(pairs, batch), device)
            labels = inputs.pop("labels")
            scores[batch] = model(**inputs).cpu().double().numpy()
            progress(len(labels))
    return scores


def evaluate(
    trained: TrainedModel,
    data: str | None = None,
    split: Split | None = None,
    *,
    columns: Columns | None = None,
    on_bad_line: BadLine = "error",
    with_checks: bool = False,
    quiet: bool = True,
) -> dict[str, Any]:
    """Return the figures of a trained model on labeled pairs.

    Parameters
    ----------
    trained : TrainedModel
    data : str or None
        File, folder or zip; None: the data it was trained on. Of that data, pairs that were drawn from train as dev
        are measured apart from those that were trained on.
    split : {"train", "dev", "dev_mismatched", "test"} or None
        None: test if there is one with labels, else dev.
    columns : Columns, optional
        Where the parts of a pair are in `data`; default: as in training.
    on_bad_line : {"error", "skip"}
    with_checks : bool
        Also the checks of order, swap and premise, which score the pairs three more times.
    quiet : bool
        No progress bar.

    Returns
    -------
    dict
        As `figures`, with `split`, `labels` (the run's own words for them), and with `checks` if asked for.

    Raises
    ------
    UserError
        The data cannot be read or has no labels.
    """
    config = replace(trained.config, on_bad_line=on_bad_line)
    name, pairs = load_split(data, split, trained.vocabulary, config, columns, trained.trained_on)
    size = scoring_batch(config)
    with progress_bar(len(pairs), label=name, unit="pair", quiet=quiet) as bar:
        scores = score_pairs(trained.model, pairs, batch_size=size, progress=bar.update)
    values = {
        "split": name,
        "labels": list(config.label_names),
        **figures(scores, pairs),
        "left_out": pairs.left_out(),
    }
    return values | {"checks": checks(trained, pairs, scores)} if with_checks else values


def accuracy_and_loss(
    model: nn.Module, pairs: Pairs, accelerator: Any, *, batch_size: int = SCORING_BATCH
) -> dict[str, float]:
    """Return accuracy and mean cross entropy in nats, over all processes; each scores its part of the pairs."""
    totals = Totals()
    batches = bucketed_batches(pairs.lengths, batch_size=batch_size, shuffle=False)
    for shard in evaluation_shards(batches, accelerator.process_index, accelerator.num_processes):
        inputs = to_device(batch_of(pairs, shard.indices), accelerator.device)
        labels = inputs.pop("labels")
        scores = model(**inputs)
        totals.add("accuracy", (scores.argmax(1) == labels).sum(), len(labels))
        totals.add("loss", F.cross_entropy(scores, labels, reduction="sum"), len(labels))
    return totals.means(accelerator)


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax of scores, (N, C)."""
    return np.exp(_log_softmax(scores))


def accuracy(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the fraction of pairs whose highest score is their label's, 0 to 1."""
    return float((scores.argmax(1) == labels).mean())


def cross_entropy(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean cross entropy in nats."""
    return float(-_log_softmax(scores)[np.arange(len(labels)), labels].mean())


def confusion(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the counts of each label (rows) by predicted label (columns), (C, C)."""
    table = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    np.add.at(table, (labels, scores.argmax(1)), 1)
    return table


def calibration(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Bin]:
    """Return confidence against accuracy, by bins of confidence: the data of a reliability diagram."""
    confidence = probabilities(scores).max(1)
    return reliability(confidence, scores.argmax(1) == labels)


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
        accuracy, loss, calibration_error, confusion (rows: labels, columns: predictions), recall by label (None where a
        label does not occur), and the counts of the pairs.
    """
    table = confusion(scores, pairs.labels)
    totals = table.sum(1)
    recall = {
        name: float(table[i, i] / totals[i]) if totals[i] else None for i, name in enumerate(LABELS)
    }
    return {
        "accuracy": accuracy(scores, pairs.labels),
        "loss": cross_entropy(scores, pairs.labels),
        "calibration_error": calibration_error(calibration(scores, pairs.labels)),
        "confusion": table.tolist(),
        "recall": recall,
        **pairs.facts(),
    }


def checks(
    trained: TrainedModel, pairs: Pairs, scores: NDArray[np.float64]
) -> dict[str, float | None]:
    """Return the checks of order, swap and premise, each a fraction of pairs.

    Parameters
    ----------
    trained : TrainedModel
    pairs : Pairs
    scores : float array (N, C)
        Scores of the pairs as they are.

    Returns
    -------
    dict of str to float or None
        None where no pair counts: the model predicts no contradiction, or there is no other pair.
    """
    random = np.random.default_rng(CHECK_SEED)
    size = scoring_batch(trained.config)
    shuffled = replace(
        pairs,
        premises=[random.permutation(sentence) for sentence in pairs.premises],
        hypotheses=[random.permutation(sentence) for sentence in pairs.hypotheses],
    )
    swapped = replace(pairs, premises=pairs.hypotheses, hypotheses=pairs.premises)
    order = random.permutation(len(pairs))
    others = np.empty_like(order)
    others[order] = np.roll(order, 1)  # each pair's predecessor in a random order, never itself
    mismatched = replace(pairs, premises=[pairs.premises[i] for i in others])
    of_shuffled, of_swapped, of_mismatched = (
        score_pairs(trained.model, part, batch_size=size)
        for part in (shuffled, swapped, mismatched)
    )
    predicted = scores.argmax(1)
    contradictions = predicted == CONTRADICTION
    kept = of_swapped.argmax(1)[contradictions] == CONTRADICTION
    return {
        "accuracy, words shuffled": accuracy(of_shuffled, pairs.labels),
        "same prediction, words shuffled": float((of_shuffled.argmax(1) == predicted).mean()),
        "contradictions kept, sentences swapped": float(kept.mean()) if len(kept) else None,
        "accuracy, premise of another pair": accuracy(of_mismatched, pairs.labels)
        if len(pairs) > 1
        else None,
    }


def confusion_lines(table: NDArray[np.int64], names: Sequence[str] = LABELS) -> list[str]:
    """Return a confusion table as lines: labels downwards, predictions across."""
    corner = "label / pred."
    width = max(map(len, (corner, *names)))
    lines = [f"{corner:<{width}}" + "".join(f"{name:>{width + 2}}" for name in names)]
    for name, row in zip(names, table.tolist(), strict=True):
        lines.append(f"{name:<{width}}" + "".join(f"{count:>{width + 2},}" for count in row))
    return lines


def _log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return torch.from_numpy(scores).log_softmax(1).numpy()
