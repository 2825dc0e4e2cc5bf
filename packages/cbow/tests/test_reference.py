"""The numpy reference: its gradients are the derivatives of its losses, and nothing overflows."""

from __future__ import annotations

import numpy as np
import pytest

from cbow.model import reference

SIZE, DIMENSION = 7, 3
CONTEXTS = {
    "cbow": [1, 2, 4, 5],
    "repeated id": [1, 2, 1, 1],
    "target inside": [3, 2],
    "skip-gram": [2],
}
TARGET = 3


@pytest.fixture
def weights():
    generator = np.random.default_rng(0)
    return generator.normal(size=(SIZE, DIMENSION)), generator.normal(size=(DIMENSION, SIZE))


def softmax_objective(U, V, context, gradient="true"):
    return reference.gradients(U, V, context, TARGET, gradient=gradient)


def negative_objective(negatives):
    def objective(U, V, context, gradient="true"):
        return reference.negative_sampling_gradients(
            U, V, context, TARGET, negatives, gradient=gradient
        )

    return objective


def hierarchical_objective(U, V, context, gradient="true"):
    return reference.hierarchical_gradients(U, V, context, [0, 1, 1], [5, 2, 0], gradient=gradient)


OBJECTIVES = {
    "softmax": softmax_objective,
    "negative": negative_objective([0, 5, 6]),
    "negative repeated": negative_objective([0, 5, 5, 0, 5]),
    "negative equal to target": negative_objective([TARGET, 5, TARGET]),
    "negative in the context": negative_objective([1, 2]),
    "hierarchical": hierarchical_objective,
}


def finite_differences(function, array, step=1e-6):
    result = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        below = function()
        array[index] = kept
        result[index] = (above - below) / (2 * step)
    return result


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS.keys())
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_gradients_are_the_derivatives_of_the_loss(weights, objective, context):
    U, V = weights
    _, d_U, d_V = objective(U, V, context)
    value = lambda: objective(U, V, context)[0]  # noqa: E731
    np.testing.assert_allclose(d_U, finite_differences(value, U), atol=1e-8)
    np.testing.assert_allclose(d_V, finite_differences(value, V), atol=1e-8)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_word2vec_gradient_is_the_true_one_times_the_context_size(weights, objective):
    U, V = weights
    context = CONTEXTS["repeated id"]
    _, d_U, d_V = objective(U, V, context)
    _, own_d_U, own_d_V = objective(U, V, context, gradient="word2vec")
    np.testing.assert_allclose(own_d_U, 4 * d_U)
    np.testing.assert_array_equal(own_d_V, d_V)


def test_coursework_gradient_is_the_true_one_with_each_context_word_counted_once(weights):
    U, V = weights
    context = CONTEXTS["repeated id"]  # 1 three times, 2 once
    _, d_U, d_V = reference.gradients(U, V, context, TARGET)
    _, once_d_U, once_d_V = reference.gradients(U, V, context, TARGET, gradient="coursework")
    np.testing.assert_allclose(once_d_U[1], d_U[1] / 3)
    np.testing.assert_array_equal(once_d_U[2], d_U[2])
    np.testing.assert_array_equal(once_d_V, d_V)
    # The original's own line.
    expected = U.copy()
    expected[context] -= 0.1 * d_U[2]
    np.testing.assert_allclose(U - 0.1 * once_d_U, expected)


def test_unknown_gradient_is_refused(weights):
    with pytest.raises(ValueError, match="word2vec"):
        reference.gradients(*weights, [1], 2, gradient="mean")


def test_repeated_context_word_gets_every_gradient(weights):
    U, V = weights
    before = U.copy()
    reference.step(U, V, [1, 1, 1, 2], TARGET, 0.5)
    moved = U - before
    np.testing.assert_allclose(moved[1], 3 * moved[2])
    assert np.abs(moved[2]).min() > 0


def test_update_uses_gradients_from_before_either_matrix_changed(weights):
    U, V = weights
    first_U, first_V = U.copy(), V.copy()
    reference.step(U, V, [1, 2], TARGET, 1.0)
    _, d_U, d_V = reference.gradients(first_U, first_V, [1, 2], TARGET)
    np.testing.assert_allclose(U, first_U - d_U)
    np.testing.assert_allclose(V, first_V - d_V)


def test_softmax_leaves_its_argument_alone():
    scores = np.array([1.0, 2.0, 3.0])
    probabilities = reference.softmax(scores)
    assert scores.tolist() == [1.0, 2.0, 3.0]
    assert probabilities.sum() == pytest.approx(1.0)


def test_huge_scores_do_not_overflow():
    scores = np.array([1e4, 0.0, -1e4])
    assert reference.softmax(scores).tolist() == [1.0, 0.0, 0.0]
    assert reference.loss(scores, 1) == pytest.approx(1e4)
    assert reference.loss(scores, 0) == pytest.approx(0.0)


def test_huge_scores_do_not_overflow_in_the_logistic_losses():
    U, V = np.full((3, 1), 1e3), np.array([[1.0, -1.0, 1.0]])
    value, d_U, _ = reference.negative_sampling_gradients(U, V, [0], 1, [2])
    assert value == pytest.approx(2e3)
    assert np.isfinite(d_U).all()


def test_loss_is_minus_log_of_the_softmax_probability(weights):
    U, V = weights
    _, scores = reference.forward(U, V, [1, 2])
    assert reference.loss(scores, 4) == pytest.approx(-np.log(reference.softmax(scores)[4]))


def test_hidden_layer_is_the_mean_of_the_context_rows(weights):
    U, V = weights
    hidden, scores = reference.forward(U, V, [1, 2, 2])
    np.testing.assert_allclose(hidden, (U[1] + 2 * U[2]) / 3)
    np.testing.assert_allclose(scores, V.T @ hidden)


def test_one_hot():
    assert reference.one_hot(3, 1).tolist() == [0.0, 1.0, 0.0]
    for index in (-1, 3):
        with pytest.raises(IndexError):
            reference.one_hot(3, index)


def test_windows_of_the_assignments_example():
    assert list(reference.windows([0, 1, 2, 3, 4], 2)) == [
        ([1, 2], 0),
        ([0, 2, 3], 1),
        ([0, 1, 3, 4], 2),
        ([1, 2, 4], 3),
        ([2, 3], 4),
    ]


def test_lines_of_one_token_have_no_samples():
    assert list(reference.windows([3], 2)) == []
    assert list(reference.windows([], 2)) == []


def test_skip_gram_pairs_are_center_then_each_word_of_the_window():
    assert list(reference.pairs([0, 1, 2], 1)) == [([0], 1), ([1], 0), ([1], 2), ([2], 1)]
