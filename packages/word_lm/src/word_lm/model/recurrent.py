"""Recurrent models: plain RNN, GRU, LSTM, and AWD-LSTM, which is an LSTM with dropout wherever it helps.

Shapes: T time, B columns, E size of a word vector, H hidden size, G gates (1, 3 for GRU, 4 for LSTM).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from word_lm.config import TrainConfig
from word_lm.model.base import LanguageModel, State
from word_lm.model.dropout import LockedDropout, drop_words

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}


class RecurrentLayer(nn.Module):
    """One layer over a segment.

    The weights are passed to torch's kernel by hand. `nn.LSTM` keeps a list of its own of the weights that it was
    made with: a weight that is dropped by setting the attribute never reaches it, without an error, which is how
    awd-lstm-lm came to 75 instead of 65.8 on newer torch.

    Parameters
    ----------
    kind : {"rnn_tanh", "rnn_relu", "gru", "lstm"}
    size : int
        Of the input.
    hidden : int
        H.
    weight_dropout : float
        Share of the hidden-to-hidden weights that are dropped, the same ones throughout a segment.
    """

    def __init__(self, kind: str, size: int, hidden: int, weight_dropout: float = 0.0) -> None:
        super().__init__()
        self.kind, self.hidden, self.weight_dropout = kind, hidden, weight_dropout
        rows = GATES[kind] * hidden
        self.input_weight = nn.Parameter(torch.empty(rows, size))
        self.hidden_weight = nn.Parameter(torch.empty(rows, hidden))
        self.input_bias = nn.Parameter(torch.empty(rows))
        self.hidden_bias = nn.Parameter(torch.empty(rows))
        for weight in self.parameters():
            nn.init.uniform_(weight, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))

    def init_state(self, batch: int) -> tuple[Tensor, ...]:
        """Return zeros (1, B, H): h, and c for an LSTM."""
        zeros = self.hidden_weight.new_zeros(1, batch, self.hidden)
        return (zeros, zeros) if self.kind == "lstm" else (zeros,)

    def forward(
        self, inputs: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the outputs (T, B, H) and the state after them."""
        recurrent = F.dropout(self.hidden_weight, self.weight_dropout, self.training)
        weights = [self.input_weight, recurrent, self.input_bias, self.hidden_bias]
        has_biases, layers, dropout, is_both_ways, is_batch_first = True, 1, 0.0, False, False
        options = (has_biases, layers, dropout, self.training, is_both_ways, is_batch_first)
        if self.kind == "lstm":
            outputs, h, c = torch.lstm(inputs, state, weights, *options)
            return outputs, (h, c)
        kernels = {"gru": torch.gru, "rnn_tanh": torch.rnn_tanh, "rnn_relu": torch.rnn_relu}
        kernel = kernels[self.kind]
        outputs, h = kernel(inputs, state[0], weights, *options)
        return outputs, (h,)


class Recurrent(LanguageModel):
    """Layers of one kind; with `awd_lstm` also its dropouts, and a last layer as wide as the word vectors if tied.

    References
    ----------
    Zaremba et al. 2014, arXiv 1409.2329 (dropout between layers); Merity et al. 2017, arXiv 1708.02182 (AWD-LSTM).
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int) -> None:
        self.is_awd = config.model == "awd_lstm"
        kind = "lstm" if self.is_awd else config.model
        sizes = [config.embedding_size, *[config.hidden_size] * config.layers]
        if self.is_awd and config.tied:
            sizes[-1] = config.embedding_size
        super().__init__(config, vocabulary_size, sizes[-1])
        self.recurrent = nn.ModuleList(
            RecurrentLayer(kind, size, hidden, config.weight_dropout)
            for size, hidden in pairwise(sizes)
        )
        self.word_dropout = config.embedding_dropout
        kinds = LockedDropout if self.is_awd else nn.Dropout  # type: type[nn.Module]
        shares = (
            (config.input_dropout, config.layer_dropout) if self.is_awd else (config.dropout,) * 2
        )
        self.input_dropout, self.layer_dropout = kinds(shares[0]), kinds(shares[1])
        self.output_dropout = kinds(config.dropout)

    def init_state(self, batch: int) -> State:
        """Return one (h, c), or (h,), of shape (1, B, H) per layer."""
        return tuple(layer.init_state(batch) for layer in self._layers())

    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words; see `LanguageModel.encode`."""
        vectors = self.embedding(ids)
        if self.word_dropout and self.training:
            vectors = drop_words(vectors, ids, self.vocabulary_size, self.word_dropout)
        outputs = self.input_dropout(vectors)
        after = []
        for place, layer in enumerate(self._layers()):
            outputs = self.layer_dropout(outputs) if place else outputs
            outputs, new = layer(outputs, state[place])
            after.append(new)
        return self.output_dropout(outputs), outputs, tuple(after)

    def _layers(self) -> list[RecurrentLayer]:
        return [layer for layer in self.recurrent if isinstance(layer, RecurrentLayer)]
