from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnet_tiny.config import TrainConfig
from resnet_tiny.data.dataset import Subset
from resnet_tiny.model.resnet import build_model
from resnet_tiny.model.whitening import whiten_first_convolution
from resnet_tiny.train import _sample_of


def smooth_images(count: int, side: int = 32) -> Tensor:
    """Images whose neighboring pixels are alike."""
    random = torch.Generator().manual_seed(0)
    return F.interpolate(torch.randn(count, 3, 8, 8, generator=random), size=side, mode="bilinear")


def responses(conv: nn.Conv2d, images: Tensor) -> Tensor:
    """What the kernels say of the patches, (D, patches)."""
    patches = F.unfold(images, conv.kernel_size, stride=conv.kernel_size)
    return conv.weight.detach().flatten(1) @ patches.transpose(0, 1).flatten(1)


def test_kernels_are_uncorrelated_by_falling_variance_and_each_has_its_negative() -> None:
    torch.manual_seed(0)
    model, images = build_model(), smooth_images(400)
    former = model.conv1.weight.detach().clone()
    whiten_first_convolution(model, images)
    out = responses(model.conv1, images)
    torch.testing.assert_close(out[32:], -out[:32])
    covariance = torch.cov(out[:32])
    variances = covariance.diagonal()
    assert bool((variances[1:] <= variances[:-1] * 1.001).all())
    assert variances[0] > 100 * variances[31] > 0
    correlation = covariance / variances.outer(variances).sqrt()
    assert (correlation - torch.eye(32)).abs().max() < 0.02
    norms = model.conv1.weight.detach().flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, former.flatten(1).norm(dim=1).mean().expand(64))


def test_kernels_beyond_the_components_and_all_other_weights_stay() -> None:
    torch.manual_seed(0)
    model = build_model(stem="3x3")
    former = {name: weight.clone() for name, weight in model.state_dict().items()}
    whiten_first_convolution(model, smooth_images(50))
    for name, weight in model.state_dict().items():
        if name == "conv1.weight":
            assert torch.equal(weight[54:], former[name][54:])  # 27 components and their negatives
            is_new = (weight[:54] != former[name][:54]).flatten(1).any(1)
            assert bool(is_new.all())
        else:
            assert torch.equal(weight, former[name]), name


@pytest.mark.parametrize("arch", ["mobilenet_v3_small", "vit_b_16"])
def test_first_convolution_of_other_models_is_found(arch: str) -> None:
    model = build_model(arch, 10, image_size=32)
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    former = first.weight.detach().clone()
    whiten_first_convolution(model, smooth_images(50))
    assert not torch.equal(first.weight, former)
    assert bool(first.weight.isfinite().all())


@pytest.mark.parametrize("size, most", [(32, 2000), (64, 2000), (128, 500), (224, 163)])
def test_large_images_are_looked_at_in_a_bounded_memory(size: int, most: int) -> None:
    images = np.broadcast_to(np.zeros(3, dtype=np.uint8), (5000, size, size, 3))
    pack: Any = SimpleNamespace(images=images)
    sampled = _sample_of(Subset(pack, np.arange(5000)), TrainConfig(image_size=size))
    assert sampled.shape == (most, 3, size, size)


def test_random_numbers_are_left_alone() -> None:
    model = build_model()
    state = torch.random.get_rng_state()
    whiten_first_convolution(model, smooth_images(50))
    assert torch.equal(torch.random.get_rng_state(), state)
