from __future__ import annotations

import pytest

from shared.torch.position import best_index, is_stalled, starts_averaging


@pytest.mark.parametrize(
    ("history", "window", "starts"),
    [
        # The newest value is compared with all before it but the `window` last of those.
        ([5, 4, 4.5], 1, False),
        ([4, 5, 4.5], 1, True),
        ([5, 4, 3, 4.5], 1, True),  # worse than 4, the best but one
        ([5, 4, 3, 3.5], 1, False),  # better than 4: 3 is within the window
        ([5, 3, 4, 3.5], 1, True),
        ([5, 3, 4, 3.5], 2, False),  # 3 and 4 are within the window
        ([5, 3, 4, 4, 3.5], 2, True),
        ([5, 3, 4, 4, 3.5], 3, False),
        ([5, 6], 1, False),  # nothing is outside the window
        ([5, 6, 5], 1, False),  # as good is not worse
        ([5, 6, 7], None, False),
    ],
)
def test_averaging_starts_when_the_metric_has_not_improved_for_a_window(
    history: list[float], window: int | None, starts: bool
) -> None:
    assert starts_averaging(history, window, highest=False) is starts
    negated = [-value for value in history]
    assert starts_averaging(negated, window, highest=True) is starts


def test_best_is_the_first_of_equals_and_the_highest_where_higher_is_better() -> None:
    assert best_index([3, 1, 2, 1], highest=False) == 1
    assert best_index([3, 1, 3, 2], highest=True) == 0


def test_training_is_stalled_after_patience_evaluations_without_a_new_best() -> None:
    assert not is_stalled([3, 1, 2], 2, highest=False)
    assert is_stalled([3, 1, 2, 1], 2, highest=False)
    assert is_stalled([1, 3, 2, 3], 2, highest=True)
    assert not is_stalled([1, 2, 3], 2, highest=True)
    assert not is_stalled([], 1, highest=False)
    assert not is_stalled([1, 2, 3], None, highest=False)
