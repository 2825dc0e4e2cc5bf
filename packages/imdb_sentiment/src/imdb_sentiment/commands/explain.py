"""Which words mattered: occlusion, or gradient times input, as a page.

N counts words of one review. Effects are in the log-odds of a positive review, so that they compare wherever the
probability stands.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imdb_sentiment.commands.options import ExplainOptions
from imdb_sentiment.data.dataset import RATINGS
from imdb_sentiment.data.text import word_places
from imdb_sentiment.measure import positive_chance, read
from imdb_sentiment.model.base import Classifier
from imdb_sentiment.model.trained import NetworkClassifier, TrainedModel, load_run
from shared.errors import UserError
from shared.pages.report import Report
from shared.text.text_files import read_pieces

STRONGEST = 8
BATCH = 256
SMALLEST = 1e-9

Span = tuple[int, int]


def run(options: ExplainOptions) -> int:
    """Write a page with reviews whose words are colored (verb `explain`)."""
    trained = load_run(options.run)
    texts = _texts(options, trained)
    out = Path(options.out) if options.out else trained.path / "explain.html"
    page = Report("Which words mattered", _subtitle(options, trained))
    page.html(_STYLE)
    for name, text in texts:
        spans, effects, chance = explain(
            trained.classifier, text, method=options.method, most=options.words
        )
        print(f"{name}: {_verdict(chance)}; {_strongest(text, spans, effects)}")
        page.heading(name)
        page.text(f"{_verdict(chance)}.")
        page.html(colored(text, spans, effects))
        page.table(["word", "effect on the log-odds"], _rows(text, spans, effects))
    page.save(out)
    print(f"The page is {out}.")
    return 0


def explain(
    classifier: Classifier, text: str, *, method: str = "occlusion", most: int = 400
) -> tuple[list[Span], NDArray[np.float64], float]:
    """Return what each word adds to the judgement of a review.

    Parameters
    ----------
    classifier : Classifier
    text : str
    method : {"occlusion", "gradient"}
        occlusion: the log-odds with the word less those without it; gradient: gradient times input, one pass.
    most : int
        Words to look at; the longest review would take its number of words in passes.

    Returns
    -------
    spans : list of (start, end)
        The places of N words in the text.
    effects : float64 array (N,)
        Positive ones speak for a positive review.
    chance : float
        Probability that the review is positive.

    Raises
    ------
    UserError
        `gradient` with a linear model, or with a tokenizer that does not tell where its words were.
    """
    chance = float(positive_chance(classifier.probabilities([text]))[0])
    if method == "gradient":
        if not isinstance(classifier, NetworkClassifier):
            raise UserError(
                f"--method gradient: {classifier.config.model} is linear. Take --method occlusion."
            )
        spans, effects = _gradient_times_input(classifier, text)
        return spans[:most], effects[:most], chance
    spans = word_places(text)[:most]
    effects = np.zeros(len(spans))
    for start in range(0, len(spans), BATCH):
        part = spans[start : start + BATCH]
        without = [text[:a] + text[b:] for a, b in part]
        chances = positive_chance(classifier.probabilities(without))
        effects[start : start + len(part)] = log_odds(np.array(chance)) - log_odds(chances)
    return spans, effects, chance


def log_odds(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log p / (1 - p), finite for 0 and 1 too."""
    clipped = np.clip(chances, SMALLEST, 1 - SMALLEST)
    return np.log(clipped / (1 - clipped))


