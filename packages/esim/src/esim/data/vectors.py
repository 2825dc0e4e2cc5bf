"""Where word vectors begin: in a file of pretrained ones, in the training sentences themselves, or nowhere.

Shapes: V words of the vocabulary, D size of a vector.

Vectors from the training sentences: how much more often two words stand near each other than chance would have them
(positive pointwise mutual information), cut down to D dimensions. A model that begins there knows from its first step
that `man` and `guy` are alike, which 24,495 pairs hardly teach it otherwise. Labels are not looked at.

References
----------
Levy, Goldberg and Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", TACL 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from esim.config import TrainConfig
from esim.data.dataset import PADDING, Data
from shared.data.datasets import data_root
from shared.text.cooccurrence import cooccurrence_counts, positive_pmi
from shared.text.vectors import Coverage, load_pretrained

GLOVE = ("glove.840B.300d", "glove.6B", "glove")
"""Folders of the data root in which `--vectors auto` looks."""
WINDOW = 8
"""Words to each side that count as near; the nearer the more."""
STANDARD_DEVIATION = 0.1
"""Of all numbers of vectors made from sentences; as of vectors that are drawn."""


def load_vectors(
    config: TrainConfig, data: Data
) -> tuple[NDArray[np.float32] | None, Coverage | None]:
    """Return where word vectors begin, and how much of the vocabulary a file covers.

    Returns
    -------
    vectors : float32 array (V, D) or None
        None: they are to be drawn.
    coverage : Coverage or None
        None where there is no file.

    Raises
    ------
    UserError
        The file cannot be read, or has a bad line that is not to be skipped.
    """
    if config.vectors == "train":
        pairs = data.splits["train"]
        sentences = list({s.tobytes(): s for s in [*pairs.premises, *pairs.hypotheses]}.values())
        size = len(data.vocabulary)
        return cooccurrence_vectors(sentences, size, config.embedding_size, config.seed), None
    path = _pretrained_file() if config.vectors == "auto" else config.vectors
    if path is None:
        return None, None
    return load_pretrained(
        path, data.vocabulary, on_bad_line=config.on_bad_vector, seed=config.seed, pad=PADDING
    )


def cooccurrence_vectors(
    sentences: Sequence[NDArray[np.int32]], words: int, size: int, seed: int
) -> NDArray[np.float32]:
    """Make vectors of words that stand near the same words.

    Parameters
    ----------
    sentences : sequence of int32 arrays
        Each once, so that SNLI's premises do not count three times.
    words : int
        V. Words that no sentence has get small random vectors.
    size : int
        D. Dimensions beyond what the counts support are small and random too.
    seed : int

    Returns
    -------
    float32 array (V, D)
    """
    import torch

    counts = cooccurrence_counts(sentences, words, window=WINDOW)
    information = positive_pmi(counts).tocoo()
    matrix = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([information.row, information.col])),
        torch.from_numpy(information.data),
        (words, words),
        check_invariants=False,
    ).coalesce()
    rank = min(size, words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        left, spread, _ = torch.svd_lowrank(matrix, q=rank, niter=4)
    vectors = (left * spread.sqrt()).numpy().astype(np.float32)  # (V, rank)
    found = np.random.default_rng(seed).standard_normal((words, size), dtype=np.float32)
    found *= STANDARD_DEVIATION
    is_known = np.asarray(counts.sum(1)).ravel() > 0
    scale = STANDARD_DEVIATION / max(float(vectors[is_known].std()), 1e-8)
    found[is_known, :rank] = vectors[is_known] * scale
    return found


def _pretrained_file() -> str | None:
    """Return the largest GloVe file of the data root."""
    found = [path for name in GLOVE for path in (data_root() / name).glob("glove*.txt")]
    return str(max(found, key=lambda path: path.stat().st_size)) if found else None
