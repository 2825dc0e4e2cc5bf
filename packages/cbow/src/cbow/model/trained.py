"""Reading a trained model from its run folder: word vectors for use, weights to continue from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.config import TrainConfig
from cbow.model.vectors import WordVectors
from shared.command import config as configuration
from shared.errors import UserError
from shared.runs.listing import newest_run
from shared.runs.run_directory import RunDirectory
from shared.text.vocabulary import Vocabulary

VECTORS = "vectors.safetensors"
SYNONYMS = "synonyms.json"
VOCABULARY = "vocab.txt"
WEIGHTS = "weights.safetensors"
"""In a checkpoint."""


@dataclass(frozen=True)
class TrainedWeights:
    """The matrices U (T R, D) and V (D, V) of a run, with the settings and words that give their rows a meaning."""

    config: TrainConfig
    vocabulary: Vocabulary
    U: NDArray[np.float32]
    V: NDArray[np.float32]


def load(run: str | Path) -> WordVectors:
    """Return the word vectors of a run folder or of a vector file.

        >>> from cbow import load
        >>> vectors = load("runs/cbow/best")
        >>> vectors.most_similar("film", topn=3)

    Parameters
    ----------
    run : str or Path
        A folder that `cbow train` wrote, or a folder of such folders: its newest; or a file: `.npz`, `.safetensors`,
        GloVe text, word2vec text or binary.

    Raises
    ------
    UserError
        It is neither, the run did not end, or the file is damaged.
    """
    path = Path(run)
    if not path.is_dir():
        return WordVectors.load(path)
    folder = RunDirectory.read(newest_run(path, "cbow"), task="cbow")
    folder.summary()  # says how to finish a run that did not end
    return WordVectors.load(folder.path / VECTORS)


def load_weights(run: str | Path) -> TrainedWeights:
    """Return the weights of a run's last checkpoint.

    Raises
    ------
    UserError
        It is no run, has no checkpoint, or has trained two models (`twin`), of which only one is there.
    """
    folder = RunDirectory.read(newest_run(Path(run), "cbow"), task="cbow")
    config = configuration.load(TrainConfig, folder.path / "config.yaml")
    if config.twin:
        raise UserError(f"{run}: has trained two models. Expected a run without --twin.")
    checkpoint = folder.checkpoints.last()
    if checkpoint is None:
        raise UserError(f"{run}: has no checkpoint. Expected a run that has trained.")
    arrays = read_arrays(checkpoint.folder / WEIGHTS)
    vocabulary = Vocabulary.load(folder.path / VOCABULARY)
    return TrainedWeights(config, vocabulary, arrays["U"], arrays["V"])


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a checkpoint; a UserError names a file that cannot be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read ({error}). Restore it or train again.") from None
