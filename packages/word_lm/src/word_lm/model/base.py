"""What every language model here can do, and how one is made from a configuration or read from a run.

Shapes: T time in words, B columns of text (batch), E size of a word vector, H size of the output, V words of the
vocabulary, N predictions. Time comes first, as in pytorch/examples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from word_lm.config import TrainConfig
from word_lm.model.softmax import AdaptiveEmbedding, AdaptiveSoftmax, FullSoftmax

State = Any
"""Nested tuples of tensors, or None. In every tensor the batch is dimension 1, so that beam search can reorder it."""


class LanguageModel(nn.Module, ABC):
    """A model that predicts each word from the words before it.

    Parameters
    ----------
    config : TrainConfig
    vocabulary_size : int
        V, words in order of falling frequency.
    output_size : int
        H, what `encode` gives for each word.

    Attributes
    ----------
    embedding : module
        Ids to vectors (..., E).
    head : FullSoftmax or AdaptiveSoftmax
        Outputs to probabilities.
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int, output_size: int) -> None:
        super().__init__()
        self.vocabulary_size, self.output_size = vocabulary_size, output_size
        self.activation_penalty = config.activation_penalty
        self.change_penalty = config.change_penalty
        size, reach, tied = config.embedding_size, config.embedding_range, config.tied
        self.embedding: nn.Module
        self.head: FullSoftmax | AdaptiveSoftmax
        if config.softmax == "full":
            words = nn.Embedding(vocabulary_size, size, sparse=has_sparse_gradient(config))
            nn.init.uniform_(words.weight, -reach, reach)
            self.embedding = words
            rows = words.weight if tied else None
            self.head = FullSoftmax(output_size, vocabulary_size, rows)
            return
        cuts = [cut for cut in config.cutoffs if cut < vocabulary_size]
        divisor = config.tail_divisor
        if tied:
            self.embedding = AdaptiveEmbedding(vocabulary_size, size, cuts, divisor, reach)
            self.head = AdaptiveSoftmax(output_size, vocabulary_size, cuts, divisor, self.embedding)
        else:
            words = nn.Embedding(vocabulary_size, size, sparse=has_sparse_gradient(config))
            nn.init.uniform_(words.weight, -reach, reach)
            self.embedding = words
            self.head = AdaptiveSoftmax(output_size, vocabulary_size, cuts, divisor)

    @abstractmethod
    def init_state(self, batch: int) -> State:
        """Return the state before the first word of `batch` texts."""

    @abstractmethod
    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words.

        Parameters
        ----------
        ids : int64 tensor (T, B)
        state : State
            After the words before these.

        Returns
        -------
        hidden : float tensor (T, B, H)
            After the last dropout. hidden[t] depends on the state and ids[:t + 1] only.
        raw : float tensor (T, B, H)
            Before it.
        state : State
            After these words.
        """

    def forward(self, ids: Tensor, state: State = None, targets: Tensor | None = None) -> Any:
        """Read words; with targets, also compute the loss, in the number format of the forward pass.

        Parameters
        ----------
        ids : int64 tensor (T, B)
        state : State, optional
            Default: that of `init_state`.
        targets : int64 tensor (T, B), optional

        Returns
        -------
        hidden : float tensor (T, B, H)
            For `nll` and `log_probs`. With targets instead:
        nll : float tensor ()
            Sum over all words, in nats.
        penalty : float tensor ()
            Activation penalties, a mean.
        state : State
        """
        if state is None:
            state = self.init_state(ids.shape[1])
        hidden, raw, state = self.encode(ids, state)
        if targets is None:
            return hidden, state
        total = self.head.total_nll(hidden.flatten(0, 1), targets.flatten())
        return total, self._penalty(hidden, raw), state

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the exact negative log-likelihood of each target, in nats.

        Parameters
        ----------
        hidden : float tensor (N, H)
        targets : int64 tensor (N,)

        Returns
        -------
        float32 tensor (N,)
        """
        return self.head.nll(hidden, targets)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return the log-probability of every word, float32 (N, V), for hidden (N, H)."""
        return self.head.log_probs(hidden)

    def detach(self, state: State) -> State:
        """Return a state that gradients do not flow back through."""
        return detach(state)

    def _penalty(self, hidden: Tensor, raw: Tensor) -> Tensor:
        """Return the activation penalties AR and TAR.

        References
        ----------
        Merity et al. 2017, arXiv 1708.02182, section 4.6.
        """
        penalty = hidden.new_zeros((), dtype=torch.float32)
        if self.activation_penalty:
            penalty = penalty + self.activation_penalty * hidden.float().square().mean()
        if self.change_penalty and len(raw) > 1:
            penalty = penalty + self.change_penalty * raw.float().diff(dim=0).square().mean()
        return penalty


def has_sparse_gradient(config: TrainConfig) -> bool:
    """Whether the input embedding's gradient holds the rows of the batch's words only.

    A batch meets about a thousand of 33,278 words. To update the other rows too costs as much as the model.
    """
    return not config.tied and (config.optimizer == "adamw" or config.weight_decay == 0)


def detach(state: State) -> State:
    """Return nested tuples of tensors, cut off from the graph that computed them."""
    if isinstance(state, Tensor):
        return state.detach()
    return state if state is None else tuple(detach(part) for part in state)


def state_to(state: State, device: torch.device) -> State:
    """Return nested tuples of tensors on a device."""
    if isinstance(state, Tensor):
        return state.to(device)
    return state if state is None else tuple(state_to(part, device) for part in state)
