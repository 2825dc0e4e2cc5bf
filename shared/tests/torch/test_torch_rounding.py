from __future__ import annotations

import pytest
import torch

from shared.torch.rounding import ROWS, even_rows


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1])
@pytest.mark.parametrize("more", [(), (3,), (2, 3)])
def test_rows_are_filled_up_with_zeros(count: int, more: tuple[int, ...]) -> None:
    rows = torch.randn(count, *more)
    got = even_rows(rows)
    assert len(got) % ROWS == 0 and len(got) - count < ROWS
    assert torch.equal(got[:count], rows) and not got[count:].any()


def test_only_the_real_rows_have_gradients() -> None:
    rows = torch.randn(5, 2, requires_grad=True)
    even_rows(rows).sum().backward()
    assert torch.equal(rows.grad, torch.ones(5, 2))


def test_numbers_of_rows_stay_whole_numbers() -> None:
    assert even_rows(torch.tensor([7, 8])).dtype == torch.int64
