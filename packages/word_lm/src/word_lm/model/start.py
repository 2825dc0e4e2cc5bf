"""Starting from the weights of a trained run (`--init`), with new words in the vocabulary."""

from __future__ import annotations

import torch

from shared.errors import UserError
from word_lm.model.base import LanguageModel
from word_lm.model.trained import TrainedModel


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
    if odd:
        raise UserError(
            f"--init {trained.path}: its model has other settings ({odd[0]} does not fit). "
            f"Take them over with --config {trained.path / 'config.yaml'}."
        )
    for name, weight in theirs.items():
        own[name][: len(weight)].copy_(weight.to(own[name].device))
    return model.vocabulary_size - trained.model.vocabulary_size
