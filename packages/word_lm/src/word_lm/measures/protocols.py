"""Perplexity, by three protocols that are named in the result.

Perplexity is exp(total negative log-likelihood / predicted tokens). Which tokens are predicted, and what the model
knows when it predicts them, differs by protocol, so figures of different protocols do not compare:

- `examples`: as pytorch/examples does. The text is cut into 10 rows, what is left over is dropped; each row starts
  without context; the state is carried from one stretch of 35 tokens to the next.
- `batch-1`: one row, so nothing is dropped and only the first token has no context.
- `sliding window`: overlapping windows, each read from an empty state. A token is scored once, in the first window that
  gives it enough context. For models whose context is bounded.

Adapting to the text while it is read (cache, dynamic evaluation) is a different figure: see `word_lm.measures.neural_cache`
and `word_lm.measures.dynamic`.

Shapes: N tokens of the text, T time in tokens, B rows read beside each other, H hidden size. Time comes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import UserError
from shared.torch.evaluation import evaluating
from word_lm.model.base import LanguageModel

EXAMPLES_BATCH, SEGMENT = 10, 35
"""Rows, and tokens read at once, of pytorch/examples."""

_TOGETHER = 4096
"""Tokens scored at once: reading the vectors of all words costs as much for ten tokens as for hundreds."""

Ids: TypeAlias = NDArray[Any] | Tensor
"""Token ids (N,), whole numbers."""


@dataclass(frozen=True)
class Evaluation:
    """One perplexity and what it was measured on."""

    protocol: str
    """What was done, in words."""
    perplexity: float
    """exp(nll / predicted)."""
    nll: float
    """Total negative log-likelihood of the predicted tokens, in nats."""
    predicted: int
    """Tokens scored."""
    dropped: int
    """Tokens of the text that were not scored: cut off at the end of the rows, or first of a row."""
    cold_starts: int
    """How often tokens were scored from an empty state on."""


def perplexity(nll: float, predicted: int) -> float:
    """Return exp(nll / predicted); infinite where that is beyond a float."""
    try:
        return math.exp(nll / predicted)
    except OverflowError:
        return math.inf


def examples_perplexity(
    model: LanguageModel,
    ids: Ids,
    *,
    batch: int = EXAMPLES_BATCH,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measure as the word language model of pytorch/examples does.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
    batch : int
        Rows the text is cut into. N - N // batch * batch tokens at the end are dropped, and the first of each row is
        not predicted.
    segment : int
        Tokens read at once.
    is_state_carried : bool
        False: each stretch starts from an empty state, as that repository's Transformer does.
    progress : callable, optional
        Told how many tokens were scored since the last call.

    Raises
    ------
    UserError
        The text has fewer than two tokens a row.
    """
    tokens = as_tokens(model, ids)
    rows = len(tokens) // batch
    if rows < 2:
        raise UserError(
            f"The text has {len(tokens)} tokens, too few for {batch} rows of at least 2. "
            f"Give a text of {2 * batch} tokens or more, or take one row (--protocols [batch1])."
        )
    table = tokens[: rows * batch].view(batch, rows).t().contiguous()  # (N // batch, batch)
    total, cold_starts = 0.0, 0
    with evaluating(model):
        for hidden, targets, colds in _together(_read(model, table, segment, is_state_carried)):
            total += _sum(model.nll(hidden, targets))
            cold_starts += colds
            if progress:
                progress(len(targets))
    predicted = (rows - 1) * batch
    kept = "carried" if is_state_carried and cold_starts == batch else "lost between stretches"
    return Evaluation(
        protocol=f"examples: batch {batch}, stretches of {segment}, state {kept}",
        perplexity=perplexity(total, predicted),
        nll=total,
        predicted=predicted,
        dropped=len(tokens) - predicted,
        cold_starts=cold_starts,
    )


_Read: TypeAlias = tuple[Tensor, Tensor, int]
"""Outputs (N, H), the tokens after them (N,), rows whose state was empty before them."""


