"""From a configuration to an untrained model."""

from __future__ import annotations

from word_lm.config import TrainConfig
from word_lm.model.base import LanguageModel
from word_lm.model.convolution import GatedConvolution
from word_lm.model.recurrent import Recurrent
from word_lm.model.transformer import ModernTransformer, Transformer

FAMILIES: dict[str, type[LanguageModel]] = {
    "rnn_tanh": Recurrent,
    "rnn_relu": Recurrent,
    "gru": Recurrent,
    "lstm": Recurrent,
    "awd_lstm": Recurrent,
    "transformer": Transformer,
    "modern_transformer": ModernTransformer,
    "gated_cnn": GatedConvolution,
}
"""The class of each `--model`."""


def build_model(config: TrainConfig, vocabulary_size: int) -> LanguageModel:
    """Return an untrained model; its initial weights are drawn from torch's global generator."""
    # Every family has the same signature; the abstract class adds the size of its hidden states.
    return FAMILIES[config.model](config, vocabulary_size)  # type: ignore[call-arg]
