"""A neural model and a Kneser-Ney model together: the one knows topics and grammar, the other rare names and phrases.

Their probabilities are mixed with a fixed weight, so the mixture is a language model like any other: nothing is learned
from the text that is measured. Yet it is two models, so its figure stands in a line of its own.

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

WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""Shares of the n-gram model that are tried."""


def mixture_perplexity(
    model: LanguageModel,
    ngram: KneserNey,
    ids: NDArray[Any],
    weight: float,
    *,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
) -> Evaluation:
    """Measure (1 - weight) * p_model + weight * p_ngram over the text as one row.

    Parameters
    ----------
    model : LanguageModel
    ngram : KneserNey
        Of the same training text and vocabulary.
    ids : int array (N,)
    weight : float
        Share of the n-gram model, 0 to 1, from `tune_mixture` on the validation text.
    segment, is_state_carried
        See `word_lm.measures.protocols.batch_1_perplexity`.

    References
    ----------
    Mikolov et al. 2010, "Recurrent neural network based language model", section 3: the mixture with a 5-gram model.
    """
    own, counted = _log_probs(model, ngram, ids, segment, is_state_carried)
    nll = -float(mixed(own, counted, weight).sum())
    kept = "carried" if is_state_carried else "lost between stretches"
    return Evaluation(
        protocol=f"mixed with the {ngram.order}-gram (weight {weight:g}): batch-1, state {kept}",
        perplexity=perplexity(nll, len(own)),
        nll=nll,
        predicted=len(own),
        dropped=1,
        cold_starts=1 if is_state_carried else -(-len(own) // segment),
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
    """Return the weight with the lowest perplexity on a text: the validation text, never the test text."""
    own, counted = _log_probs(model, ngram, ids, segment, is_state_carried)
    return max(weights, key=lambda weight: float(mixed(own, counted, weight).sum()))


def mixed(
    own: NDArray[np.float64], counted: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """Return the logarithm of (1 - weight) * exp(own) + weight * exp(counted), elementwise (N,)."""
    with np.errstate(divide="ignore"):  # log 0 is what it should be
        return np.logaddexp(np.log1p(-weight) + own, np.log(weight) + counted)


def _log_probs(
    model: LanguageModel,
    ngram: KneserNey,
    ids: NDArray[Any],
    segment: int,
    is_state_carried: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log-probability of each token but the first, by both models, (N - 1,) each."""
    own = -token_nll(model, ids, segment=segment, is_state_carried=is_state_carried)
    return own, ngram.log_probs(ids)[1:]
