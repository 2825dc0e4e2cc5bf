"""Using a trained model: labels, probabilities and attention of pairs.

Shapes: B pairs, C = 3 labels, Tp words of a premise, Th words of a hypothesis.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from esim.data.dataset import Pairs, batch_of, encode
from esim.data.tokens import TokenPairs, split_typed
from esim.measure import evaluate, probabilities, score_pairs, scoring_batch
from esim.model.trained import TrainedModel, load_run
from shared.errors import UserError
from shared.torch.device import choose_device, to_device


@dataclass(frozen=True)
class Prediction:
    """The prediction for one pair.

    Parameters
    ----------
    premise, hypothesis : tuple of str
        Words as the model read them, unknown ones too.
    probabilities : dict of str to float
        By label: entailment, neutral and contradiction, or the data's own words for them (`--label-values`).
    unknown : frozenset of str
        Words that are not in the vocabulary.
    truncated : int
        Words beyond the model's `max_length`, which were not read.
    over_hypothesis : float array (Tp, Th) or None
        Attention of each word of the premise over the words of the hypothesis; rows sum to 1. None if not asked for.
    over_premise : float array (Th, Tp) or None
        Attention of each word of the hypothesis over the words of the premise; rows sum to 1.
    """

    premise: tuple[str, ...]
    hypothesis: tuple[str, ...]
    probabilities: dict[str, float]
    unknown: frozenset[str] = frozenset()
    truncated: int = 0
    over_hypothesis: NDArray[np.float64] | None = None
    over_premise: NDArray[np.float64] | None = None

    @property
    def label(self) -> str:
        """The most probable label."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])

    @property
    def probability(self) -> float:
        """Probability of `label`."""
        return self.probabilities[self.label]

    def as_dict(self) -> dict[str, Any]:
        """Return what `esim predict --json` prints; a label that is named like another entry replaces it."""
        return {
            "label": self.label,
            **self.probabilities,
            "unknown": sorted(self.unknown),
            "truncated": self.truncated,
        } | self.probabilities


@dataclass(frozen=True, repr=False)
class LoadedModel(TrainedModel):
    """A trained model with its uses; `load` reads one."""

    def predict(self, pairs: Any) -> Any:
        """Label pairs.

        Parameters
        ----------
        pairs : (premise, hypothesis) or iterable of them
            Two strings, or many pairs of strings.

        Returns
        -------
        Prediction or list of Prediction
            One for one pair, a list for many.

        Raises
        ------
        UserError
            A sentence has no words, or a pair is not two strings.
        """
        if isinstance(pairs, str):
            raise UserError("a single string is not a pair. Expected (premise, hypothesis).")
        if hasattr(pairs, "columns"):  # pandas or polars: it would give the names of its columns
            raise UserError(
                "a table is not a list of pairs. Expected (premise, hypothesis) of each row: "
                'zip(table["premise"], table["hypothesis"]).'
            )
        is_many = isinstance(pairs, Iterable) and not isinstance(pairs, Mapping)
        pairs = list(pairs) if is_many else [pairs]
        if len(pairs) == 2 and all(isinstance(sentence, str) for sentence in pairs):
            return predict_many(self, [(pairs[0], pairs[1])])[0]
        return predict_many(self, pairs)

    def attention(self, premise: str, hypothesis: str) -> Prediction:
        """Label one pair and return the attention of both directions with it."""
        return classify(self, premise, hypothesis)

    def evaluate(
        self, data: str | None = None, split: Any = None, **options: Any
    ) -> dict[str, Any]:
        """Return the figures of labeled pairs; see `esim.measure.evaluate`."""
        return evaluate(self, data, split, **options)

    def __repr__(self) -> str:
        return (
            f"<ESIM from {self.path}: {len(self.vocabulary):,} words, hidden size "
            f"{self.config.hidden_size}; predict, attention, evaluate>"
        )


