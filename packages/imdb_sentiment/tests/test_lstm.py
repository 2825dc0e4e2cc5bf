from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from imdb_sentiment.model.lstm import HandwrittenLSTM, Recurrence
from imdb_sentiment.model.recurrent import ReversingLSTM

B, T, D, H = 5, 11, 6, 7
LENGTHS = torch.tensor([11, 1, 4, 7, 2])
KINDS = [HandwrittenLSTM, ReversingLSTM]


def packed(lstm: nn.LSTM, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    sequences = nn.utils.rnn.pack_padded_sequence(
        inputs, lengths, batch_first=True, enforce_sorted=False
    )
    outputs, final = lstm(sequences)
    padded, _ = nn.utils.rnn.pad_packed_sequence(
        outputs, batch_first=True, total_length=inputs.shape[1]
    )
    return padded, final


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one direction", "both directions"])
def test_equals_torchs_lstm_on_packed_reviews_in_output_and_gradient(
    kind: type[HandwrittenLSTM], layers: int, bidirectional: bool
) -> None:
    torch.manual_seed(1)
    theirs = nn.LSTM(D, H, layers, batch_first=True, bidirectional=bidirectional).double()
    ours = kind(D, H, layers, bidirectional=bidirectional).double()
    ours.load_state_dict(theirs.state_dict())
    output_weights = torch.randn(B, T, H * (1 + bidirectional)).double()
    h_weights = torch.randn(layers * (1 + bidirectional), B, H).double()
    results: list[tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]] = []
    calls: list[tuple[nn.Module, Callable]] = [
        (theirs, lambda x: packed(theirs, x, LENGTHS)),
        (ours, lambda x: ours(x, LENGTHS)),
    ]
    inputs = torch.randn(B, T, D).double()
    for module, call in calls:
        own = inputs.clone().requires_grad_()
        outputs, (h, c) = call(own)
        loss = (outputs * output_weights).sum() + (h * h_weights).sum()
        if kind is HandwrittenLSTM:
            loss = loss + (c.cos() * h_weights).sum()
        elif module is ours:
            assert c[:, LENGTHS < T].isnan().all()  # unknown, so never mistaken for one
        loss.backward()
        assert own.grad is not None
        gradients = {
            name: weight.grad
            for name, weight in module.named_parameters()
            if weight.grad is not None
        }
        results.append((outputs, h, own.grad, gradients))
    (a, h_a, x_a, g_a), (b, h_b, x_b, g_b) = results
    for ours_, theirs_ in [
        (b, a),
        (h_b, h_a),
        (x_b, x_a),
        *((g_b[name], g_a[name]) for name in g_a),
    ]:
        assert (ours_ - theirs_).abs().max() < 1e-6  # it is about 1e-15
    assert len(g_a) == len(g_b) == 4 * layers * (1 + bidirectional)


def test_gradient_by_hand_is_the_numeric_one() -> None:
    torch.manual_seed(2)
    projected = torch.randn(2, 4, 3, 8, dtype=torch.float64, requires_grad=True)
    recurrent = torch.randn(2, 2, 8, dtype=torch.float64, requires_grad=True)
    h0, c0 = (torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(Recurrence.apply, (projected, recurrent, h0, c0))


def test_inputs_are_not_overwritten() -> None:
    projected = torch.randn(1, 3, 2, 8)
    before = projected.clone()
    zeros = torch.zeros(1, 2, 2)
    Recurrence.apply(projected, torch.randn(1, 2, 8), zeros, zeros)
    assert torch.equal(projected, before)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing_and_its_outputs_are_zero(kind: type[HandwrittenLSTM]) -> None:
    torch.manual_seed(3)
    lstm = kind(D, H, 2, bidirectional=True)
    inputs = torch.randn(B, T, D)
    outputs, (h, _) = lstm(inputs, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        inputs[row, length:] = 1e6
        assert not outputs[row, length:].any()
    again, (h_again, _) = lstm(inputs, LENGTHS)
    assert torch.equal(outputs, again)
    assert torch.equal(h, h_again)


@pytest.mark.parametrize("kind", KINDS)
def test_a_review_does_not_see_the_others_of_its_batch(kind: type[HandwrittenLSTM]) -> None:
    torch.manual_seed(4)
    lstm = kind(D, H, bidirectional=True)
    inputs = torch.randn(B, T, D)
    together, _ = lstm(inputs, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone, _ = lstm(inputs[row : row + 1, :length], LENGTHS[row : row + 1])
        assert torch.allclose(together[row, :length], alone[0], atol=1e-6)


def test_backward_direction_ends_at_the_first_word() -> None:
    torch.manual_seed(5)
    lstm = HandwrittenLSTM(D, H, bidirectional=True)
    outputs, (h, _) = lstm(torch.randn(B, T, D), LENGTHS)
    rows = torch.arange(B)
    assert torch.equal(h[0], outputs[rows, LENGTHS - 1, :H])
    assert torch.equal(h[1], outputs[:, 0, H:])


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_near_float32(kind: type[HandwrittenLSTM]) -> None:
    torch.manual_seed(6)
    lstm, inputs = kind(D, H, bidirectional=True), torch.randn(B, T, D)
    outputs, _ = lstm(inputs, LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = lstm(inputs, LENGTHS)
        half.float().sum().backward()
    assert (half.float() - outputs).abs().max() < 0.03
    assert lstm.get_parameter("weight_hh_l0").grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_initial_state_is_torchs_in_output_and_gradient(kind: type[HandwrittenLSTM]) -> None:
    torch.manual_seed(7)
    theirs = nn.LSTM(D, H, 2, batch_first=True, bidirectional=True).double()
    ours = kind(D, H, 2, bidirectional=True).double()
    ours.load_state_dict(theirs.state_dict())
    inputs, full = torch.randn(B, T, D).double(), torch.full((B,), T)
    results = []
    for call in (lambda state: theirs(inputs, state), lambda state: ours(inputs, full, state)):
        torch.manual_seed(8)
        state = tuple(torch.randn(4, B, H).double().requires_grad_() for _ in range(2))
        outputs, (h, c) = call(state)
        gradients = torch.autograd.grad((outputs * outputs).sum() + c.sum(), state)
        results.append((outputs, h, c, *gradients))
    for a, b in zip(*results, strict=True):
        assert (a - b).abs().max() < 1e-6
