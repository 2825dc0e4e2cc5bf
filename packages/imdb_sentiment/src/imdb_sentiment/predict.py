"""Using a trained model: texts as a stream, and the words that a prediction relies on.

N counts words of one text. Effects are in log-odds, so that they compare wherever the probability stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imdb_sentiment.data.reviews import CLASSES, RATINGS
from imdb_sentiment.data.text import Span, word_spans
from imdb_sentiment.model.base import Classifier
from imdb_sentiment.model.trained import NetworkClassifier
from shared.errors import UserError
from shared.text.text_files import read_pieces

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 256
MOST_WORDS = 400
"""Words that are explained unless told otherwise: occlusion evaluates the review once for each."""
SMALLEST = 1e-9
"""Least probability in log-odds, which stay finite."""


def batches(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    """Yield texts in lists of a size, the last one of what is left."""
    while batch := list(islice(texts, size)):
        yield batch


def whole_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a file without their ends, each whole however long: one line is one review.

    Raises
    ------
    UserError
        As for `shared.text.text_files.read_pieces`.
    """
    parts: list[str] = []
    for piece in read_pieces(path, encoding, expected="a text file with a review a line"):
        first, *others = piece.split("\n")
        parts.append(first)
        for line in others:
            yield "".join(parts)
            parts = [line]
    if any(parts):
        yield "".join(parts)


def explain(
    classifier: Classifier, text: str, *, method: str = "occlusion", most: int = MOST_WORDS
) -> tuple[list[Span], NDArray[np.float64], float]:
    """Return the effect of each word of a review on its prediction.

    Parameters
    ----------
    classifier : Classifier
    text : str
    method : {"occlusion", "gradient"}
        occlusion: the log-odds with the word minus those without it; gradient: gradient times input, one pass.
    most : int
        Words to explain; occlusion evaluates the review once for each.

    Returns
    -------
    spans : list of (start, end)
        Positions of N words in the text.
    effects : float64 array (N,)
        Above 0: the word raises the log-odds of the second of two classes (positive), or the predicted one of more.
    probability : float
        Probability of that class.

    Raises
    ------
    UserError
        `gradient` with a linear model, or with a tokenizer whose tokens have no known position.

    References
    ----------
    Zeiler and Fergus 2014, arXiv 1311.2901, section 4.1 (occlusion); Shrikumar et al. 2016, arXiv 1605.01713
    (gradient times input).
    """
    probabilities = classifier.probabilities([text])[0]
    spans, effects = word_effects(classifier, text, probabilities, method=method, most=most)
    return spans, effects, explained(classifier, probabilities)[1]


def word_effects(
    classifier: Classifier,
    text: str,
    probabilities: NDArray[np.float64],
    *,
    method: str = "occlusion",
    most: int = MOST_WORDS,
) -> tuple[list[Span], NDArray[np.float64]]:
    """Return spans and effects as `explain`, from the text's probabilities (C,)."""
    is_target = _is_target(classifier, probabilities)
    if method == "gradient":
        if not isinstance(classifier, NetworkClassifier):
            raise UserError(
                f"--method gradient: {classifier.config.model} is linear. Use --method occlusion."
            )
        spans, effects = _gradient_times_input(classifier, text, is_target)
        return spans[:most], effects[:most]
    spans = word_spans(text)[:most]
    effects = np.zeros(len(spans))
    own = log_odds(probabilities[is_target].sum())
    for start in range(0, len(spans), BATCH):
        part = spans[start : start + BATCH]
        without = [text[:a] + text[b:] for a, b in part]
        others = classifier.probabilities(without)[:, is_target].sum(1)
        effects[start : start + len(part)] = own - log_odds(others)
    return spans, effects


def explained(classifier: Classifier, probabilities: NDArray[np.float64]) -> tuple[str, float]:
    """Return the class that `explain` explains, and its probability, from a text's probabilities (C,)."""
    is_target = _is_target(classifier, probabilities)
    is_rating = classifier.config.task == "rating"
    name = CLASSES[-1] if is_rating else classifier.classes[is_target.index(True)]
    return name, float(probabilities[is_target].sum())


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log p / (1 - p), finite for 0 and 1 too."""
    clipped = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return np.log(clipped / (1 - clipped))


def _is_target(classifier: Classifier, probabilities: NDArray[np.float64]) -> list[bool]:
    """Return which of a text's probabilities (C,) are of the explained class."""
    if classifier.config.task == "rating":
        return [stars > 5 for stars in RATINGS]
    count = len(classifier.classes)
    target = 1 if count == 2 else int(probabilities.argmax())
    return [number == target for number in range(count)]


def _gradient_times_input(
    classifier: NetworkClassifier, text: str, is_target: list[bool]
) -> tuple[list[Span], NDArray[np.float64]]:
    import torch

    from shared.torch.evaluation import evaluating_with_gradients

    spans = classifier.codec.spans(text)
    if spans is None:
        raise UserError(
            f"--method gradient: the tokenizer {classifier.config.tokenizer} does not give the positions of its tokens "
            "in this text. Use --method occlusion."
        )
    network = classifier.network
    ids, lengths = network.batch(classifier.codec.encode([text]))
    device = next(network.parameters()).device
    with evaluating_with_gradients(network):
        vectors = network.vectors(ids.to(device)).detach().requires_grad_()  # (1, T, D)
        logits, _ = network.from_vectors(vectors, lengths.to(device))
        chosen = torch.tensor(is_target)
        scores: Tensor = logits[0].float().cpu()
        score = scores[chosen].logsumexp(0) - scores[~chosen].logsumexp(0)  # log-odds
        (gradient,) = torch.autograd.grad(score, vectors)
    effects = (gradient * vectors).sum(-1)[0].detach().cpu().double().numpy()
    own = effects[-len(spans) :] if network.config.padding == "front" else effects[: len(spans)]
    known = [i for i, (start, stop) in enumerate(spans) if stop > start]
    return [spans[i] for i in known], own[known]
