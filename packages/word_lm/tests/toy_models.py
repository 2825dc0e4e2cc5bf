"""Small models whose answers are known, behind the interface of `word_lm.model.base.LanguageModel`."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from word_lm.config import TrainConfig
from word_lm.model.base import LanguageModel
from word_lm.model.build import build_model

FAMILIES = ("rnn_tanh", "gru", "lstm", "awd_lstm", "transformer", "modern_transformer", "gated_cnn")


class Counted(nn.Module):
    """Counts what it is asked to read."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens_read = 0

    def nll(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return -self.log_probs(hidden).gather(1, targets[:, None])[:, 0]


class GruModel(Counted):
    """Untrained: sharp enough (x 3) that words differ, and the state matters."""

    def __init__(self, vocabulary: int, hidden: int = 8, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(vocabulary, hidden)
            self.gru = nn.GRU(hidden, hidden)
            self.decoder = nn.Linear(hidden, vocabulary)
            self.dropout = nn.Dropout(0.5)
        self.output_size = hidden

    def init_state(self, batch: int) -> Tensor:
        return torch.zeros(1, batch, self.gru.hidden_size)

    def forward(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.tokens_read += ids.numel()
        hidden, state = self.gru(self.dropout(self.embedding(ids)), state)
        return hidden, state

    def log_probs(self, hidden: Tensor) -> Tensor:
        return torch.log_softmax(3 * self.decoder(hidden), dim=1)


class BigramModel(Counted):
    """A table of probabilities (V, V) of the next word after each word; keeps no state."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table.log())
        self.output_size = len(table)

    def init_state(self, batch: int) -> None:
        return None

    def forward(self, ids: Tensor, state: None) -> tuple[Tensor, None]:
        self.tokens_read += ids.numel()
        return self.table[ids], None  # the hidden state is the prediction

    def log_probs(self, hidden: Tensor) -> Tensor:
        return hidden


class CopyModel(Counted):
    """Predicts, with probability `sure`, the word `reach` places before the next one; without it, any word.

    On a text of that period its perplexity is 1 / sure with `reach` or more words of context, and V with fewer.
    """

    def __init__(self, vocabulary: int, reach: int, sure: float = 0.9) -> None:
        super().__init__()
        self.vocabulary, self.reach, self.sure = vocabulary, reach, sure
        self.output_size = vocabulary
        self.register_buffer("nothing", torch.zeros(()))

    def init_state(self, batch: int) -> tuple[Tensor, ...]:
        return (torch.full((self.reach - 1, batch), -1),)  # the words before; -1: none

    def forward(self, ids: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        self.tokens_read += ids.numel()
        past = torch.cat([state[0], ids])  # (reach - 1 + T, B)
        copied = past[: len(ids)]
        uniform = torch.full((*ids.shape, self.vocabulary), 1 / self.vocabulary)
        spread = (1 - self.sure) / (self.vocabulary - 1)
        peaked = one_hot(copied.clamp(min=0), self.vocabulary) * (self.sure - spread) + spread
        hidden = torch.where((copied >= 0)[..., None], peaked, uniform).log()
        return hidden, (past[len(past) - self.reach + 1 :],)

    def log_probs(self, hidden: Tensor) -> Tensor:
        return hidden


def real_model(family: str, vocabulary: int, *, is_adaptive: bool = False) -> LanguageModel:
    """Return a small untrained model of ours, its weights enlarged so that words and states differ."""
    config = TrainConfig(
        model=family,
        embedding_size=8,
        hidden_size=8,
        layers=2,
        memory=16,
        softmax="adaptive" if is_adaptive else "full",
        tied=is_adaptive,
        cutoffs=(vocabulary // 2,),
        weight_dropout=0.5 if family == "awd_lstm" else 0.0,
    )
    if family == "awd_lstm":
        config = replace(config, context_decays=(0.5, 0.9), context_size=4, pointer_window=6)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(config, vocabulary)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.any():
                weight *= 2 if weight.ndim > 1 else 1
            elif weight.ndim > 1:  # what starts at zero would hide the state
                nn.init.xavier_uniform_(weight)
    return model