def load(run: str | Path, *, device: str = "auto") -> LoadedModel:
    """Read the trained model of a run.

    Parameters
    ----------
    run : str or Path
        Run folder.
    device : {"auto", "cpu", "cuda", "mps"}

    Raises
    ------
    UserError
        The folder is no run, or its files are damaged.

    Examples
    --------
    >>> model = load("runs/esim/laptop")  # doctest: +SKIP
    >>> model.predict(("A dog runs.", "An animal moves.")).label  # doctest: +SKIP
    'entailment'
    """
    trained = load_run(run, device=choose_device(device))
    return LoadedModel(trained.model, trained.vocabulary, trained.config, trained.path)


def classify(trained: TrainedModel, premise: str, hypothesis: str) -> Prediction:
    """Label one pair and return the attention of both directions with it.

    Raises
    ------
    UserError
        A sentence has no words.
    """
    tokens = _tokens_of(trained, premise, hypothesis)
    device = next(trained.model.parameters()).device
    inputs = to_device(batch_of(_as_pairs(trained, [tokens]), [0]), device)
    del inputs["labels"]
    with torch.no_grad():
        scores, over_b, over_a = trained.model.with_attention(**inputs)
    return replace(
        _prediction(trained, tokens, probabilities(scores.cpu().double().numpy())[0]),
        over_hypothesis=over_b[0].cpu().double().numpy(),
        over_premise=over_a[0].cpu().double().numpy(),
    )


def predict_many(trained: TrainedModel, pairs: Iterable[tuple[str, str]]) -> list[Prediction]:
    """Label many pairs, in batches.

    Parameters
    ----------
    trained : TrainedModel
    pairs : iterable of (premise, hypothesis)

    Raises
    ------
    UserError
        A sentence has no words, or a pair is not two strings.
    """
    tokens = []
    for number, pair in enumerate(pairs):
        is_ordered = isinstance(pair, Collection) and not isinstance(pair, str | Mapping | Set)
        if not is_ordered or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise UserError(f"pair {number} is {pair!r:.60}. Expected (premise, hypothesis).")
        tokens.append(_tokens_of(trained, *pair))
    if not tokens:
        return []
    size = scoring_batch(trained.config)
    scores = score_pairs(trained.model, _as_pairs(trained, tokens), batch_size=size)
    return [
        _prediction(trained, pair, row)
        for pair, row in zip(tokens, probabilities(scores), strict=True)
    ]


def _tokens_of(trained: TrainedModel, *sentences: str) -> tuple[tuple[str, ...], ...]:
    """Return the tokens of premise and hypothesis, not truncated yet."""
    tokenize = split_typed(trained.config.tokenizer)
    tokens = []
    for text, side in zip(sentences, ("premise", "hypothesis"), strict=True):
        if not isinstance(text, str):
            raise UserError(f"The {side} is {text!r:.40}. Expected a sentence, a str.")
        tokens.append(tuple(tokenize(text)))
        if not tokens[-1]:
            raise UserError(f"The {side} {text[:40]!r} has no words. Expected a sentence.")
    return tuple(tokens)


def _prediction(
    trained: TrainedModel, tokens: tuple[tuple[str, ...], ...], row: NDArray[np.float64]
) -> Prediction:
    longest = trained.config.max_length
    premise, hypothesis = (words[:longest] for words in tokens)
    return Prediction(
        premise,
        hypothesis,
        dict(zip(trained.config.label_names, row.tolist(), strict=True)),
        frozenset(word for word in (*premise, *hypothesis) if word not in trained.vocabulary),
        sum(max(0, len(words) - longest) for words in tokens),
    )


def _as_pairs(trained: TrainedModel, tokens: Sequence[tuple[tuple[str, ...], ...]]) -> Pairs:
    premises, hypotheses = ([pair[side] for pair in tokens] for side in (0, 1))
    texts = TokenPairs(premises, hypotheses, [0] * len(tokens), 0, 0)  # no label is read
    return encode(texts, trained.vocabulary, trained.config)