def colored(text: str, spans: Sequence[Span], effects: NDArray[np.float64]) -> str:
    """Return a review as HTML, a word the stronger in color the more it mattered; what it says is escaped."""
    top = float(np.abs(effects).max(initial=0.0)) or 1.0
    parts, end = [], 0
    for (start, stop), effect in zip(spans, effects.tolist(), strict=True):
        if start < end or start == stop:
            continue
        parts.append(html.escape(text[end:start]))
        strength = round(100 * abs(effect) / top)
        kind = "for" if effect > 0 else "against"
        word = html.escape(text[start:stop])
        # The title tells the effect to those who do not see the color.
        parts.append(
            f'<span class="{kind}" style="--w:{strength}%" title="{effect:+.2f}">{word}</span>'
            if strength >= 5
            else word
        )
        end = stop
    parts.append(html.escape(text[end:]))
    body = "".join(parts).replace("&lt;br /&gt;", "<br>")
    return f'<p class="review">{body}</p>'


def _gradient_times_input(
    classifier: NetworkClassifier, text: str
) -> tuple[list[Span], NDArray[np.float64]]:
    spans = classifier.codec.places(text)
    if spans is None:
        raise UserError(
            f"--method gradient: the tokenizer {classifier.config.tokenizer} does not tell where its words stood in "
            "this text. Take --method occlusion."
        )
    network = classifier.network
    ids, lengths = network.batch(classifier.codec.encode([text]))
    device = next(network.parameters()).device
    vectors = network.vectors(ids.to(device)).detach().requires_grad_()
    logits, _ = network.from_vectors(vectors, lengths.to(device))
    is_positive = torch.tensor([False, True] if logits.shape[1] == 2 else [r > 5 for r in RATINGS])
    scores = logits[0].float()
    score = scores[is_positive].logsumexp(0) - scores[~is_positive].logsumexp(0)
    (gradient,) = torch.autograd.grad(score, vectors)
    effects = (gradient * vectors).sum(-1)[0].detach().double().cpu().numpy()
    places = effects[-len(spans) :] if network.config.padding == "front" else effects[: len(spans)]
    known = [i for i, (start, stop) in enumerate(spans) if stop > start]
    return [spans[i] for i in known], places[known]


def _texts(options: ExplainOptions, trained: TrainedModel) -> list[tuple[str, str]]:
    if options.text is not None:
        return [("Your review", options.text)]
    if options.file is not None:
        path = Path(options.file)
        return [(path.name, "".join(read_pieces(path, expected="a text file that is one review")))]
    reviews = read(trained.config.data, "test", trained.config)
    # Every k-th, so that both classes are there.
    places = np.linspace(0, len(reviews) - 1, options.reviews).round().astype(np.int64)
    chosen = reviews.take(np.unique(places))
    return list(zip(chosen.names, chosen.texts, strict=True))


def _subtitle(options: ExplainOptions, trained: TrainedModel) -> str:
    how = {
        "occlusion": "what the judgement loses without the word",
        "gradient": "gradient times word vector",
    }
    return (
        f"{trained.config.model}: {how[options.method]}, in log-odds. "
        "Blue speaks for a positive review, orange against."
    )


def _verdict(chance: float) -> str:
    return f"{'positive' if chance > 0.5 else 'negative'}, probability of positive {chance:.4f}"


def _strongest(text: str, spans: Sequence[Span], effects: NDArray[np.float64]) -> str:
    rows = _rows(text, spans, effects)
    return ", ".join(f"{word} {effect}" for word, effect in rows) or "no words"


def _rows(text: str, spans: Sequence[Span], effects: NDArray[np.float64]) -> list[list[str]]:
    order = np.argsort(-np.abs(effects), kind="stable")[:STRONGEST]
    return [[text[slice(*spans[i])], f"{effects[i]:+.2f}"] for i in order.tolist()]


_STYLE = (
    "<style>.review{overflow-wrap:anywhere}.review span{border-radius:3px;padding:0 .1em}"
    ".review .for{background:color-mix(in srgb,var(--s1) calc(var(--w)*.55),transparent)}"
    ".review .against{background:color-mix(in srgb,var(--s2) calc(var(--w)*.55),transparent)}"
    "@media print{.review span{print-color-adjust:exact;-webkit-print-color-adjust:exact}}</style>"
)
