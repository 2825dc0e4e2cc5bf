from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from resnet_tiny.config import TrainConfig
from resnet_tiny.model.resnet import model_of
from resnet_tiny.muon import Muon, orthogonal
from resnet_tiny.train import make_optimizers


def gradients(shape: tuple[int, ...], count: int) -> list[Tensor]:
    """Gradients whose singular values differ by 100, as those of training do."""
    torch.manual_seed(1)
    scale = torch.logspace(0, -2, shape[0])[:, None, None, None]
    return [torch.randn(shape) * scale for _ in range(count)]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("shape", [(32, 48, 3, 3), (96, 6, 3, 3)], ids=["wide", "tall"])
def test_steps_of_a_small_kernel_are_those_of_torch(shape: tuple[int, ...], nesterov: bool) -> None:
    """torch's own takes matrices only, and lets weights grow."""
    ours, theirs = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.zeros(shape).flatten(1))
    settings = {"lr": 0.01, "momentum": 0.8, "nesterov": nesterov}
    mine = Muon([ours], dtype=torch.float32, **settings)
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
        (found,) = orthogonal([matrix])
        left, values, right = torch.linalg.svd(
            matrix.view(-1, rows, shape[1]).double(), full_matrices=False
        )
        values = values / values.norm(dim=1, keepdim=True)
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        assert values.min() > 0.68 and values.max() < 1.21
        expected = (left * values[:, None]) @ right
        assert torch.allclose(found.view_as(expected).double(), expected, atol=1e-4)


def test_layout_of_weights_and_gradients_changes_nothing() -> None:
    start, gradient = torch.randn(16, 8, 3, 3), gradients((16, 8, 3, 3), 1)[0]
    found = []
    layouts = (torch.contiguous_format, torch.channels_last)
    for layout, of_gradient in itertools.product(layouts, layouts):
        weight = nn.Parameter(start.clone(memory_format=layout))
        weight.grad = gradient.clone(memory_format=of_gradient)
        Muon([weight], lr=0.1, dtype=torch.float32).step()
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
    Muon([weight], lr=0.1).step()
    assert cosine(weight.detach(), before) == pytest.approx(1)
    assert weight.detach().norm() == pytest.approx(8**0.5)


def test_convolutions_are_muons_and_the_rest_is_sgds() -> None:
    config = TrainConfig(optimizer="muon", learning_rate=0.3, muon_learning_rate=0.04)
    model = model_of(config, 10)
    sgd, turned = make_optimizers(config, model)
    assert isinstance(sgd, torch.optim.SGD) and isinstance(turned, Muon)
    taken = {id(w): o for o in (sgd, turned) for group in o.param_groups for w in group["params"]}
    assert len(taken) == len(list(model.parameters()))
    for name, module in model.named_modules():
        for weight in module.parameters(recurse=False):
            is_turned = isinstance(module, nn.Conv2d)
            assert taken[id(weight)] is (turned if is_turned else sgd), name
    rates = [group["lr"] for o in (sgd, turned) for group in o.param_groups]
    assert rates == [0.3, 0.3, 0.04]
