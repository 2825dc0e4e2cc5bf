from __future__ import annotations

import numpy as np
import pytest

from shared.calibration import calibration_error, caution, reliability


def test_error_of_known_answers():
    # Ten answers of 0.95, half of them right: 0.45 too sure. Thirty of 0.55, all right: 0.45 not sure enough.
    confidence = [0.95] * 10 + [0.55] * 30
    is_right = [True] * 5 + [False] * 5 + [True] * 30
    found = reliability(confidence, is_right)
    assert [one.count for one in found] == [30, 10]
    assert [one.accuracy for one in found] == [1, 0.5]
    assert [one.confidence for one in found] == pytest.approx([0.55, 0.95])
    assert calibration_error(found) == pytest.approx(0.45)


def test_bins_weigh_by_their_predictions():
    found = reliability([0.95] * 3 + [0.55], [True, True, True, False], bins=2)
    assert calibration_error(found) == pytest.approx(abs(0.75 - (3 * 0.95 + 0.55) / 4))
    apart = reliability([0.95] * 3 + [0.55], [True, True, True, False], bins=10)
    assert calibration_error(apart) == pytest.approx((3 * 0.05 + 0.55) / 4)


def test_ends_of_intervals_are_the_lower_ones_and_certainty_has_a_bin():
    found = reliability(np.array([0.5, 1.0, 0.0], np.float32), [True, True, False], bins=2)
    assert [(one.up_to, one.count) for one in found] == [(0.5, 2), (1.0, 1)]


def test_answers_as_often_right_as_they_are_sure_have_no_error():
    assert calibration_error(reliability([0.75] * 4, [True, True, True, False])) == pytest.approx(0)


def test_accuracy_of_few_examples_comes_with_a_caution():
    assert "only 1 pair, too few" in caution("dev", 1, "pair")
    assert "only 99 reviews" in caution("test", 99, "review")
    assert "one review is 1.0 points" in caution("test", 99, "review")
    assert caution("test", 100, "review") == ""
