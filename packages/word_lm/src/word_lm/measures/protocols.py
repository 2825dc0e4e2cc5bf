"""Perplexity by three protocols, each named in its result.

Perplexity is exp(total negative log-likelihood / predicted tokens). Which tokens are predicted, and after which
context, differs by protocol, so figures of different protocols do not compare:

- `examples`: as pytorch/examples does. The text is cut into 10 columns and the remainder is dropped; each column starts
  without context; the state is carried from one segment of 35 tokens to the next.
- `batch-1`: one column, so nothing is dropped and only the first token has no context.
- `sliding window`: overlapping windows, each read from an empty state. A token is scored once, in the first window that
  gives it enough context. For models with a limited context.

Adapting to the text while it is read (cache, dynamic evaluation) gives other figures: see `neural_cache.py` and
`dynamic.py`.

Shapes: N tokens of the text, T time in tokens, B columns, H hidden size. Time comes first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from shared.torch.evaluation import evaluating
from word_lm.model.base import Ids, LanguageModel, as_tokens

EXAMPLES_BATCH, SEGMENT = 10, 35
"""Columns, and tokens in a segment, of pytorch/examples."""

_TOGETHER = 4096
"""Tokens scored at once: reading the output weights costs as much for ten tokens as for hundreds."""


@dataclass(frozen=True)
class Evaluation:
    """One perplexity, and the tokens it was measured on."""

    protocol: str
    """How it was measured, in words."""
    perplexity: float
    """exp(nll / predicted)."""
    nll: float
    """Total negative log-likelihood of the predicted tokens, in nats."""
    predicted: int
    """Tokens scored."""
    dropped: int
    """Tokens of the text that were not scored: the remainder of the columns, or the first of a column."""
    cold_starts: int
    """How often scoring started from an empty state."""
    unknown: float | None = None
    """Fraction of the text that is `<unk>`: words that the vocabulary lacks, which are easy to predict together."""


UNKNOWN_WARNING = 0.1
"""Fraction of `<unk>` in a text from which on its perplexity says little about its words."""


def unknown_fraction(ids: Ids, vocabulary: Vocabulary) -> float:
    """Return the fraction of a text (N,) that is `<unk>`."""
    if vocabulary.unknown_id is None or not len(ids):
        return 0.0
    return float((np.asarray(ids) == vocabulary.unknown_id).mean())


def unknown_warning(fraction: float) -> str | None:
    """Return a warning if too much of a text is `<unk>`, else None."""
    if fraction < UNKNOWN_WARNING:
        return None
    return (
        f"Warning: {100 * fraction:.1f} % of the text is <unk>, words that the vocabulary lacks. Its perplexity "
        "says little about the words themselves, and does not compare with that of other texts."
    )


def perplexity(nll: float, predicted: int) -> float:
    """Return exp(nll / predicted), or infinity where a float cannot hold it."""
    try:
        return math.exp(nll / predicted)
    except OverflowError:
        return math.inf


def finite(figure: float) -> float | None:
    """Return a figure as JSON can hold it: None where it is infinite or not a number."""
    return figure if math.isfinite(figure) else None


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
        Columns. N - N // batch * batch tokens at the end are dropped, and the first of each column is not predicted.
    segment : int
        Tokens of a column read at once.
    is_state_carried : bool
        False: each segment starts from an empty state, as the Transformer of pytorch/examples does.
    progress : callable, optional
        Called with the number of tokens scored since the last call.

    Raises
    ------
    UserError
        The text has fewer than two tokens a column.
    """
    tokens = as_tokens(model, ids)
    rows = len(tokens) // batch  # tokens in a column
    if rows < 2:
        raise UserError(
            f"The text has {len(tokens)} tokens, too few for {batch} columns of at least 2. "
            f"Give a text of {2 * batch} tokens or more, or use one column (--protocols batch1)."
        )
    columns = tokens[: rows * batch].view(batch, rows).t().contiguous()  # (N // B, B)
    total, cold_starts = 0.0, 0
    with evaluating(model):
        for hidden, targets, colds in _scored_together(
            _read(model, columns, segment, is_state_carried)
        ):
            total += _sum(model.nll(hidden, targets))
            cold_starts += colds
            if progress:
                progress(len(targets))
    predicted = (rows - 1) * batch
    carried = "carried" if is_state_carried and cold_starts == batch else "reset at each segment"
    return Evaluation(
        protocol=f"as pytorch/examples: batch {batch}, segments of {segment}, state {carried}",
        perplexity=perplexity(total, predicted),
        nll=total,
        predicted=predicted,
        dropped=len(tokens) - predicted,
        cold_starts=cold_starts,
    )


