"""Reading a trained model from its run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from shared.command import config as configuration
from shared.runs.run_directory import RunDirectory
from shared.text.vocabulary import Vocabulary
from shared.torch.checkpoint import load_weights
from word_lm.config import TrainConfig
from word_lm.model.base import LanguageModel

VOCABULARY = "vocab.txt"


@dataclass(frozen=True)
class TrainedModel:
    """A model read from a run.

    Parameters
    ----------
    model : LanguageModel
        In evaluation mode.
    vocabulary : Vocabulary
    config : TrainConfig
        What it was trained with.
    path : Path
        The run's folder.
    """

    model: LanguageModel
    vocabulary: Vocabulary
    config: TrainConfig
    path: Path


def build_model(config: TrainConfig, vocabulary_size: int) -> LanguageModel:
    """Return an untrained model; its first weights follow from torch's global generator."""
    # Here, because each family's module needs the class above.
    if config.model == "transformer":
        from word_lm.model.transformer import Transformer

        return Transformer(config, vocabulary_size)
    if config.model == "modern_transformer":
        from word_lm.model.transformer import ModernTransformer

        return ModernTransformer(config, vocabulary_size)
    if config.model == "gated_cnn":
        from word_lm.model.convolution import GatedConvolution

        return GatedConvolution(config, vocabulary_size)
    from word_lm.model.recurrent import Recurrent

    return Recurrent(config, vocabulary_size)


def load_run(path: str | Path, *, device: torch.device | str = "cpu") -> TrainedModel:
    """Read the best model of a run, or the last one where none was measured yet.

    Raises
    ------
    UserError
        The folder is no run, holds no whole checkpoint, or its files do not fit together.
    """
    run = RunDirectory.read(path, task="word-lm")
    config = configuration.load(TrainConfig, run.path / "config.yaml")
    folder = run.chosen(highest=False).folder
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    model = build_model(config, len(vocabulary))
    load_weights(folder, model)
    return TrainedModel(model.to(device).eval(), vocabulary, config, run.path)
