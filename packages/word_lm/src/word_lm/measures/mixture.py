"""Interpolation of a neural model with a Kneser-Ney model, which predicts rare names and phrases better.

The probabilities are interpolated with a fixed weight, so the mixture is a static language model too: it does not adapt
to the text. But it is two models, so its perplexity is reported as a separate figure.

Shapes: N tokens of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from word_lm.measures.ngram import KneserNey
from word_lm.measures.protocols import SEGMENT, Evaluation, perplexity, token_nll
from word_lm.model.base import LanguageModel

WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 0.9)
"""Weights of the n-gram model in the grid search."""


def mixture_perplexity(
    model: LanguageModel,
    ngram: KneserNey,
    ids: NDArray[Any],
    weight: float,
    *,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
) -> Evaluation:
    """Measure (1 - weight) * p_model + weight * p_ngram over the text as one column.

    Parameters
    ----------
    model : LanguageModel
    ngram : KneserNey
        Estimated on the same training text with the same vocabulary.
    ids : int array (N,)
    weight : float
        Weight of the n-gram model, 0 to 1, from `tune_mixture` on the validation text.
    segment, is_state_carried
        See `word_lm.measures.protocols.batch_1_perplexity`.

    References
    ----------
    Mikolov et al. 2010, "Recurrent neural network based language model", section 3 (interpolation with a 5-gram model).
    """
    neural, counted = _log_probs(model, ngram, ids, segment, is_state_carried)
    nll = -float(interpolated(neural, counted, weight).sum())
    carried = "carried" if is_state_carried else "reset at each segment"
    return Evaluation(
        protocol=f"interpolated with the {ngram.order}-gram (weight {weight:g}): batch-1, state {carried}",
        perplexity=perplexity(nll, len(neural)),
        nll=nll,
        predicted=len(neural),
        dropped=1,
        cold_starts=1 if is_state_carried else -(-len(neural) // segment),
    )


def tune_mixture(
    model: LanguageModel,
    ngram: KneserNey,
    ids: NDArray[Any],
    *,
    weights: Sequence[float] = WEIGHTS,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
) -> float:
    """Return the weight with the lowest perplexity on a text, which must be the validation text."""
    neural, counted = _log_probs(model, ngram, ids, segment, is_state_carried)
    return max(weights, key=lambda weight: float(interpolated(neural, counted, weight).sum()))


def interpolated(
    neural: NDArray[np.float64], counted: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """Return the logarithm of (1 - weight) * exp(neural) + weight * exp(counted), elementwise (N,)."""
    with np.errstate(divide="ignore"):  # log 0 = -inf is right here
        return np.logaddexp(np.log1p(-weight) + neural, np.log(weight) + counted)


def _log_probs(
    model: LanguageModel,
    ngram: KneserNey,
    ids: NDArray[Any],
    segment: int,
    is_state_carried: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log-probability of each token but the first, by both models, (N - 1,) each."""
    neural = -token_nll(model, ids, segment=segment, is_state_carried=is_state_carried)
    return neural, ngram.log_probs(ids)[1:]
