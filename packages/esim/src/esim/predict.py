"""The verb `predict`: labels for a pair, a file, or what comes in by standard input.

Shapes: B pairs, C = 3 labels, T words of a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from esim.data.dataset import Pairs, batch_of
from esim.data.labels import LABELS
from esim.data.tokens import split_with
from esim.model.trained import TrainedModel
from esim.scores import probabilities, score_pairs
from shared.errors import UserError


@dataclass(frozen=True)
class Prediction:
    """What a model says about one pair.

    Parameters
    ----------
    premise, hypothesis : tuple of str
        Words as the model saw them, unknown ones too.
    probabilities : dict of str to float
        By label.
    over_hypothesis : float array (Tp, Th) or None
        How much each word of the premise looked at each word of the hypothesis.
    over_premise : float array (Th, Tp) or None
        The other way round.
    unknown : frozenset of str
        Words that the model does not know.
    """

    premise: tuple[str, ...]
    hypothesis: tuple[str, ...]
    probabilities: dict[str, float]
    over_hypothesis: NDArray[np.float64] | None = None
    over_premise: NDArray[np.float64] | None = None
    unknown: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The likeliest one."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"label": self.label, **self.probabilities, "unknown": sorted(self.unknown)}


def classify(trained: TrainedModel, premise: str, hypothesis: str) -> Prediction:
    """Return what a model says about a pair, with its attention.

    Raises
    ------
    UserError
        A sentence has no words.
    """
    a, b = (_words(trained, text, name) for text, name in
            ((premise, "premise"), (hypothesis, "hypothesis")))  # fmt: skip
    device = next(trained.model.parameters()).device
    inputs = batch_of(_as_pairs(trained, [(a, b)]), [0])
    del inputs["labels"]
    inputs = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}
    with torch.no_grad():
        scores, over_b, over_a = trained.model.with_attention(**inputs)
    chances = probabilities(scores.double().cpu().numpy())[0]
    return Prediction(
        a,
        b,
        dict(zip(LABELS, chances.tolist(), strict=True)),
        over_b[0].double().cpu().numpy(),
        over_a[0].double().cpu().numpy(),
        _unknown(trained, a, b),
    )


def predict_many(trained: TrainedModel, pairs: Iterable[tuple[str, str]]) -> list[Prediction]:
    """Return what a model says about many pairs, without attention.

    Parameters
    ----------
    trained : TrainedModel
    pairs : iterable of (premise, hypothesis)

    Raises
    ------
    UserError
        A sentence has no words.
    """
    words = [
        tuple(
            _words(trained, text, side)
            for text, side in zip(pair, ("premise", "hypothesis"), strict=True)
        )
        for pair in pairs
    ]
    if not words:
        return []
    chances = probabilities(score_pairs(trained.model, _as_pairs(trained, words)))
    return [
        Prediction(a, b, dict(zip(LABELS, row, strict=True)), unknown=_unknown(trained, a, b))
        for (a, b), row in zip(words, chances.tolist(), strict=True)
    ]


def _words(trained: TrainedModel, text: str, side: str) -> tuple[str, ...]:
    name = trained.config.tokenizer
    if name.startswith("parse"):  # a sentence that somebody types has no parse
        name = "nltk_lower" if name == "parse_lower" else "nltk"
    words = tuple(split_with(name)[0](text)[: trained.config.max_length])
    if not words:
        raise UserError(f"The {side} {text[:40]!r} has no words. Expected a sentence.")
    return words


def _unknown(trained: TrainedModel, *sentences: Sequence[str]) -> frozenset[str]:
    return frozenset(
        word for words in sentences for word in words if word not in trained.vocabulary
    )


def _as_pairs(trained: TrainedModel, words: Sequence[tuple[Any, ...]]) -> Pairs:
    ids = [[trained.vocabulary.ids(sentence) for sentence in pair] for pair in words]
    labels = np.zeros(len(words), dtype=np.int64)
    return Pairs([pair[0] for pair in ids], [pair[1] for pair in ids], labels)
