"""A neural cache: recent words become more probable, the more the present hidden state is like the one before them.

A token is predicted before it enters the cache, so nothing looks ahead. But the cache adapts to the test text, which
the static protocols of `protocols.py` do not, so its perplexity is reported as a separate figure.

Shapes: N tokens of the text, T time in tokens, H hidden size, M positions in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import UserError
from shared.torch.evaluation import evaluating
from word_lm.measures.mixture import interpolated
from word_lm.measures.protocols import SEGMENT, Evaluation, perplexity, read_column
from word_lm.model.base import Ids, LanguageModel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CacheSettings:
    """Settings of a neural cache."""

    theta: float = 0.3
    """Scale of the similarities (flatness of the cache distribution), >= 0; 0: all positions count the same."""
    weight: float = 0.1
    """Interpolation weight of the cache (the paper's lambda), 0 to 1."""
    window: int = 2000
    """Positions in the cache, >= 1."""

    def __post_init__(self) -> None:
        """Check all values."""
        if not (self.theta >= 0 and 0 <= self.weight <= 1 and self.window >= 1):
            raise UserError(f"{self}: expected theta >= 0, weight from 0 to 1, window >= 1.")


def cache_perplexity(
    model: LanguageModel,
    ids: Ids,
    settings: CacheSettings,
    *,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measure with a neural cache, over the text as one column.

    The cache holds, for each of the last M positions i, the hidden state h_i and the word that followed it. After h_t
    the word w has the probability (section 3)

        (1 - weight) * p_model(w) + weight * sum of softmax_i(theta * h_t . h_i) over the i followed by w

    At the first position the cache is empty, and the model's own probability is used.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
    settings : CacheSettings
        From `tune_cache` on the validation text.
    segment : int
        Tokens read at once; the result is that of reading one token at a time.
    is_state_carried : bool
        See `word_lm.measures.protocols.batch_1_perplexity`. The cache is never emptied.
    progress : callable, optional
        Called with the number of tokens scored since the last call.

    References
    ----------
    Grave, Joulin and Usunier 2016, arXiv 1612.04426, section 3 (linear interpolation).
    """
    own, cached, cold_starts = _cache_log_probs(
        model, ids, [settings.theta], settings.window, segment, is_state_carried, progress
    )
    nll = -float(_mix(own, cached[0], settings.weight).sum())
    return Evaluation(
        protocol=f"neural cache (theta {settings.theta:g}, weight {settings.weight:g}, "
        f"window {settings.window}): batch-1",
        perplexity=perplexity(nll, len(own)),
        nll=nll,
        predicted=len(own),
        dropped=len(ids) - len(own),
        cold_starts=cold_starts,
    )


def tune_cache(
    model: LanguageModel,
    ids: Ids,
    *,
    thetas: Sequence[float] = (0.1, 0.2, 0.4, 0.8, 1.6),
    weights: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.4),
    window: int = 2000,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
    progress: Callable[[int], object] | None = None,
) -> tuple[CacheSettings, list[tuple[CacheSettings, float]]]:
    """Choose theta and weight by grid search; the text is read once.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
        The validation text; settings chosen on the test text would be too good.
    thetas, weights : sequences of float
        Useful thetas depend on the norm of the hidden states.
    window, segment, is_state_carried, progress
        See `cache_perplexity`.

    Returns
    -------
    best : CacheSettings
    tried : list of (CacheSettings, perplexity)
    """
    own, cached, _ = _cache_log_probs(
        model, ids, thetas, window, segment, is_state_carried, progress
    )
    tried = [
        (
            CacheSettings(theta, weight, window),
            perplexity(-float(_mix(own, log_probs, weight).sum()), len(own)),
        )
        for theta, log_probs in zip(thetas, cached, strict=True)
        for weight in weights
    ]
    return min(tried, key=lambda pair: pair[1])[0], tried


def _cache_log_probs(
    model: LanguageModel,
    ids: Ids,
    thetas: Sequence[float],
    window: int,
    segment: int,
    is_state_carried: bool,
    progress: Callable[[int], object] | None,
) -> tuple[Floats, list[Floats], int]:
    """Return the log-probability of each token (N - 1,) by the model, by the cache for each theta, and cold starts.

    The cache's is NaN where the cache was empty.
    """
    own: list[Tensor] = []
    cached: list[list[Tensor]] = [[] for _ in thetas]
    cold_starts = 0
    # Keys (M, H): hidden states in the cache; words (M,): the words that followed them.
    keys = words = torch.empty(0)
    with evaluating(model):
        for part in read_column(model, ids, segment=segment, is_state_carried=is_state_carried):
            own.append(-part.nll)
            cold_starts += part.is_cold
            remembered = len(words)
            hidden = part.hidden[:, : model.output_size]
            keys = torch.cat([keys, hidden]) if remembered else hidden
            words = torch.cat([words, part.targets]) if remembered else part.targets

            # The word after position i is known at t only if i < t: the segment itself is in the cache, masked.
            present = torch.arange(remembered, len(words), device=words.device)[:, None]
            index = torch.arange(len(words), device=words.device)
            is_known = (index < present) & (index >= present - window)  # (T, M + T)
            # h_t . h_i, less the largest: the softmax does not change and exp cannot overflow.
            scores = (hidden @ keys.T).float().masked_fill(~is_known, -torch.inf)
            largest = scores.amax(1, keepdim=True)
            scores = scores - torch.where(largest.isfinite(), largest, 0)
            is_target = words == part.targets[:, None]
            for theta, parts in zip(thetas, cached, strict=True):
                # exp(theta * h_t . h_i); -inf * 0 is NaN, so at theta 0 the mask is applied again.
                mass = torch.where(is_known, torch.exp(theta * scores), 0)
                parts.append(((mass * is_target).sum(1) / mass.sum(1)).log())
            keys, words = keys[-window:], words[-window:]
            if progress:
                progress(len(part.targets))
    return _joined(own), [_joined(parts) for parts in cached], cold_starts


def _mix(own: Floats, cached: Floats, weight: float) -> Floats:
    """Interpolate the model's and the cache's probabilities, given and returned as logarithms."""
    cached = np.where(np.isnan(cached), own, cached)  # an empty cache has no distribution
    return interpolated(own, cached, weight)


def _joined(parts: list[Tensor]) -> Floats:
    return torch.cat(parts).cpu().double().numpy()
