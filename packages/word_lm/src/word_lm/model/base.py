"""The interface of every language model here: ids in, hidden states and exact probabilities out.

A language model factorizes the probability of a text, p(w_1 .. w_T) = product over t of p(w_t | w_1 .. w_{t-1}). Each
family below computes a hidden state from the words so far (`encode`); the head turns it into p(w_t | ...).

Shapes: T time in words, B columns of text (batch), E size of a word vector, H size of the hidden state, V words of the
vocabulary, N predictions. Time comes first, as in pytorch/examples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import chain
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from word_lm.config import RECURRENT, TrainConfig
from word_lm.model.embedding import AdaptiveEmbedding
from word_lm.model.pointer import Pointer
from word_lm.model.softmax import AdaptiveSoftmax, FullSoftmax

State = Any
"""Nested tuples of tensors, or None. In every tensor the batch is dimension 1, so that beam search can reorder it."""

Ids: TypeAlias = NDArray[Any] | Tensor
"""Token ids (N,), integers."""

_RENAMED = {".inward.": ".in_proj.", ".outward.": ".out_proj."}
"""Parts of weight names in checkpoints of earlier versions, and what they are called today."""


class LanguageModel(nn.Module, ABC):
    """A model that predicts each word from the words before it.

    Parameters
    ----------
    config : TrainConfig
    vocabulary_size : int
        V, words in order of falling frequency.
    output_size : int
        H, size of the hidden states that `encode` returns.

    Attributes
    ----------
    embedding : module
        Maps ids (...) to vectors (..., E).
    head : FullSoftmax or AdaptiveSoftmax
        Maps hidden states to probabilities.
    pointer : Pointer or None
        Mixes them with those of copying a recent word; its memory is the last part of the state.
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int, output_size: int) -> None:
        super().__init__()
        self.vocabulary_size, self.output_size = vocabulary_size, output_size
        self.activation_penalty = config.activation_penalty
        self.change_penalty = config.change_penalty
        self.register_load_state_dict_pre_hook(_use_todays_names)
        size, tied = config.embedding_size, config.tied
        self.embedding: nn.Module
        self.head: FullSoftmax | AdaptiveSoftmax
        cuts = [cut for cut in config.cutoffs if cut < vocabulary_size]
        if tied and config.softmax == "adaptive":
            self.embedding = AdaptiveEmbedding(
                vocabulary_size, size, cuts, config.tail_divisor, config.init_range
            )
        else:
            is_sparse = has_sparse_gradient(config)
            self.embedding = nn.Embedding(vocabulary_size, size, sparse=is_sparse)
            nn.init.uniform_(self.embedding.weight, -config.init_range, config.init_range)
        if config.softmax == "adaptive":
            rows = self.embedding if isinstance(self.embedding, AdaptiveEmbedding) else None
            self.head = AdaptiveSoftmax(
                output_size, vocabulary_size, cuts, config.tail_divisor, rows
            )
        else:
            weight = self.embedding.weight if isinstance(self.embedding, nn.Embedding) else None
            self.head = FullSoftmax(output_size, vocabulary_size, weight if tied else None)
        self.pointer: Pointer | None = None
        if config.pointer_window and config.model in RECURRENT:
            self.pointer = Pointer(output_size, config.pointer_window)

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
            Before the last dropout.
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
        hidden : float tensor (T, B, H), with a pointer float32 (T, B, H + 1 + 2 L)
            For `nll` and `log_probs`. With targets instead:
        nll : float tensor ()
            Sum over all words, in nats: - sum over t of log p(target_t | ids_1 .. ids_t).
        penalty : float tensor ()
            Activation penalties, a mean.
        state : State
        """
        if state is None:
            state = self.init_state(ids.shape[1])
        hidden, raw, state = self.encode(ids, state)  # (T, B, H)
        if self.pointer is None:
            if targets is None:
                return hidden, state
            total = self.head.total_nll(hidden.flatten(0, 1), targets.flatten())  # (T * B, H), ()
            return total, self._penalty(hidden, raw), state
        copies, memory = self.pointer(hidden, raw, ids, state[-1])
        state = (*state[:-1], memory)
        if targets is None:
            return self.pointer.join(hidden, copies), state
        nll = self.head.nll(hidden.flatten(0, 1), targets.flatten())  # (T * B,)
        total = self.pointer.nll(nll, copies, targets).sum()
        return total, self._penalty(hidden, raw), state

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the exact negative log-likelihood of each target, in nats.

        Parameters
        ----------
        hidden : float tensor (N, H), with a pointer (N, H + 1 + 2 L)
        targets : int64 tensor (N,)

        Returns
        -------
        float32 tensor (N,)
        """
        nll = self.head.nll(hidden[:, : self.output_size], targets)
        return nll if self.pointer is None else self.pointer.joined_nll(nll, hidden, targets)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return the log-probability of every word, float32 (N, V), for `hidden` as in `nll`."""
        log_probs = self.head.log_probs(hidden[:, : self.output_size])
        return (
            log_probs if self.pointer is None else self.pointer.joined_log_probs(log_probs, hidden)
        )

    def _penalty(self, hidden: Tensor, raw: Tensor) -> Tensor:
        """Return the activation regularization (AR) and temporal activation regularization (TAR), as means.

        References
        ----------
        Merity et al. 2017, arXiv 1708.02182, section 4.6.
        """
        penalty = hidden.new_zeros((), dtype=torch.float32)
        if self.activation_penalty:
            # AR: alpha * L2(m * h_t), with m the mask of the last dropout.
            penalty = penalty + self.activation_penalty * hidden.float().square().mean()
        if self.change_penalty and len(raw) > 1:
            # TAR: beta * L2(h_t - h_{t+1}), without dropout.
            penalty = penalty + self.change_penalty * raw.float().diff(dim=0).square().mean()
        return penalty


def has_sparse_gradient(config: TrainConfig) -> bool:
    """Whether the input embedding's gradient holds only the rows of the batch's words.

    A batch has about a thousand of 33,278 words. Updating the other rows too costs as much as the rest of the model.
    """
    return not config.tied and (config.optimizer == "adamw" or config.weight_decay == 0)


def each_tensor(state: State, change: Callable[[Tensor], Tensor]) -> State:
    """Return a state of the same nesting with each of its tensors changed."""
    if isinstance(state, Tensor):
        return change(state)
    return None if state is None else tuple(each_tensor(part, change) for part in state)


def detach(state: State) -> State:
    """Return a state that gradients do not flow back through (truncated back-propagation through time)."""
    return each_tensor(state, Tensor.detach)


def as_tokens(model: nn.Module, ids: Ids) -> Tensor:
    """Return ids (N,) as an int64 tensor on the device of the model's weights."""
    held = next(chain(model.parameters(), model.buffers()), None)
    return torch.as_tensor(ids, dtype=torch.int64, device="cpu" if held is None else held.device)


def _use_todays_names(module: nn.Module, weights: dict[str, Any], prefix: str, *_: Any) -> None:
    """Rename weights of a checkpoint that an earlier version wrote."""
    for name in list(weights):
        for old, new in _RENAMED.items():
            if old in f".{name}":
                weights[f".{name}".replace(old, new)[1:]] = weights.pop(name)
