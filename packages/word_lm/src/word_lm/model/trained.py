"""Reading a trained model from its run folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from shared.command import config as configuration
from shared.data.checksum import describe
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory
from shared.text.vocabulary import Vocabulary
from shared.torch.checkpoint import load_weights
from word_lm.config import TrainConfig
from word_lm.data.dataset import SPLITS, Text, load_text, split_file
from word_lm.model.base import LanguageModel
from word_lm.model.build import build_model

VOCABULARY = "vocab.txt"
_NAME_ONE = (
    "Name a text: `evaluate` and `context` take --data (without --cache, --dynamic and --ngram), "
    "`surprisal` takes --text."
)


@dataclass(frozen=True)
class TrainedModel:
    """A model read from a run.

    Parameters
    ----------
    model : LanguageModel
        In evaluation mode.
    vocabulary : Vocabulary
    config : TrainConfig
        The settings it was trained with.
    path : Path
        The run's folder.
    """

    model: LanguageModel
    vocabulary: Vocabulary
    config: TrainConfig
    path: Path

    @property
    def max_words(self) -> int | None:
        """Words that the model has learned to read from an empty state, at most; None: any number."""
        config = self.config
        if not config.carry:
            return config.bptt
        # The positions of the coursework's Transformer stay below its memory, see `Transformer.encode`.
        return max(config.memory, config.bptt) if config.model == "transformer" else None

    def is_own_text(self, data: str) -> bool:
        """Whether training split this text, which has no valid and test files of its own, under whatever name."""
        path = Path(data).expanduser()
        if path.is_dir() and any(split_file(path, name).exists() for name in SPLITS):
            return False
        if not (path.is_dir() or path.is_file()) or not (self.path / "summary.json").exists():
            return False
        summary = RunDirectory.read(self.path, task="word-lm").summary()
        return bool(describe(path).sha256 == summary["data"]["sha256"])

    def text(self) -> Text:
        """Return the data that the model was trained on.

        Raises
        ------
        UserError
            It is missing, or it has changed since.
        """
        data = Path(self.config.data).expanduser() if self.config.data else None
        if data is not None and not data.exists():
            raise UserError(
                f"{self.path}: was trained on {data}, which is not found from here. {_NAME_ONE}"
            )
        if data is not None and not (data.is_file() or data.is_dir()):
            raise UserError(f"{self.path}: was trained on a pipe ({data}). {_NAME_ONE}")
        start = self.vocabulary if self.config.init else None
        text = load_text(self.config, start)
        if text.vocabulary != self.vocabulary:
            raise UserError(
                f"{self.path}: the data of this run has changed since: its vocabulary is another. {_NAME_ONE}"
            )
        return text


def load_run(run: str | Path, *, device: torch.device | str = "cpu") -> TrainedModel:
    """Read the best checkpoint of a run, or the last one if none was evaluated yet.

    Parameters
    ----------
    run : str or Path
        A folder that `word-lm train` wrote.
    device : torch.device or str

    Raises
    ------
    UserError
        The folder is no run, holds no undamaged checkpoint, or its files do not fit together.
    """
    folder = RunDirectory.read(run, task="word-lm")
    config = configuration.load(TrainConfig, folder.path / "config.yaml")
    checkpoint = folder.chosen(highest=False).folder
    vocabulary = Vocabulary.load(checkpoint / VOCABULARY)
    # Trained on segments from an empty state, a Transformer knows no word further back than a segment is long.
    memory = config.memory if config.carry else min(config.memory, config.bptt)
    model = build_model(replace(config, memory=memory), len(vocabulary))
    load_weights(checkpoint, model)
    return TrainedModel(model.to(device).eval(), vocabulary, config, folder.path)
