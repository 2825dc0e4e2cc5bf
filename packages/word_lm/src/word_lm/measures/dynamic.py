"""Dynamic evaluation: the model keeps learning from the text while it is evaluated on it.

A segment is predicted before the model learns from it, so nothing looks ahead. But the model adapts to the test text,
which the static protocols of `protocols.py` do not, so its perplexity is reported as a separate figure.

Shapes: N tokens of the text, T time in tokens, B columns of text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shared.errors import UserError
from shared.torch.evaluation import evaluating_with_gradients
from word_lm.measures.protocols import Evaluation, perplexity
from word_lm.model.base import Ids, LanguageModel, as_tokens, detach


@dataclass(frozen=True)
class DynamicSettings:
    """Settings of dynamic evaluation; the defaults are those its authors publish for WikiText-2."""

    learning_rate: float = 1.2e-4
    """Learning rate, > 0."""
    decay: float = 0.008
    """Decay rate towards the trained weights, multiplied by a weight's relative RMS gradient, 0 to 1."""
    epsilon: float = 2e-5
    """Added to the RMS of the gradients, > 0."""
    segment: int = 20
    """Tokens between two updates, >= 1."""

    def __post_init__(self) -> None:
        """Check all values."""
        in_range = self.learning_rate > 0 and 0 <= self.decay <= 1 and self.epsilon > 0
        if not (in_range and self.segment >= 1):
            raise UserError(
                f"{self}: expected learning_rate and epsilon > 0, decay from 0 to 1, segment >= 1."
            )


def gradient_rms(
    model: LanguageModel,
    ids: Ids,
    *,
    segment: int = 20,
    batch: int = 100,
    max_segments: int | None = None,
    is_state_carried: bool = True,
) -> list[Tensor]:
    """Return the root mean square of each weight's gradient over a text.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
        The training text.
    segment : int
        Tokens of a gradient, as in dynamic evaluation.
    batch : int
        Columns; each gradient is the mean over them.
    max_segments : int, optional
        Number of gradients; default: those of the whole text.
    is_state_carried : bool
        See `word_lm.measures.protocols.batch_1_perplexity`.

    Returns
    -------
    list of tensors
        One for each of the model's trained parameters, in their order and of their shapes.
    """
    tokens = as_tokens(model, ids)
    rows = len(tokens) // batch
    if rows < 2:
        raise UserError(
            f"The training text has {len(tokens)} tokens, too few for {batch} columns of at least 2."
        )
    columns = tokens[: rows * batch].view(batch, rows).t().contiguous()
    weights = _trainable(model)
    squares = [torch.zeros_like(weight) for weight in weights]
    state: Any = None
    count = 0
    with evaluating_with_gradients(model):
        for inputs, targets in _segments(columns, segment):
            if count == max_segments:
                break
            is_cold = state is None or not is_state_carried
            state = model.init_state(batch) if is_cold else detach(state)
            hidden, state = model(inputs, state)
            loss = model.nll(hidden.flatten(0, 1), targets.flatten()).mean()
            for square, gradient in zip(squares, _gradients(loss, weights), strict=True):
                if gradient is not None:
                    square.addcmul_(gradient, gradient)
            count += 1
    return [square.div_(count).sqrt_() for square in squares]


