"""Build and compile the engine that a configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cbow.config import TrainConfig
from cbow.model.subwords import Subwords
from cbow.model.weights import first_weights, subwords_of
from shared.text.vocabulary import Vocabulary

if TYPE_CHECKING:  # Numba takes a second to import, and vectors can be asked without it
    from cbow.kernels import Engine


def build_engine(
    config: TrainConfig,
    counts: NDArray[np.int64],
    U: NDArray[Any],
    V: NDArray[Any],
    subwords: Subwords | None = None,
) -> Engine:
    """Return the engine that a configuration asks for; `subwords` are from `subwords_of`."""
    from cbow.kernels import Engine

    return Engine(
        counts,
        U,
        V,
        objective=config.objective,
        architecture=config.architecture,
        window=config.window,
        negatives=config.negatives,
        negative_power=config.negative_power,
        positions=config.positions,
        subwords=subwords,
        gradient=config.cbow_gradient,
        subsample=config.subsample,
        shrink_windows=config.shrink_window,
        batch_size=config.batch_size,
        threads=config.threads,
    )


def compile_engine(config: TrainConfig) -> bool:
    """Let Numba compile the kernel of a configuration, or load it from its cache on disk.

    Returns
    -------
    bool
        It was compiled.
    """
    toy = Vocabulary.build(["a", "b"])
    subwords = subwords_of(config, toy)
    engine = build_engine(config, toy.counts, *first_weights(config, toy, subwords), subwords)
    ids = np.array([1, 2, -1], dtype=np.int32)
    before = engine.kernel.stats.cache_misses.total()
    engine.run(ids, engine.new_control(ids), engine.new_stats(), 0.1)
    return bool(engine.kernel.stats.cache_misses.total() > before)
