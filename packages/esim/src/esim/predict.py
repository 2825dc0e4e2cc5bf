"""The verb `predict`: labels for a pair, a file, or what comes in by standard input.

Shapes: B pairs, C = 3 labels, T words of a sentence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from esim.config import PredictOptions
from esim.data import Pairs, batch_of
from esim.labels import LABELS
from esim.model import TrainedModel, load_run
from esim.pairs import Source, read_pairs
from esim.scores import probabilities, score_pairs
from esim.tokens import split_with
from shared.errors import UserError
from shared.text_files import standard_input
from shared.torch.device import choose_device

BATCH = 256
EXPECTED = "Expected a premise, a tab and a hypothesis."


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


def run(options: PredictOptions) -> int:
    """Print labels and probabilities (verb `predict`)."""
    trained = load_run(options.run, device=choose_device("auto"))
    if options.premise is not None and options.hypothesis is not None:
        found = classify(trained, options.premise, options.hypothesis)
        _print_one(found, as_json=options.json)
        if options.attention:
            from esim.attend import write_page  # matplotlib

            page, picture = write_page([found], Path(options.attention))
            print(f"The attention is in {page}, as a picture in {picture}.", file=sys.stderr)
        return 0
    pairs = _file_pairs(options.file) if options.file else _input_pairs(standard_input())
    for some in _chunks(pairs, BATCH):
        for found in predict_many(trained, some):
            _print_row(found, as_json=options.json)
    return 0


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


def _file_pairs(name: str) -> Iterator[tuple[str, str]]:
    texts = read_pairs(Source(Path(name)), needs_label=False)
    return zip(texts.premises, texts.hypotheses, strict=True)


def _input_pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            raise UserError(f"standard input:{number}: has {len(cells)} columns. {EXPECTED}")
        yield cells[0], cells[1]


def _chunks(pairs: Iterator[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    while some := list(islice(pairs, size)):
        yield some


def _print_one(found: Prediction, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.as_dict()))
        return
    for name, chance in found.probabilities.items():
        print(f"{name:<13} {chance:.4f}{'  <-' if name == found.label else ''}")
    if found.unknown:
        print(f"unknown words: {' '.join(sorted(found.unknown))}", file=sys.stderr)


def _print_row(found: Prediction, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.as_dict()))
        return
    chances = "\t".join(f"{chance:.4f}" for chance in found.probabilities.values())
    print(f"{found.label}\t{chances}\t{' '.join(found.premise)}\t{' '.join(found.hypothesis)}")
