"""Where a model starts that is not random: word vectors of the training text, or a trained run (`--init`)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from shared.errors import UserError
from shared.runs.run_directory import start_from
from word_lm.model.base import LanguageModel
from word_lm.model.embedding import AdaptiveEmbedding
from word_lm.model.softmax import AdaptiveSoftmax
from word_lm.model.trained import TrainedModel


@torch.no_grad()
def copy_vectors(model: LanguageModel, vectors: Tensor) -> None:
    """Set the initial word vectors.

    Clusters of rare words keep the first dimensions, and their projections to and from the full size begin as those of
    the full vectors.

    Parameters
    ----------
    model : LanguageModel
    vectors : float tensor (V, E)
        Their first dimensions matter most.
    """
    embedding = model.embedding
    if isinstance(embedding, nn.Embedding):
        embedding.weight.copy_(vectors)
        return
    assert isinstance(embedding, AdaptiveEmbedding)  # and its output layer is tied to it
    assert isinstance(model.head, AdaptiveSoftmax)
    for table, (low, high) in zip(embedding.tables, pairwise(embedding.bounds), strict=True):
        table.copy_(vectors[low:high, : table.shape[1]])
    for layer in (*embedding.expand, *model.head.reduce):
        nn.init.eye_(layer.weight)


@torch.no_grad()
def copy_weights(model: LanguageModel, trained: TrainedModel) -> int:
    """Copy the weights of a trained model into one that has the same words first, and further ones.

    Parameters
    ----------
    model : LanguageModel
        Untrained; rows of words that the trained model lacks stay as they are.
    trained : TrainedModel

    Returns
    -------
    int
        Number of new words.

    Raises
    ------
    UserError
        The models differ in anything but the number of words.
    """
    own, theirs = dict(model.named_parameters()), dict(trained.model.named_parameters())
    odd = sorted(own.keys() ^ theirs.keys())
    for name, weight in own.items():
        if name in theirs and (
            weight.shape[1:] != theirs[name].shape[1:] or len(weight) < len(theirs[name])
        ):
            odd.append(name)
    odd += [
        name
        for (name, value), (_, other) in zip(
            _settings(model), _settings(trained.model), strict=False
        )
        if value != other
    ]
    buffers = dict(trained.model.named_buffers())
    # The decay rates of slow context: the weights show only how many there are.
    for name, values in model.named_buffers():
        if name in buffers and not torch.equal(values.cpu(), buffers[name].cpu()):
            odd.append(name)
    if odd:
        raise UserError(
            f"--init {trained.path}: its model has other settings ({odd[0]} does not fit). "
            f"Take its settings: {start_from(trained.path)}."
        )
    for name, weight in theirs.items():
        own[name][: len(weight)].copy_(weight.to(own[name].device))
    return model.vocabulary_size - trained.model.vocabulary_size


def _settings(model: LanguageModel) -> list[tuple[str, object]]:
    """Return the settings that no weight's shape shows: kinds of layers, attention heads, first words of clusters."""
    found = [
        (name, getattr(part, name))
        for part in model.modules()
        for name in ("kind", "heads")
        if hasattr(part, name)
    ]
    if isinstance(model.head, AdaptiveSoftmax):
        found.append(("cutoffs", model.head.bounds[:-1]))
    return found