_Read: TypeAlias = tuple[Tensor, Tensor, int]
"""Hidden states (N, H), the tokens after them (N,), number of columns whose state was empty before them."""


def _read(
    model: LanguageModel, columns: Tensor, segment: int, is_state_carried: bool
) -> Iterator[_Read]:
    """Read columns of text (N, B) segment by segment."""
    batch, state = columns.shape[1], None
    for position in range(0, len(columns) - 1, segment):
        colds = 0
        if state is None or not is_state_carried:  # None: the model has no state
            state, colds = model.init_state(batch), batch
        targets = columns[position + 1 : position + 1 + segment]
        hidden, state = model(columns[position : position + len(targets)], state)
        yield hidden.flatten(0, 1), targets.flatten(), colds


def _scored_together(segments: Iterable[_Read]) -> Iterator[_Read]:
    """Join segments until they have at least _TOGETHER tokens."""
    held: list[_Read] = []
    count = 0
    for segment in segments:
        held.append(segment)
        count += len(segment[1])
        if count >= _TOGETHER:
            yield _joined(held)
            held, count = [], 0
    if held:
        yield _joined(held)


def _joined(segments: Iterable[_Read]) -> _Read:
    hidden, targets, colds = zip(*segments, strict=True)
    return torch.cat(hidden), torch.cat(targets), sum(colds)


