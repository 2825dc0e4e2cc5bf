from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_tiny.model import small_maps
from resnet_tiny.model.resnet import build_model
from resnet_tiny.model.small_maps import SmallMapConv2d, use_small_maps


def both_ways(conv: nn.Conv2d, images: Tensor) -> list[tuple[Tensor, ...]]:
    """Output, and the gradients of input and parameters, of a convolution and of its fast form."""
    found = []
    for module in (conv, use_small_maps(copy.deepcopy(conv))):
        leaf = images.clone().requires_grad_()
        out = module(leaf)
        loss = (out * torch.arange(out.numel(), dtype=out.dtype).view_as(out).cos()).sum()
        found.append((out, *torch.autograd.grad(loss, (leaf, *module.parameters()))))
    return found


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the matrices that the fast form multiplies by."""
    shapes: list[tuple[int, ...]] = []
    linear = F.linear

    def noted(flat: Tensor, matrix: Tensor, bias: Any = None) -> Tensor:
        shapes.append(tuple(matrix.shape))
        return linear(flat, matrix, bias)

    monkeypatch.setattr(small_maps.F, "linear", noted)
    return shapes


@pytest.mark.parametrize(
    "kernel, stride, padding, size",
    [
        (3, 1, 1, (2, 2)), (3, 1, 1, (1, 1)), (3, 2, 1, (2, 2)), (3, 2, 1, (1, 1)), (1, 1, 0, (1, 1)),
        (3, 1, 1, (1, 4)), ((1, 3), (1, 2), (0, 1), (1, 3)), (5, 1, 2, (2, 2)), (2, 1, 1, (2, 2)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("has_bias", [False, True])
def test_matrix_is_the_convolution_and_its_gradients(
    products: list[tuple[int, ...]],
    kernel: Any,
    stride: Any,
    padding: Any,
    size: tuple[int, int],
    has_bias: bool,
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, kernel, stride, padding, bias=has_bias).double()
    images = torch.randn(4, 3, *size, dtype=torch.float64)
    expected, got = both_ways(conv, images)
    assert len(products) == 1
    for theirs, ours in zip(expected, got, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_resnet_takes_the_matrix_where_maps_are_small_and_trains_alike(
    products: list[tuple[int, ...]],
) -> None:
    torch.manual_seed(0)
    model = build_model("resnet18", 10).double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    fast = use_small_maps(copy.deepcopy(model))
    gradients = []
    for each in (model, fast):
        each(images).square().sum().backward()
        gradients.append({name: weight.grad for name, weight in each.named_parameters()})
    # The second convolution of layer4's first block and both of the second one see 2x2 pixels.
    assert [shape for shape in products if shape[0] != 10] == [(4 * 512, 4 * 512)] * 3  # 10: fc
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-8, atol=1e-8, msg=name)
    assert list(fast.state_dict()) == list(model.state_dict())


def test_small_maps_are_convolved_plainly_when_measuring(products: list[tuple[int, ...]]) -> None:
    conv = use_small_maps(nn.Conv2d(3, 4, 3, padding=1)).eval()
    conv(torch.randn(2, 3, 2, 2))
    assert products == []


def test_kernels_smaller_than_the_map_and_large_maps_stay_convolutions(
    products: list[tuple[int, ...]],
) -> None:
    use_small_maps(nn.Conv2d(3, 4, 1))(torch.randn(2, 3, 2, 2))
    use_small_maps(nn.Conv2d(3, 4, 3, padding=1))(torch.randn(2, 3, 3, 3))
    assert products == []


@pytest.mark.parametrize(
    "settings",
    [{"groups": 2}, {"dilation": 2}, {"padding_mode": "reflect"}, {"padding": "same"}],
)
def test_convolutions_of_other_kinds_are_left_alone(settings: dict[str, Any]) -> None:
    conv = nn.Conv2d(4, 4, 3, **({"padding": 1} | settings))
    assert type(use_small_maps(conv)) is nn.Conv2d
    assert type(use_small_maps(nn.Conv2d(4, 4, 3, padding=1))) is SmallMapConv2d


def test_bf16_rounds_no_more_than_the_convolution_does() -> None:
    torch.manual_seed(0)
    conv, images = nn.Conv2d(64, 64, 3, padding=1, bias=False), torch.randn(8, 64, 2, 2)
    exact = conv(images)
    with torch.autocast("cpu", torch.bfloat16):
        theirs, ours = conv(images), use_small_maps(copy.deepcopy(conv))(images)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    assert (ours - exact).abs().mean() < 1.5 * (theirs - exact).abs().mean()
