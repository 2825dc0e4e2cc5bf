from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from toy_task import Killed, ToyConfig, everything, is_same, train

from shared.torch.muon import Muon, hidden_matrices, orthogonal


def gradients(shape: tuple[int, ...], count: int) -> list[Tensor]:
    """Gradients whose singular values differ by 100, as those of training do."""
    torch.manual_seed(1)
    scale = torch.logspace(0, -2, shape[0])[:, None, None, None]
    return [torch.randn(shape) * scale for _ in range(count)]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


needs_torchs_muon = pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="this torch has no Muon of its own"
)


@needs_torchs_muon
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("shape", [(32, 48, 3, 3), (96, 6, 3, 3)], ids=["wide", "tall"])
def test_steps_of_a_kernel_of_constant_norm_are_those_of_torch(
    shape: tuple[int, ...], nesterov: bool
) -> None:
    """torch's own takes matrices only, and lets weights grow."""
    ours, theirs = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.zeros(shape).flatten(1))
    settings = {"lr": 0.01, "momentum": 0.8, "nesterov": nesterov}
    mine = Muon([ours], dtype=torch.float32, keep_norm=True, **settings)
    peer = torch.optim.Muon([theirs], weight_decay=0.0, **settings)
    for gradient in gradients(shape, 3):
        before, length = theirs.detach().clone(), shape[0] ** 0.5
        start = ours.detach() * length / ours.norm().item()
        ours.grad, theirs.grad = gradient, gradient.flatten(1)
        mine.step()
        peer.step()
        assert cosine(ours.detach() - start, theirs.detach() - before) > 0.999
        assert (ours.detach() - start).norm() == pytest.approx(0.01 * length, rel=1e-3)


def test_singular_values_are_what_the_iteration_makes_of_them_in_every_block() -> None:
    for shape, rows in (((64, 300, 1, 1), 64), ((256, 600, 1, 1), 128), ((300, 20, 1, 1), 100)):
        matrix = gradients(shape, 1)[0].flatten(1)
        (result,) = orthogonal([matrix])
        left, values, right = torch.linalg.svd(
            matrix.view(-1, rows, shape[1]).double(), full_matrices=False
        )
        values = values / values.norm(dim=1, keepdim=True)
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        assert values.min() > 0.68 and values.max() < 1.21
        expected = (left * values[:, None]) @ right
        assert torch.allclose(result.view_as(expected).double(), expected, atol=1e-4)


def test_layout_of_weights_and_gradients_changes_nothing() -> None:
    start, gradient = torch.randn(16, 8, 3, 3), gradients((16, 8, 3, 3), 1)[0]
    found = []
    layouts = (torch.contiguous_format, torch.channels_last)
    for layout, of_gradient in itertools.product(layouts, layouts):
        weight = nn.Parameter(start.clone(memory_format=layout))
        weight.grad = gradient.clone(memory_format=of_gradient)
        Muon([weight], lr=0.1, dtype=torch.float32, keep_norm=True).step()
        found.append(weight.detach())
    assert not torch.allclose(found[0], start, atol=1e-3)
    for other in found[1:]:
        assert torch.allclose(found[0], other, atol=1e-5)


def test_layers_of_one_shape_do_not_mix() -> None:
    first, second, other = (
        g.flatten(1) for g in (*gradients((16, 9, 1, 1), 2), torch.randn(8, 4, 1, 1))
    )
    together = orthogonal([first, other, second])
    for matrix, found in zip((first, other, second), together, strict=True):
        assert torch.allclose(found, orthogonal([matrix])[0], atol=1e-6)


def test_kernel_without_gradient_keeps_its_direction() -> None:
    weight = nn.Parameter(torch.randn(8, 4, 3, 3))
    before = weight.detach().clone()
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, keep_norm=True).step()
    assert cosine(weight.detach(), before) == pytest.approx(1)
    assert weight.detach().norm() == pytest.approx(8**0.5)


@needs_torchs_muon
@pytest.mark.parametrize("shape", [(32, 48), (96, 6)], ids=["wide", "tall"])
def test_steps_of_a_matrix_are_those_of_torch_with_adamws_length(shape: tuple[int, int]) -> None:
    start = torch.randn(shape)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    settings = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}
    mine = Muon([ours], dtype=torch.float32, **settings)
    peer = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)
    for gradient in gradients((*shape, 1, 1), 3):
        ours.grad, theirs.grad = gradient.flatten(1), gradient.flatten(1).clone()
        mine.step()
        peer.step()
    # torch's iteration is in bfloat16.
    assert cosine(ours.detach() - start, theirs.detach() - start) > 0.999
    assert (ours.detach() - start).norm() == pytest.approx(
        float((theirs.detach() - start).norm()), rel=0.01
    )


def test_gates_of_an_lstm_are_four_matrices() -> None:
    lstm = nn.LSTM(6, 8)
    gates = gradients((32, 6, 1, 1), 1)[0].flatten(1)
    (together,) = orthogonal([gates], rows=8)
    for gate, own in zip(gates.split(8), together.split(8), strict=True):
        assert torch.allclose(orthogonal([gate], rows=8)[0], own, atol=1e-6)
    assert not torch.allclose(orthogonal([gates], rows=32)[0], together, atol=1e-3)
    before = lstm.weight_hh_l0.detach().clone()
    lstm.weight_hh_l0.grad = torch.randn(32, 8)
    Muon([lstm.weight_hh_l0], lr=0.1, rows=8, dtype=torch.float32).step()
    step = (before - lstm.weight_hh_l0.detach()).split(8)
    for gate in step:  # entries of AdamW's size in each of them
        assert gate.square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.3)


def test_embeddings_norms_biases_heads_and_tied_weights_are_not_muons() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(9, 4), nn.LSTM(4, 4)
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.LayerNorm(4)
            self.hidden, self.head = nn.Linear(4, 4), nn.Linear(4, 9)
            self.tied = nn.Linear(4, 9, bias=False)
            self.tied.weight = self.embedding.weight

    model = Model()
    taken = {id(weight) for weight in hidden_matrices(model, but=[model.head])}
    names = {name for name, weight in model.named_parameters() if id(weight) in taken}
    assert names == {"lstm.weight_ih_l0", "lstm.weight_hh_l0", "conv.weight", "hidden.weight"}


def test_run_with_muon_is_resumed_to_the_same_bits(tmp_path) -> None:
    def make(model: nn.Module) -> list[torch.optim.Optimizer]:
        matrices = hidden_matrices(model, but=[model.head])
        taken = {id(weight) for weight in matrices}
        assert len(matrices) == 1
        others = [weight for weight in model.parameters() if id(weight) not in taken]
        return [torch.optim.AdamW(others, lr=0.01), Muon(matrices, lr=0.02)]

    config = ToyConfig(device="cpu", epochs=2, checkpoint_every=2, log_every=1)
    whole = train(tmp_path / "whole", config, make_optimizers=make)
    with pytest.raises(Killed):
        train(tmp_path / "killed", config, make_optimizers=make, kill_at=7)
    resumed = train(tmp_path / "killed", config, make_optimizers=make, resume=True)
    assert is_same(everything(resumed), everything(whole))
