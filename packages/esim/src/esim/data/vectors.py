"""Initial word vectors: from a file of pretrained ones, from the training sentences themselves, or random.

Shapes: V words of the vocabulary, D size of a vector.

Vectors of the training sentences are positive pointwise mutual information of words within a window, reduced to D
dimensions by a truncated SVD. A model that starts from them knows from its first step that `man` and `guy` are alike,
which 24,495 pairs hardly teach it otherwise. Labels are not used.

References
----------
Levy, Goldberg and Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", TACL 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esim.config import TrainConfig
from esim.data.dataset import PADDING, Data
from shared.data.datasets import data_root
from shared.text.cooccurrence import cooccurrence_counts, positive_pmi
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
        pairs = data.splits["train"]
        sentences = list({s.tobytes(): s for s in [*pairs.premises, *pairs.hypotheses]}.values())
        words = len(data.vocabulary)
        matrix = cooccurrence_vectors(sentences, words, config.embedding_size, config.seed)
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


def cooccurrence_vectors(
    sentences: Sequence[NDArray[np.int32]], words: int, size: int, seed: int
) -> NDArray[np.float32]:
    """Return vectors in which words with the same neighbors are similar.

    Parameters
    ----------
    sentences : sequence of int32 arrays
        Each once, so that SNLI's premises do not count three times.
    words : int
        V. Words that no sentence has get small random vectors.
    size : int
        D. Dimensions beyond the rank of the counts are small and random too.
    seed : int

    Returns
    -------
    float32 array (V, D)
    """
    import torch

    counts = cooccurrence_counts(sentences, words, window=WINDOW)
    information = positive_pmi(counts).tocoo()  # (V, V)
    matrix = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([information.row, information.col])),
        torch.from_numpy(information.data),
        (words, words),
        check_invariants=False,
    ).coalesce()
    rank = min(size, words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        left, singular, _ = torch.svd_lowrank(matrix, q=rank, niter=4)
    # U S^(1/2): Levy et al., section 3.3 (eigenvalue weighting p = 0.5).
    known = (left * singular.sqrt()).numpy().astype(np.float32)  # (V, rank)
    vectors = np.random.default_rng(seed).standard_normal((words, size), dtype=np.float32)
    vectors *= STANDARD_DEVIATION
    is_known = np.asarray(counts.sum(1)).ravel() > 0
    scale = STANDARD_DEVIATION / max(float(known[is_known].std()), 1e-8)
    vectors[is_known, :rank] = known[is_known] * scale
    return vectors


def _pretrained_file() -> Path | None:
    """Return the largest GloVe file of the data root."""
    files = [path for name in GLOVE for path in (data_root() / name).glob("glove*.txt")]
    return max(files, key=lambda path: path.stat().st_size, default=None)
