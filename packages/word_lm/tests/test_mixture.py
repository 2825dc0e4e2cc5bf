"""The mixture of a neural and an n-gram model is what its formula says."""

from __future__ import annotations

import numpy as np
import pytest

from word_lm.measures.mixture import WEIGHTS, interpolated, mixture_perplexity, tune_mixture
from word_lm.measures.ngram import KneserNey
from word_lm.measures.protocols import batch_1_perplexity
from word_lm.model.trained import load_run


@pytest.fixture(scope="module")
def models(small_run):
    trained = load_run(small_run)
    splits = trained.text().splits
    return trained.model, KneserNey(splits["train"], len(trained.vocabulary)), splits


def test_probabilities_are_added_with_their_weights():
    own, counted = np.log([0.5, 0.25]), np.log([0.1, 0.75])
    assert np.exp(interpolated(own, counted, 0.2)) == pytest.approx([0.42, 0.35])


def test_weight_0_is_the_model_and_weight_1_the_ngrams(models):
    model, ngram, splits = models
    ids = splits["valid"]
    alone = [batch_1_perplexity(model, ids), ngram.evaluate(ids)]
    for weight, one in zip((0.0, 1.0), alone, strict=True):
        found = mixture_perplexity(model, ngram, ids, weight)
        assert found.perplexity == pytest.approx(one.perplexity, rel=1e-6)
        assert found.predicted == one.predicted


def test_the_weight_is_the_best_of_those_tried(models):
    model, ngram, splits = models
    ids = splits["valid"]
    weight = tune_mixture(model, ngram, ids)
    found = [mixture_perplexity(model, ngram, ids, one).perplexity for one in WEIGHTS]
    assert weight == WEIGHTS[int(np.argmin(found))]
    assert min(found) < batch_1_perplexity(model, ids).perplexity


def test_a_state_that_is_not_carried_is_lost_in_the_mixture_too(models):
    model, ngram, splits = models
    found = mixture_perplexity(model, ngram, splits["valid"][:71], 0.0, is_state_carried=False)
    assert found.cold_starts == 2 and "reset at each segment" in found.protocol