def dynamic_perplexity(
    model: LanguageModel,
    ids: Ids,
    rms: Sequence[Tensor],
    settings: DynamicSettings,
    *,
    is_state_carried: bool = True,
    progress: Callable[[int], object] | None = None,
) -> Evaluation:
    """Measure while the model learns from each segment of the text after predicting it.

    After each segment every weight w, whose trained value is w_0, is updated by

        w += decay * min(rms / mean rms, 1 / decay) * (w_0 - w) - learning_rate * gradient / (rms + epsilon)

    At the end, and after an error, the weights are restored.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
    rms : sequence of tensors
        From `gradient_rms` on the training text.
    settings : DynamicSettings
        From `tune_dynamic` on the validation text.
    is_state_carried : bool
        See `word_lm.measures.protocols.batch_1_perplexity`.
    progress : callable, optional
        Called with the number of tokens scored since the last call.

    Notes
    -----
    The mean RMS is the mean over tensors of their means, and the gradient is that of the segment's mean loss, as in the
    authors' code, so that published settings can be used.

    References
    ----------
    Krause, Kahembwe, Murray and Renals 2017, arXiv 1709.07432: RMS-scaled steps with decay to the trained weights.
    Code and settings: github.com/benkrause/dynamic-evaluation.
    """
    tokens = as_tokens(model, ids)
    if len(tokens) < 2:
        raise UserError(f"The text has {len(tokens)} tokens. Expected 2 or more.")
    weights = _trainable(model)
    mean = torch.stack([part.mean() for part in rms]).mean().clamp(min=torch.finfo().tiny)
    decays = [(settings.decay * part / mean).clamp(max=1.0) for part in rms]
    rates = [settings.learning_rate / (part + settings.epsilon) for part in rms]
    trained = [weight.detach().clone() for weight in weights]
    total, cold_starts = 0.0, 0
    state: Any = None
    try:
        with evaluating_with_gradients(model):
            for inputs, targets in _segments(tokens[:, None], settings.segment):
                is_cold = state is None or not is_state_carried
                cold_starts += is_cold
                state = model.init_state(1) if is_cold else detach(state)
                hidden, state = model(inputs, state)
                nll = model.nll(hidden.flatten(0, 1), targets.flatten())
                total += float(nll.detach().cpu().double().sum())
                gradients = _gradients(nll.mean(), weights)
                with torch.no_grad():
                    for weight, start, decay, rate, gradient in zip(
                        weights, trained, decays, rates, gradients, strict=True
                    ):
                        weight.lerp_(start, decay)  # w += decay * (w_0 - w)
                        if gradient is not None:
                            weight.addcmul_(gradient, rate, value=-1)
                if progress:
                    progress(len(targets))
    finally:
        with torch.no_grad():
            for weight, start in zip(weights, trained, strict=True):
                weight.copy_(start)
    predicted = len(tokens) - 1
    return Evaluation(
        protocol=f"dynamic evaluation (learning rate {settings.learning_rate:g}, decay {settings.decay:g}, "
        f"segments of {settings.segment}): batch-1",
        perplexity=perplexity(total, predicted),
        nll=total,
        predicted=predicted,
        dropped=1,
        cold_starts=cold_starts,
    )


def tune_dynamic(
    model: LanguageModel,
    ids: Ids,
    rms: Sequence[Tensor],
    *,
    learning_rates: Sequence[float],
    decays: Sequence[float],
    start: DynamicSettings,
    max_tokens: int | None = None,
    is_state_carried: bool = True,
    progress: Callable[[int], object] | None = None,
) -> tuple[DynamicSettings, list[tuple[DynamicSettings, float]]]:
    """Choose learning rate and decay by grid search; each pair reads the text once.

    Parameters
    ----------
    model : LanguageModel
    ids : int array or tensor (N,)
        The validation text.
    rms : sequence of tensors
        From `gradient_rms` on the training text.
    learning_rates, decays : sequences of float
        Rates that are too high give a huge or infinite perplexity; models trained for a short time need lower ones.
    start : DynamicSettings
        The other settings.
    max_tokens : int, optional
        Tokens of the text to read; the authors' fast search reads 30,000. Default: all.
    is_state_carried : bool
        See `word_lm.measures.protocols.batch_1_perplexity`.
    progress : callable, optional
        Called with the number of tokens scored since the last call; each pair scores all of them.

    Returns
    -------
    best : DynamicSettings
    tried : list of (DynamicSettings, perplexity)
    """
    tried = []
    for rate, decay in product(learning_rates, decays):
        settings = replace(start, learning_rate=rate, decay=decay)
        result = dynamic_perplexity(
            model,
            ids[:max_tokens],
            rms,
            settings,
            is_state_carried=is_state_carried,
            progress=progress,
        )
        tried.append((settings, result.perplexity))
    finite = [pair for pair in tried if np.isfinite(pair[1])]
    if not finite:
        raise UserError(
            "No setting of dynamic evaluation gave a finite perplexity. Try lower learning rates."
        )
    return min(finite, key=lambda pair: pair[1])[0], tried


def _segments(columns: Tensor, segment: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut columns of text (N, B) into inputs and the tokens after them, each (T, B) with T <= segment."""
    for position in range(0, len(columns) - 1, segment):
        targets = columns[position + 1 : position + 1 + segment]
        yield columns[position : position + len(targets)], targets


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def _gradients(loss: Tensor, weights: Sequence[Tensor]) -> list[Tensor | None]:
    gradients = torch.autograd.grad(loss, list(weights), allow_unused=True)
    return [g.to_dense() if g is not None and g.is_sparse else g for g in gradients]
