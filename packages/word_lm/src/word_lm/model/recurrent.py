"""Recurrent models: plain RNN, GRU, LSTM, and AWD-LSTM, which is an LSTM regularized by several kinds of dropout.

Shapes: T time, B columns, E size of a word vector, H hidden size, G gates (1, 3 for GRU, 4 for LSTM).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.torch.device import recurrent_dtype
from word_lm.config import TrainConfig
from word_lm.model.base import LanguageModel, State
from word_lm.model.dropout import LockedDropout, drop_words
from word_lm.model.slow_context import SlowContext

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}


class RecurrentLayer(nn.Module):
    """One recurrent layer over a segment.

    The LSTM, with W = `input_weight`, U = `hidden_weight` and b both biases added (Zaremba et al. 2014, section 3.1):

        i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of  W x_t + U h_{t-1} + b
        c_t = f * c_{t-1} + i * g
        h_t = o * tanh(c_t)

    The plain RNN is h_t = tanh or ReLU of (W x_t + U h_{t-1} + b); the GRU is that of Cho et al. 2014 as torch has it.

    The weights are passed to torch's kernel explicitly. `nn.LSTM` keeps its own list of the weights it was made with:
    a weight that is replaced by setting the attribute never reaches the kernel, without an error, which is how
    awd-lstm-lm got a perplexity of 75 instead of 65.8 on newer torch.

    Parameters
    ----------
    kind : {"rnn_tanh", "rnn_relu", "gru", "lstm"}
    size : int
        Features of the input.
    hidden : int
        H.
    weight_dropout : float
        Dropout probability of the hidden-to-hidden weights, one mask per segment (DropConnect).
    """

    def __init__(self, kind: str, size: int, hidden: int, weight_dropout: float = 0.0) -> None:
        super().__init__()
        self.kind, self.hidden, self.weight_dropout = kind, hidden, weight_dropout
        rows = GATES[kind] * hidden
        self.input_weight = nn.Parameter(torch.empty(rows, size))  # (G * H, E)
        self.hidden_weight = nn.Parameter(torch.empty(rows, hidden))  # (G * H, H)
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
        # DropConnect on U (Merity et al. 2017, section 2): one mask for all time steps of the segment.
        recurrent = F.dropout(self.hidden_weight, self.weight_dropout, self.training)
        weights = [self.input_weight, recurrent, self.input_bias, self.hidden_bias]
        dtype = recurrent_dtype(inputs)
        with torch.autocast(inputs.device.type, enabled=False):
            return self._run(
                inputs.to(dtype),
                tuple(part.to(dtype) for part in state),
                [weight.to(dtype) for weight in weights],
            )

    def _run(
        self, inputs: Tensor, state: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        has_biases, layers, dropout, is_bidirectional, is_batch_first = True, 1, 0.0, False, False
        options = (has_biases, layers, dropout, self.training, is_bidirectional, is_batch_first)
        if self.kind == "lstm":
            outputs, h, c = torch.lstm(inputs, state, weights, *options)
            return outputs, (h, c)
        kernels = {"gru": torch.gru, "rnn_tanh": torch.rnn_tanh, "rnn_relu": torch.rnn_relu}
        kernel = kernels[self.kind]
        outputs, h = kernel(inputs, state[0], weights, *options)
        return outputs, (h,)


class Recurrent(LanguageModel):
    """A stack of recurrent layers with dropout between them; `awd_lstm` adds AWD-LSTM's regularization.

    A tied AWD-LSTM's last layer has the size of the word vectors. With decay rates for it, slow context is added to the
    output of the last layer.

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
        dropout: type[nn.Module] = LockedDropout if self.is_awd else nn.Dropout
        between = (
            (config.input_dropout, config.layer_dropout) if self.is_awd else (config.dropout,) * 2
        )
        self.input_dropout, self.layer_dropout = dropout(between[0]), dropout(between[1])
        self.output_dropout = dropout(config.dropout)
        self.context: SlowContext | None = None
        if config.context_decays:
            self.context = SlowContext(
                config.embedding_size,
                config.context_size,
                sizes[-1],
                config.context_decays,
                between[0],
            )

    def init_state(self, batch: int) -> State:
        """Return one (h, c), or (h,), of shape (1, B, H) per layer, then the states of slow context and pointer."""
        parts = (*self._layers(), self.context, self.pointer)
        return tuple(part.init_state(batch) for part in parts if part is not None)

    def encode(self, ids: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read words; see `LanguageModel.encode`."""
        vectors = self.embedding(ids)  # (T, B, E)
        if self.word_dropout and self.training:
            vectors = drop_words(vectors, ids, self.vocabulary_size, self.word_dropout)
        outputs = self.input_dropout(vectors)
        new_state = []
        for index, layer in enumerate(self._layers()):
            outputs = self.layer_dropout(outputs) if index else outputs
            outputs, new = layer(outputs, state[index])  # (T, B, H)
            new_state.append(new)
        if self.context is not None:
            added, new = self.context(vectors, state[len(new_state)])
            outputs = outputs + added
            new_state.append(new)
        new_state += state[len(new_state) :]  # the pointer's, which `forward` takes care of
        return self.output_dropout(outputs), outputs, tuple(new_state)

    def _layers(self) -> list[RecurrentLayer]:
        return [layer for layer in self.recurrent if isinstance(layer, RecurrentLayer)]
