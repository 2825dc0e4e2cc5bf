"""Perplexity by length of context: how many words back a model makes use of.

The same tokens are predicted again and again, each time after exactly the last L words, from an empty state. Where the
curve becomes flat, more context no longer helps this model.

Shapes: N tokens of the text, P predicted positions, L words of context, B windows read at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shared.errors import UserError
from shared.torch.evaluation import evaluating
from word_lm.measures.protocols import perplexity
from word_lm.model.base import Ids, LanguageModel, as_tokens

LENGTHS = (1, 2, 5, 10, 20, 35, 50, 100, 200)
"""Words of context."""
TOLERANCE = 0.01
"""A context is enough when the perplexity is within this fraction of that of the longest one."""


@dataclass(frozen=True)
class ContextCurve:
    """Perplexities of one model on the same tokens, by length of context."""

    lengths: tuple[int, ...]
    """Words of context, rising."""
    perplexity: tuple[float, ...]
    gain: tuple[float, ...]
    """Mean nll at this length less that at the longest, in nats: the gain from the words further back."""
    gain_error: tuple[float, ...]
    """Standard error of the gain, from paired differences of the same tokens."""
    positions: int
    """Tokens predicted."""
    seed: int
    """Seed of the choice of tokens."""
    max_words: int | None = None
    """Words of context that the model read at most, also where the length is greater; None: all of them."""

    @property
    def enough(self) -> int:
        """Shortest context from which on all perplexities are within 1 % of that of the longest context."""
        limit = self.perplexity[-1] * (1 + TOLERANCE)
        needed = self.lengths[-1]
        for length, figure in zip(reversed(self.lengths), reversed(self.perplexity), strict=True):
            if figure > limit:
                break
            needed = length
        return needed


def context_curve(
    model: LanguageModel,
    ids: Ids,
    lengths: Sequence[int] = LENGTHS,
    *,
    positions: int = 2000,
    seed: int = 1,
    max_words: int | None = None,
    batch_tokens: int = 8192,
    progress: Callable[[int], object] | None = None,
) -> ContextCurve:
    """Measure perplexity after exactly L words, for several L.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
    lengths : sequence of int
        Words of context, each >= 1.
    positions : int
        Tokens to predict, sampled without replacement from those that have the longest context; all, if there are
        fewer.
    seed : int
        Seed of the sample.
    max_words : int, optional
        Read only this many last words of a longer context, >= 1: for a model that was trained on segments of this
        length from an empty state. Its curve is flat from there.
    batch_tokens : int
        About how many tokens are read at once. It changes speed and memory only.
    progress : callable, optional
        Called with the number of tokens read since the last call.

    Raises
    ------
    UserError
        A length or `positions` is below 1, or the text is not longer than the longest context.

    References
    ----------
    Khandelwal et al. 2018, arXiv 1805.04623 (truncated context).
    """
    lengths = sorted(set(lengths))
    if not lengths or lengths[0] < 1 or positions < 1:
        raise UserError(
            f"Context lengths {lengths}, {positions} positions. Expected numbers of 1 or more."
        )
    tokens = as_tokens(model, ids)
    targets = sampled_positions(len(tokens), lengths[-1], positions, seed)  # (P,)
    at = torch.from_numpy(targets).to(tokens.device)
    nll: list[NDArray[np.float64]] = []
    with evaluating(model):
        for index, length in enumerate(lengths):
            if index and max_words is not None and lengths[index - 1] >= max_words:
                nll.append(nll[-1])
                continue
            parts = []
            shown = length if max_words is None else min(length, max_words)
            back = torch.arange(-shown, 0, device=tokens.device)[:, None]  # (L, 1)
            # A pointer's memory has its full size from the first word on.
            held = max(shown, getattr(getattr(model, "pointer", None), "window", 0))
            for group in at.split(max(1, batch_tokens // held)):
                hidden, _ = model(tokens[group + back], model.init_state(len(group)))  # (L, B, H)
                parts.append(model.nll(hidden[-1], tokens[group]))
                if progress:
                    progress(shown * len(group))
            nll.append(torch.cat(parts).cpu().double().numpy())
    gains = [each - nll[-1] for each in nll]  # (P,) each
    return ContextCurve(
        lengths=tuple(lengths),
        perplexity=tuple(perplexity(float(each.sum()), len(each)) for each in nll),
        gain=tuple(float(gain.mean()) for gain in gains),
        gain_error=tuple(float(gain.std() / np.sqrt(len(gain))) for gain in gains),
        positions=len(targets),
        seed=seed,
        max_words=max_words,
    )


def sampled_positions(tokens: int, longest: int, positions: int, seed: int) -> NDArray[np.int64]:
    """Return the rising positions of the tokens to predict: each has `longest` tokens before it.

    Parameters
    ----------
    tokens : int
        N.
    longest, positions, seed
        See `context_curve`.

    Raises
    ------
    UserError
        No token has so many before it.
    """
    if tokens <= longest:
        raise UserError(
            f"The text has {tokens} tokens, too few for a context of {longest}. "
            f"Give a text of {longest + 1} tokens or more, or shorter lengths."
        )
    possible = tokens - longest
    chosen = np.random.default_rng(seed).choice(
        possible, size=min(positions, possible), replace=False
    )
    return np.sort(chosen.astype(np.int64)) + longest
