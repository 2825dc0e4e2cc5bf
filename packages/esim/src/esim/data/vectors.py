"""Initial word vectors: from a file of pretrained ones, from the training sentences themselves, or random.

Shapes: V words of the vocabulary, D size of a vector.

A model that starts from vectors of the training sentences (`shared.torch.word_vectors`) knows from its first step that
`man` and `guy` are alike, which 24,495 pairs hardly teach it otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esim.config import TrainConfig
from esim.data.dataset import PADDING, Data
from esim.data.stems import UNKNOWN_ID
from shared.data.datasets import data_root
from shared.text.vectors import load_pretrained

GLOVE = ("glove.840B.300d", "glove.6B", "glove")
"""Folders of the data root in which `--vectors auto` looks."""
WINDOW = 8
"""Words to each side that count as neighbors, weighted by 1 / distance."""
STANDARD_DEVIATION = 0.1
"""Standard deviation of vectors made from sentences, the same as of random ones."""


@dataclass(frozen=True)
class InitialVectors:
    """Initial word vectors, and where they come from.

    Parameters
    ----------
    matrix : float32 array (V, D) or None
        None: the model draws them.
    source : str
        For the log and `summary.json`.
    """

    matrix: NDArray[np.float32] | None
    source: str


def resolve(config: TrainConfig) -> tuple[TrainConfig, str]:
    """Replace `vectors: auto` by the file found, or by null, so that the saved configuration repeats the run.

    Returns
    -------
    config : TrainConfig
    note : str
        What `auto` has become, for the log; empty where it was not asked for.
    """
    if config.vectors != "auto":
        return config, ""
    file = _pretrained_file()
    if file is None:
        folders = ", ".join(GLOVE)
        note = (
            f"vectors: auto finds no GloVe file in {data_root()} ({folders}), so word vectors start random. "
            "`esim fetch --glove` downloads GloVe 840B."
        )
        return replace(config, vectors=None), note
    return replace(config, vectors=str(file)), f"vectors: auto takes {file}"


def load_vectors(config: TrainConfig, data: Data) -> InitialVectors:
    """Return the initial word vectors that a resolved configuration names.

    Raises
    ------
    UserError
        The file cannot be read, or has a bad line that is not to be skipped.
    """
    if config.vectors is None:
        return InitialVectors(None, "random")
    if config.vectors == "train":
        # Once it is asked for: the import takes torch along.
        from shared.torch.word_vectors import cooccurrence_vectors

        pairs, words = data.splits["train"], len(data.vocabulary)
        # Each sentence once, so that SNLI's premises do not count three times.
        distinct = {s.tobytes(): s for s in [*pairs.premises, *pairs.hypotheses]}.values()
        # With stem back-off, unknown words have ids of their own, above those of the vocabulary.
        sentences = [np.where(s < words, s, UNKNOWN_ID) for s in distinct]
        if all(len(s) < 2 for s in sentences):
            return InitialVectors(None, "random: no training sentence has two words")
        matrix = cooccurrence_vectors(
            sentences,
            words,
            config.embedding_size,
            config.seed,
            window=WINDOW,
            deviation=STANDARD_DEVIATION,
        )
        return InitialVectors(matrix, f"PPMI of {len(sentences):,} training sentences")
    matrix, coverage = load_pretrained(
        config.vectors,
        data.vocabulary,
        on_bad_line=config.on_bad_vector,
        seed=config.seed,
        pad=PADDING,
        skip_option="--on-bad-vector skip",
    )
    return InitialVectors(matrix, f"{Path(config.vectors).name}, {coverage}")


def _pretrained_file() -> Path | None:
    """Return the largest GloVe file of the data root."""
    files = [path for name in GLOVE for path in (data_root() / name).glob("glove*.txt")]
    return max(files, key=lambda path: path.stat().st_size, default=None)
