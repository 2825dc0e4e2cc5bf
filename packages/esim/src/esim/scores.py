"""Scores of a model for many pairs, and the figures made of them.

Shapes: N pairs, C = 3 labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from esim.config import TrainConfig
from esim.data.dataset import Pairs, batch_of
from shared.calibration import Bin, reliability
from shared.text.batching import bucketed_batches
from shared.torch.device import to_device
from shared.torch.evaluation import Totals, evaluating
from shared.torch.sampler import evaluation_shares

SCORING_BATCH = 128


def scoring_batch(config: TrainConfig) -> int:
    """Return the batch size to score with.

    Scores do not depend on it, except in the ablations with the coursework's defect or without a mask: those score as
    they train.
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
        Takes the number of pairs done, batch by batch.

    Returns
    -------
    float64 array (N, C)
        Before the softmax.
    """
    device = next(model.parameters()).device
    found = np.zeros((len(pairs), 3))
    with evaluating(model):
        for batch in bucketed_batches(pairs.lengths, batch_size=batch_size, shuffle=False):
            inputs = to_device(batch_of(pairs, batch), device)
            labels = inputs.pop("labels")
            found[batch] = model(**inputs).double().cpu().numpy()
            progress(len(labels))
    return found


def shared_sums(
    model: nn.Module, pairs: Pairs, accelerator: Any, *, batch_size: int = SCORING_BATCH
) -> dict[str, float]:
    """Return accuracy and mean cross entropy, each process having scored its part of the pairs."""
    totals = Totals()
    batches = bucketed_batches(pairs.lengths, batch_size=batch_size, shuffle=False)
    for share in evaluation_shares(batches, accelerator.process_index, accelerator.num_processes):
        inputs = to_device(batch_of(pairs, share.indices), accelerator.device)
        labels = inputs.pop("labels")
        scores = model(**inputs)
        totals.add("accuracy", (scores.argmax(1) == labels).sum(), len(labels))
        loss = torch.nn.functional.cross_entropy(scores, labels, reduction="sum")
        totals.add("loss", loss, len(labels))
    return totals.means(accelerator)


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax of scores, (N, C)."""
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def accuracy(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the share of pairs whose highest score is their label's, 0 to 1."""
    return float((scores.argmax(1) == labels).mean())


def confusion(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each label (rows) was taken for each label (columns), (C, C)."""
    table = np.zeros((3, 3), dtype=np.int64)
    np.add.at(table, (labels, scores.argmax(1)), 1)
    return table


def calibration(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> list[Bin]:
    """Return how sure the scores (N, C) are of their labels (N,), against how right, by bins of confidence."""
    chances = probabilities(scores)
    return reliability(chances.max(1), chances.argmax(1) == labels)


def loss(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the mean cross entropy in nats."""
    chances = probabilities(scores)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chances, 1e-300)).mean())