def _read(
    model: LanguageModel, table: Tensor, segment: int, is_state_carried: bool
) -> Iterator[_Read]:
    """Read rows (T, B) stretch by stretch."""
    batch, state = table.shape[1], None
    for position in range(0, len(table) - 1, segment):
        colds = 0
        if state is None or not is_state_carried:  # None: the model keeps nothing
            state, colds = model.init_state(batch), batch
        targets = table[position + 1 : position + 1 + segment]
        hidden, state = model(table[position : position + len(targets)], state)
        yield hidden.flatten(0, 1), targets.flatten(), colds


def _together(stretches: Iterable[_Read]) -> Iterator[_Read]:
    """Join stretches until they are at least _TOGETHER tokens."""
    held: list[_Read] = []
    count = 0
    for stretch in stretches:
        held.append(stretch)
        count += len(stretch[1])
        if count >= _TOGETHER:
            yield _joined(held)
            held, count = [], 0
    if held:
        yield _joined(held)


def _joined(stretches: Iterable[_Read]) -> _Read:
    hidden, targets, colds = zip(*stretches, strict=True)
    return torch.cat(hidden), torch.cat(targets), sum(colds)


def batch_1_perplexity(
    model: LanguageModel,
    ids: Ids,
    *,
    segment: int = SEGMENT,
    start: int | None = None,
    is_state_carried: bool = True,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measure over the text as one row: no token is dropped.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
    segment : int
        Tokens read at once. A matter of speed only, for models that carry their state.
    start : int, optional
        Id of a token to read before the text (`<eos>`), so that the first token is predicted too. Without it, N - 1
        tokens are.
    is_state_carried : bool
        False: each stretch starts from an empty state, for models that learned no more.
    progress : callable, optional
        Told how many tokens were scored since the last call.

    Raises
    ------
    UserError
        The text has fewer than two tokens (with `start`: none).
    """
    total, predicted, cold_starts = 0.0, 0, 0
    with evaluating(model):
        for part in read_row(
            model, ids, segment=segment, start=start, is_state_carried=is_state_carried
        ):
            total += _sum(part.nll)
            predicted += len(part.nll)
            cold_starts += part.is_cold
            if progress:
                progress(len(part.nll))
    before = "" if start is None else ", a start token before the text"
    kept = "carried" if is_state_carried and cold_starts == 1 else "lost between stretches"
    return Evaluation(
        protocol=f"batch-1: one row, stretches of {segment}, state {kept}{before}",
        perplexity=perplexity(total, predicted),
        nll=total,
        predicted=predicted,
        dropped=len(ids) - predicted,
        cold_starts=cold_starts,
    )


def token_nll(
    model: LanguageModel,
    ids: Ids,
    *,
    segment: int = SEGMENT,
    start: int | None = None,
    is_state_carried: bool = True,
) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each token, as `batch_1_perplexity` scores them.

    Parameters
    ----------
    model, ids, segment, start, is_state_carried
        See `batch_1_perplexity`.

    Returns
    -------
    float64 array (N - 1,), or (N,) with `start`
        In nats.
    """
    with evaluating(model):
        row = read_row(model, ids, segment=segment, start=start, is_state_carried=is_state_carried)
        parts = [part.nll for part in row]
    return torch.cat(parts).double().cpu().numpy()


def sliding_window_perplexity(
    model: LanguageModel,
    ids: Ids,
    *,
    window: int = 256,
    stride: int = 64,
    batch: int = 16,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measure in overlapping windows, so that every token has a given context whatever the model carries.

    ```
    text      . a b c d e f g h i j      window 6, stride 2
    window 1  . A B C D E F              capitals are scored; the first window scores all it can
    window 2      . . . . . G H          then only what is new
    window 3          . . . . . I J
    ```

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
    window : int
        Tokens read in each window; they predict as many.
    stride : int
        Tokens between two windows, 1 <= stride <= window. Every token but those of the first window has at least
        window - stride + 1 tokens of context.
    batch : int
        Windows read beside each other. A matter of speed and memory only.
    progress : callable, optional
        Told how many tokens were scored since the last call.

    Raises
    ------
    UserError
        The text has fewer than two tokens, or the stride does not fit the window.
    """
    if not 1 <= stride <= window:
        raise UserError(
            f"The stride is {stride} and the window {window}. Expected 1 <= stride <= window."
        )
    tokens = as_tokens(model, ids)
    targets = len(tokens) - 1
    _require_two(tokens)
    window = min(window, targets)
    starts = list(range(0, targets - window + 1, stride))
    if starts[-1] + window < targets:  # the last window ends with the text: more context, not less
        starts.append(targets - window)
    ends = [0, *(first + window for first in starts)]
    new = [end - before for before, end in pairwise(ends)]  # targets to score

    total, predicted = 0.0, 0
    with evaluating(model):
        for group in range(0, len(starts), batch):
            firsts = torch.tensor(starts[group : group + batch], device=tokens.device)
            counts = torch.tensor(new[group : group + batch], device=tokens.device)
            at = firsts + torch.arange(window, device=tokens.device)[:, None]  # (T, B)
            hidden, _ = model(tokens[at], model.init_state(len(firsts)))
            longest = int(counts.max())
            ahead = tokens[at[-longest:] + 1]
            nll = model.nll(hidden[-longest:].flatten(0, 1), ahead.flatten()).view_as(ahead)
            is_new = torch.arange(longest, 0, -1, device=tokens.device)[:, None] <= counts
            total += _sum(nll[is_new])
            predicted += int(counts.sum())
            if progress:
                progress(int(counts.sum()))
    return Evaluation(
        protocol=f"sliding window of {window}, stride {stride}: "
        f"{window - stride + 1} or more tokens of context after the first window",
        perplexity=perplexity(total, predicted),
        nll=total,
        predicted=predicted,
        dropped=len(tokens) - predicted,
        cold_starts=1,
    )


def as_tokens(model: LanguageModel, ids: Ids) -> Tensor:
    """Return ids (N,) as an int64 tensor beside the model's weights."""
    held = next(chain(model.parameters(), model.buffers()), None)
    device = "cpu" if held is None else held.device
    return torch.as_tensor(ids, dtype=torch.int64, device=device)


@dataclass(frozen=True)
class Stretch:
    """A piece of a text, read."""

    hidden: Tensor
    """What the model made of each position (T, H); `log_probs` of it predicts the target."""
    targets: Tensor
    """The tokens after these positions (T,)."""
    nll: Tensor
    """Negative log-likelihood of the targets (T,), in nats."""
    is_cold: bool
    """The state before it was empty."""


def read_row(
    model: LanguageModel,
    ids: Ids,
    *,
    segment: int = SEGMENT,
    start: int | None = None,
    is_state_carried: bool = True,
) -> Iterator[Stretch]:
    """Read a text as one row, the state carried; call it inside `evaluating(model)`.

    Parameters
    ----------
    model, ids, segment, start, is_state_carried
        See `batch_1_perplexity`.

    Yields
    ------
    Stretch
    """
    tokens = as_tokens(model, ids)
    if start is not None:
        tokens = torch.cat([tokens.new_tensor([start]), tokens])
    _require_two(tokens)
    for hidden, targets, colds in _read(model, tokens[:, None], segment, is_state_carried):
        yield Stretch(hidden, targets, model.nll(hidden, targets), is_cold=colds > 0)


def _require_two(tokens: Tensor) -> None:
    if len(tokens) < 2:
        raise UserError(
            f"The text has {len(tokens)} tokens. Expected 2 or more: the first is read, not predicted."
        )


def _sum(nll: Tensor) -> float:
    # In double precision: 245,000 float32 terms added up in float32 are off in the fourth digit.
    return float(nll.double().sum())