def batch_1_perplexity(
    model: LanguageModel,
    ids: Ids,
    *,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measure over the text as one column: no token is dropped.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
    segment : int
        Tokens read at once. With a carried state it changes the speed only.
    is_state_carried : bool
        False: each segment starts from an empty state, for models trained that way.
    progress : callable, optional
        Called with the number of tokens scored since the last call.

    Raises
    ------
    UserError
        The text has fewer than two tokens.
    """
    total, predicted, cold_starts = 0.0, 0, 0
    with evaluating(model):
        for part in read_column(model, ids, segment=segment, is_state_carried=is_state_carried):
            total += _sum(part.nll)
            predicted += len(part.nll)
            cold_starts += part.is_cold
            if progress:
                progress(len(part.nll))
    carried = "carried" if is_state_carried and cold_starts == 1 else "reset at each segment"
    return Evaluation(
        protocol=f"batch-1: one column, segments of {segment}, state {carried}",
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
    is_state_carried: bool = True,
) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each token, as `batch_1_perplexity` scores them.

    Parameters
    ----------
    model, ids, segment, is_state_carried
        See `batch_1_perplexity`.

    Returns
    -------
    float64 array (N - 1,)
        In nats.
    """
    with evaluating(model):
        column = read_column(model, ids, segment=segment, is_state_carried=is_state_carried)
        parts = [part.nll for part in column]
    return torch.cat(parts).cpu().double().numpy()


def nll_of_texts(
    model: LanguageModel,
    texts: Sequence[Ids],
    *,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
    batch: int = 32,
) -> list[NDArray[np.float64]]:
    """Return the negative log-likelihoods of separate texts; call it inside `evaluating(model)`.

    Parameters
    ----------
    model : LanguageModel
    texts : sequence of int arrays (N_i,)
        Each starts from an empty state.
    segment, is_state_carried
        See `batch_1_perplexity`.
    batch : int
        Texts read at once, of similar lengths. It changes speed and memory only.

    Returns
    -------
    list of float64 arrays (N_i - 1,)
        In nats; the first token of a text is read, not predicted.
    """
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    results: dict[int, NDArray[np.float64]] = {}
    for start in range(0, len(order), batch):
        group = order[start : start + batch]
        longest = max(len(texts[index]) for index in group)
        columns = np.zeros((longest, len(group)), dtype=np.int64)
        for column, index in enumerate(group):
            columns[: len(texts[index]), column] = texts[
                index
            ]  # what follows predicts nothing before it
        read = _read(model, as_tokens(model, columns), segment, is_state_carried)
        parts = [model.nll(hidden, targets).view(-1, len(group)) for hidden, targets, _ in read]
        nll = torch.cat(parts).cpu().double().numpy()  # (longest - 1, B)
        for column, index in enumerate(group):
            results[index] = nll[: len(texts[index]) - 1, column]
    return [results[index] for index in range(len(texts))]


def sliding_window_perplexity(
    model: LanguageModel,
    ids: Ids,
    *,
    window: int = 256,
    stride: int = 64,
    batch: int = 16,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measure in overlapping windows: every token has a given context, whether the state is carried or not.

    ```
    text      . a b c d e f g h i j      window 6, stride 2
    window 1  . A B C D E F              capitals are scored; the first window scores all but one
    window 2      . . . . . G H          the others score new tokens only
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
        Windows read at once. It changes speed and memory only.
    progress : callable, optional
        Called with the number of tokens scored since the last call.

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
    stride = min(stride, window)
    starts = list(range(0, targets - window + 1, stride))
    if (
        starts[-1] + window < targets
    ):  # the last window ends with the text, so its tokens have more context
        starts.append(targets - window)
    ends = [0, *(first + window for first in starts)]
    new = [end - before for before, end in pairwise(ends)]  # number of targets to score

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


@dataclass(frozen=True)
class Segment:
    """A segment of a text that a model has read."""

    hidden: Tensor
    """Hidden state of each position (T, H); `log_probs` of it predicts the target."""
    targets: Tensor
    """The tokens after these positions (T,)."""
    nll: Tensor
    """Negative log-likelihood of the targets (T,), in nats."""
    is_cold: bool
    """The state before it was empty."""


def read_column(
    model: LanguageModel,
    ids: Ids,
    *,
    segment: int = SEGMENT,
    start: int | None = None,
    is_state_carried: bool = True,
) -> Iterator[Segment]:
    """Read a text as one column; call it inside `evaluating(model)`.

    Parameters
    ----------
    model, ids, segment, is_state_carried
        See `batch_1_perplexity`.
    start : int, optional
        Id of a token to read before the text (`<eos>`), so that the first token is predicted too. Without it, N - 1
        tokens are.

    Yields
    ------
    Segment

    Raises
    ------
    UserError
        The text has fewer than two tokens (with `start`: none).
    """
    tokens = as_tokens(model, ids)
    if start is not None:
        if not len(tokens):
            raise UserError("The text is empty. Expected at least one token to predict.")
        tokens = torch.cat([tokens.new_tensor([start]), tokens])
    _require_two(tokens)
    for hidden, targets, colds in _read(model, tokens[:, None], segment, is_state_carried):
        yield Segment(hidden, targets, model.nll(hidden, targets), is_cold=colds > 0)


def _require_two(tokens: Tensor) -> None:
    if len(tokens) < 2:
        raise UserError(
            f"The text has {len(tokens)} tokens. Expected 2 or more: the first is read, not predicted."
        )


def _sum(nll: Tensor) -> float:
    # In double precision, since a float32 sum of 245,000 terms is wrong in the fourth digit; on the CPU, since Apple's
    # GPUs have no float64.
    return float(nll.cpu().double().sum())
