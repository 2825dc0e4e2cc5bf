"""Cache and dynamic evaluation: they help where words come again, never look ahead, and leave the model as it was."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from toy_models import FAMILIES, BigramModel, CopyModel, GruModel, real_model

from shared.errors import UserError
from word_lm.measures.dynamic import DynamicSettings, dynamic_perplexity, gradient_rms, tune_dynamic
from word_lm.measures.neural_cache import (
    CacheSettings,
    _cache_log_probs,
    cache_perplexity,
    tune_cache,
)
from word_lm.measures.protocols import batch_1_perplexity


@pytest.fixture
def repetitive() -> np.ndarray:
    """Three words out of 50, again and again, in an order that keeps changing."""
    return np.random.default_rng(1).integers(20, 23, size=300)


def plain_cache(model, ids, settings: CacheSettings) -> float:
    """The paper's equations, one step and one word at a time."""
    model.eval()
    state, history, total = model.init_state(1), [], 0.0
    with torch.no_grad():
        for now, following in zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True):
            hidden, state = model(torch.tensor([[now]]), state)
            h = hidden[0, 0].double()
            p = model.log_probs(hidden[0])[0, following].exp().item()
            recent = history[-settings.window :]
            if recent:
                weights = [math.exp(settings.theta * float(h @ old)) for old, _ in recent]
                match = sum(
                    w for w, (_, word) in zip(weights, recent, strict=True) if word == following
                )
                p = (1 - settings.weight) * p + settings.weight * match / sum(weights)
            total -= math.log(p)
            history.append((h, following))
    return total


@pytest.mark.parametrize("theta, weight, window", [(0.3, 0.1, 2000), (1.5, 0.4, 7), (0.0, 1e-3, 1)])
@pytest.mark.parametrize("segment", [1, 10, 1000])
def test_the_cache_is_that_of_the_papers_equations(theta, weight, window, segment):
    ids = np.random.default_rng(0).integers(0, 9, size=60)
    settings = CacheSettings(theta, weight, window)
    result = cache_perplexity(GruModel(9), ids, settings, segment=segment)
    assert result.nll == pytest.approx(plain_cache(GruModel(9), ids, settings), rel=1e-5)
    assert (result.predicted, result.dropped) == (59, 1)


def test_the_cache_beats_no_cache_on_a_repetitive_text(repetitive):
    model = GruModel(50)
    without = batch_1_perplexity(model, repetitive).perplexity
    assert cache_perplexity(model, repetitive, CacheSettings(0.3, 0.5)).perplexity < without / 2


def test_a_cache_of_weight_0_is_no_cache(repetitive):
    model = GruModel(50)
    without = batch_1_perplexity(model, repetitive)
    cached = cache_perplexity(model, repetitive, CacheSettings(0.3, 0.0))
    assert cached.nll == pytest.approx(without.nll, rel=1e-7)
    assert cached.protocol != without.protocol and "cache" in cached.protocol


@pytest.mark.parametrize("position", [1, 30, 34, 35, 36, 70])
def test_the_cache_never_looks_ahead(position):
    ids = np.random.default_rng(0).integers(0, 9, size=80)
    changed = ids.copy()
    changed[position + 1 :] = (changed[position + 1 :] + 1) % 9
    (own, [cached], _), (other_own, [other_cached], _) = (
        _cache_log_probs(GruModel(9), text, [0.5], 20, 35, True, None) for text in (ids, changed)
    )
    # Place i is the prediction of token i + 1: those up to `position` must be what they were.
    np.testing.assert_array_equal(own[:position], other_own[:position])
    np.testing.assert_array_equal(cached[:position], other_cached[:position])
    assert not np.array_equal(cached[position:], other_cached[position:])


def test_the_first_token_has_no_cache_and_keeps_the_models_probability():
    table = torch.tensor([[0.2, 0.8], [0.5, 0.5]])
    result = cache_perplexity(BigramModel(table), np.array([0, 1]), CacheSettings(1.0, 0.9))
    assert result.perplexity == pytest.approx(1 / 0.8, rel=1e-6)


def test_tuning_the_cache_tries_all_pairs_and_returns_the_best(repetitive):
    model = GruModel(50)
    best, tried = tune_cache(model, repetitive, thetas=(0.1, 1.0), weights=(0.1, 0.7), window=50)
    assert len(tried) == 4
    for settings, figure in tried:
        assert figure == pytest.approx(cache_perplexity(model, repetitive, settings).perplexity)
    assert best == min(tried, key=lambda pair: pair[1])[0] and best.weight == 0.7


def test_dynamic_evaluation_beats_the_static_model_and_restores_its_weights(repetitive):
    model = GruModel(50)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rms = gradient_rms(model, repetitive, batch=2, segment=5)
    result = dynamic_perplexity(model, repetitive, rms, DynamicSettings(2e-2, 0.001, segment=5))
    assert result.perplexity < batch_1_perplexity(model, repetitive).perplexity / 2
    assert (result.predicted, result.dropped) == (299, 1)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("is_adaptive", [False, True])
def test_each_real_family_learns_and_is_restored(repetitive, family, is_adaptive):
    model = real_model(family, 50, is_adaptive=is_adaptive)
    before = [weight.clone() for weight in model.parameters()]
    rms = gradient_rms(model, repetitive, batch=2, segment=10)
    settings = DynamicSettings(1e-2, 0.001, segment=10)
    static = batch_1_perplexity(model, repetitive, segment=10)
    assert dynamic_perplexity(model, repetitive, rms, settings).perplexity < static.perplexity
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))


