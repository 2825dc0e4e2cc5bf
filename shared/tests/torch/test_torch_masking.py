from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.torch.masking import mask_from_lengths, masked_max, masked_mean, masked_softmax

lengths_lists = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def made(lengths: list[int], size: int, filler: float) -> tuple[torch.Tensor, torch.Tensor]:
    """States (B, T, 3) whose padding holds `filler`, and their lengths."""
    generator = torch.Generator().manual_seed(sum(lengths))
    states = torch.full((len(lengths), size, 3), filler)
    for row, length in enumerate(lengths):
        states[row, :length] = torch.randn(length, 3, generator=generator)
    return states, torch.tensor(lengths)


@given(lengths_lists, st.integers(0, 4), st.sampled_from([0.0, 1e30, float("inf"), float("nan")]))
def test_more_padding_whatever_it_holds_changes_no_pooling(lengths, more, filler):
    tight, wide = made(lengths, max(lengths), 0.0), made(lengths, max(lengths) + more, filler)
    assert torch.equal(masked_max(*wide), masked_max(*tight))
    # A sum over more places may be added up in another order.
    torch.testing.assert_close(masked_mean(*wide), masked_mean(*tight), atol=1e-6, rtol=1e-6)


@given(lengths_lists)
def test_pooling_is_that_of_each_sequence_alone(lengths):
    states, counts = made(lengths, 6, 9.0)
    for row, length in enumerate(lengths):
        alone = states[row, :length]
        torch.testing.assert_close(masked_mean(states, counts)[row], alone.mean(0))
        assert torch.equal(masked_max(states, counts)[row], alone.max(0).values)


@pytest.mark.parametrize("lengths", [[0, 2], [3, 5], [-1, 1]])
@pytest.mark.parametrize("pool", [masked_mean, masked_max])
def test_lengths_out_of_range_are_refused(pool, lengths):
    with pytest.raises(ValueError, match="expected 1 to 4"):
        pool(torch.zeros(2, 4, 3), torch.tensor(lengths))


def test_masks_at_the_back_and_in_front():
    lengths = torch.tensor([0, 1, 3])
    back = [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert mask_from_lengths(lengths, 3).int().tolist() == back
    front = [row[::-1] for row in back]
    assert mask_from_lengths(lengths, 3, front=True).int().tolist() == front


@given(lengths_lists, st.integers(0, 3), st.sampled_from([0.0, 50.0, -50.0]))
def test_softmax_ignores_padding_and_gives_it_exactly_nothing(lengths, more, filler):
    states, counts = made(lengths, max(lengths) + more, filler)
    scores = states[:, :, 0]
    mask = mask_from_lengths(counts, scores.shape[1])
    weights = masked_softmax(scores, mask)
    assert not weights[~mask].any()
    for row, length in enumerate(lengths):
        torch.testing.assert_close(weights[row, :length], scores[row, :length].softmax(0))


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("top", [0.0, 3e4, -3e4])
def test_softmax_of_a_row_that_is_all_masked_is_0_with_gradient_0(dtype, top):
    scores = torch.tensor([[top, 1.0, -top], [top, top, 2.0]], dtype=dtype, requires_grad=True)
    mask = torch.tensor([[False, False, False], [True, False, True]])
    weights = masked_softmax(scores, mask)
    assert weights[0].tolist() == [0, 0, 0]
    assert weights[1, 1] == 0
    assert weights[1].sum().item() == pytest.approx(1, abs=1e-2)
    with torch.autograd.set_detect_anomaly(True):  # no NaN on the way either
        weights = masked_softmax(scores, mask)
        (weights * torch.tensor([1.0, 2.0, 3.0], dtype=dtype)).sum().backward()
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[0].tolist() == [0, 0, 0]


def test_mean_of_long_bf16_sequences_is_summed_in_float32():
    states = torch.full((1, 4096, 1), 1.0, dtype=torch.bfloat16)
    states[:, 0] = 256.0  # in bf16, 256 + 1 is 256
    mean = masked_mean(states, torch.tensor([4096]))
    assert mean.dtype == torch.bfloat16
    assert mean.item() == pytest.approx((256 + 4095) / 4096, rel=1e-2)


def test_gradients_do_not_reach_padding():
    states, lengths = made([2, 4], 4, 5.0)
    states.requires_grad_()
    (masked_mean(states, lengths).sum() + masked_max(states, lengths).sum()).backward()
    assert not states.grad[0, 2:].any()
    assert states.grad[0, :2].any()