def test_weights_are_restored_when_dynamic_evaluation_fails(repetitive):
    class Failing(GruModel):
        def nll(self, hidden, targets):
            if 49 in targets:
                raise RuntimeError("no")
            return super().nll(hidden, targets)

    model = Failing(50)
    before = model.decoder.weight.clone()
    rms = [torch.ones_like(weight) for weight in model.parameters()]
    with pytest.raises(RuntimeError):
        dynamic_perplexity(model, np.array([*repetitive, 49]), rms, DynamicSettings(0.1, segment=5))
    assert torch.equal(model.decoder.weight, before)


def test_dynamic_evaluation_predicts_a_segment_before_it_learns_from_it(repetitive):
    model = GruModel(50)
    rms = gradient_rms(model, repetitive, batch=2)
    first = repetitive[:21]  # 20 targets: one segment, so nothing was learned yet
    learned = dynamic_perplexity(model, first, rms, DynamicSettings(0.1, segment=20))
    assert learned.nll == pytest.approx(batch_1_perplexity(model, first).nll, rel=1e-6)
    # Two segments: how the second continues changes nothing about the first.
    longer = [np.array([*first, last, last, last]) for last in (20, 21)]
    settings = DynamicSettings(0.1, segment=20)
    plain = [dynamic_perplexity(model, text, rms, settings).nll for text in longer]
    assert min(plain) > learned.nll and plain[0] != plain[1]


def test_the_update_is_that_of_the_paper():
    model = GruModel(9)
    ids = np.random.default_rng(0).integers(0, 9, size=13)
    settings = DynamicSettings(0.01, 0.3, 1e-3, segment=4)
    rms = gradient_rms(model, np.random.default_rng(1).integers(0, 9, size=40), batch=2, segment=4)

    copy = GruModel(9).eval()
    mean = sum(part.mean() for part in rms) / len(rms)
    trained = [weight.detach().clone() for weight in copy.parameters()]
    total, state = 0.0, copy.init_state(1)
    for start in range(0, 12, 4):
        hidden, state = copy(torch.tensor(ids[start : start + 4])[:, None], state.detach())
        nll = copy.nll(hidden[:, 0], torch.tensor(ids[start + 1 : start + 5]))
        total += nll.sum().item()
        copy.zero_grad()
        nll.mean().backward()
        with torch.no_grad():
            for weight, home, part in zip(copy.parameters(), trained, rms, strict=True):
                back = 0.3 * torch.minimum(part / mean, torch.tensor(1 / 0.3)) * (home - weight)
                weight += back - 0.01 * weight.grad / (part + 1e-3)
    assert dynamic_perplexity(model, ids, rms, settings).nll == pytest.approx(total, rel=1e-5)


def test_gradient_rms_is_the_root_of_the_mean_square_over_segments():
    model = GruModel(9)
    ids = np.random.default_rng(0).integers(0, 9, size=22)  # 2 rows of 11: 2 segments of 5
    rms = gradient_rms(model, ids, batch=2, segment=5)
    table = torch.tensor(ids).view(2, 11).T
    model.eval()
    squares, state = 0, model.init_state(2)
    for start in (0, 5):
        hidden, state = model(table[start : start + 5], state.detach())
        model.zero_grad()
        model.nll(hidden.flatten(0, 1), table[start + 1 : start + 6].flatten()).mean().backward()
        squares = squares + model.decoder.weight.grad**2
    place = [name for name, _ in model.named_parameters()].index("decoder.weight")
    torch.testing.assert_close(rms[place], (squares / 2).sqrt())
    one = gradient_rms(model, ids, batch=2, segment=5, max_segments=1)
    assert not torch.equal(one[place], rms[place])


def test_tuning_dynamic_evaluation_returns_the_best_of_all_pairs(repetitive):
    model = GruModel(50)
    rms = gradient_rms(model, repetitive, batch=2, segment=5)
    start = DynamicSettings(segment=5)
    best, tried = tune_dynamic(
        model, repetitive, rms, learning_rates=(1e-4, 2e-2), decays=(0.0, 0.5), start=start
    )
    assert len(tried) == 4 and best.learning_rate == 2e-2 and best.segment == 5
    assert dict(tried)[best] == min(figure for _, figure in tried)


def test_a_state_that_is_not_carried_is_lost_between_segments(repetitive):
    model = GruModel(50)
    lost = batch_1_perplexity(model, repetitive, segment=20, is_state_carried=False)
    cached = cache_perplexity(
        model, repetitive, CacheSettings(weight=0.0), segment=20, is_state_carried=False
    )
    assert cached.nll == pytest.approx(lost.nll, rel=1e-6) and cached.cold_starts == 15
    rms = [torch.ones_like(weight) for weight in model.parameters()]
    still = dynamic_perplexity(
        model, repetitive, rms, DynamicSettings(1e-12, segment=20), is_state_carried=False
    )
    assert still.nll == pytest.approx(lost.nll, rel=1e-6) and still.cold_starts == 15


def test_a_model_without_state_counts_its_cold_starts():
    result = cache_perplexity(
        BigramModel(torch.full((5, 5), 0.2)), np.arange(5), CacheSettings(), segment=2
    )
    assert result.cold_starts == 2
    assert (
        cache_perplexity(CopyModel(5, 2), np.arange(5), CacheSettings(), segment=2).cold_starts == 1
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: CacheSettings(theta=-1),
        lambda: CacheSettings(weight=1.1),
        lambda: CacheSettings(window=0),
        lambda: DynamicSettings(learning_rate=0),
        lambda: DynamicSettings(decay=2),
        lambda: DynamicSettings(segment=0),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(UserError, match="expected"):
        make()
