from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from resnet_tiny.config import TrainConfig
from resnet_tiny.data.mixing import apply_mix, draw_mix
from resnet_tiny.data.transforms import MEAN, STD, apply, center_crop, draw, normalize, size_at
from resnet_tiny.model.loss import BatchLoss
from shared.torch.device import to_device


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (6, 64, 64, 3), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )


def test_normalization_is_torchvisions(pixels: torch.Tensor) -> None:
    expected = pixels.permute(0, 3, 1, 2) / 255
    expected = (expected - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert torch.allclose(normalize(pixels), expected, atol=1e-5)
    assert normalize(pixels).is_contiguous(memory_format=torch.channels_last)


def test_shift_and_flip_move_each_image_as_drawn(pixels: torch.Tensor) -> None:
    draws = {
        "shift": torch.tensor([[0, 0], [3, -2], [-4, 4], [0, 0], [1, 1], [-1, 2]]),
        "flip": torch.tensor([False, False, False, True, True, False]),
    }
    got = apply(pixels, draws, 64)
    for number, (down, right) in enumerate(draws["shift"].tolist()):
        padded = np.pad(pixels[number].numpy(), ((4, 4), (4, 4), (0, 0)), mode="reflect")
        if draws["flip"][number]:
            padded = padded[:, ::-1]
        cut = padded[4 + down : 68 + down, 4 + right : 68 + right].copy()
        assert torch.equal(got[number], normalize(torch.from_numpy(cut)[None])[0]), number


def test_images_are_untouched_without_draws(pixels: torch.Tensor) -> None:
    config = TrainConfig()
    assert draw(config, np.arange(6), 0) == {}
    assert torch.equal(apply(pixels, {}, 64), normalize(pixels))


def test_resized_crop_of_everything_is_the_image_and_flips(pixels: torch.Tensor) -> None:
    whole = torch.tensor([[0.5, 0.5, 1.0, 1.0]]).expand(6, 4)
    assert torch.allclose(apply(pixels, {"box": whole}, 64), normalize(pixels), atol=1e-4)
    flipped = apply(pixels, {"box": whole, "flip": torch.ones(6, dtype=torch.bool)}, 64)
    assert torch.allclose(flipped, normalize(pixels).flip(3), atol=1e-4)


def test_resized_crop_reads_its_box(pixels: torch.Tensor) -> None:
    quarter = torch.tensor([[0.75, 0.25, 0.5, 0.5]]).expand(6, 4)  # right, top
    got = apply(pixels, {"box": quarter}, 32)
    assert torch.allclose(got, normalize(pixels)[:, :, :32, 32:], atol=1e-4)


@pytest.mark.parametrize("share, edge", [(1.0, 0), (0.875, 4), (0.5, 16), (0.01, 31)])
def test_middle_is_what_lies_inside_the_edge_at_the_images_size(
    pixels: torch.Tensor, share: float, edge: int
) -> None:
    images = normalize(pixels)
    got = center_crop(images, share)
    assert got.shape == images.shape
    other = images.flip(0).clone()  # other images with the same middle
    inside = slice(edge, 64 - edge)
    other[:, :, inside, inside] = images[:, :, inside, inside]
    assert torch.equal(center_crop(other, share), got)
    whole = torch.nn.functional.interpolate(images[:, :, inside, inside], size=64, mode="bilinear")
    assert torch.allclose(got, whole)


@pytest.mark.parametrize("least", [0.08, 0.35, 0.8, 1.0])
def test_boxes_stay_inside_and_keep_the_least_area(least: float) -> None:
    torch.manual_seed(0)
    boxes = draw(TrainConfig(crop="resized", crop_area=least), np.arange(2000), 0)["box"]
    x, y, width, height = boxes.unbind(1)
    for center, extent in ((x, width), (y, height)):
        assert ((center - extent / 2) >= -1e-5).all() and ((center + extent / 2) <= 1 + 1e-5).all()
    area, ratio = width * height, width / height
    assert (area >= least - 1e-5).all()
    assert (ratio >= 0.75 - 1e-5).all() and (ratio <= 4 / 3 + 1e-5).all()
    # Areas are uniform from the least one to the whole image, also where only squares fit.
    assert float(area.mean()) == pytest.approx((1 + least) / 2, abs=0.02)
    if least < 0.7:
        assert float(ratio[area < 0.7].log().std()) > 0.15


def test_alternate_flip_shows_both_sides_in_two_epochs() -> None:
    config = TrainConfig(flip="alternate")
    flips = [draw(config, np.arange(1000), epoch)["flip"] for epoch in range(4)]
    assert (flips[0] ^ flips[1]).all() and torch.equal(flips[0], flips[2])
    assert 0.4 < flips[0].float().mean() < 0.6


def test_another_size_is_scaled_without_gaps(pixels: torch.Tensor) -> None:
    small = apply(pixels, {}, 32)
    assert small.shape == (6, 3, 32, 32)
    assert torch.allclose(small.mean(), normalize(pixels).mean(), atol=0.02)


def test_sizes_follow_their_shares_of_the_run() -> None:
    sizes, shares = (32, 48, 64), (0.35, 0.25, 0.4)
    got = [size_at(sizes, shares, step / 100, 64) for step in range(100)]
    assert [got.count(size) for size in sizes] == [35, 25, 40] and got == sorted(got)
    assert size_at((), (), 0.5, 64) == 64
    assert size_at((32, 64), (), 0.49, 64) == 32


def test_mixup_mixes_images_by_their_weight() -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8).contiguous()
    mixed, own = apply_mix(
        images, {"partner": torch.tensor([1, 0, 3, 2]), "kept": torch.tensor(0.75)}
    )
    assert own == 0.75
    assert torch.allclose(mixed[:, 0, 0, 0], torch.tensor([0.25, 0.75, 2.25, 2.75]))


def test_cutmix_weighs_labels_by_the_pixels_that_are_there() -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 64, 64).contiguous()
    torch.manual_seed(3)
    for _ in range(20):
        draws = draw_mix(TrainConfig(cutmix=1.0), 4)
        mixed, own = apply_mix(images, draws)
        partner = images[draws["partner"]]
        assert ((mixed == images) | (mixed == partner)).all()
        differs = draws["partner"] != torch.arange(4)
        if differs.any():
            share = (mixed == images)[differs][0, 0].float().mean()
            assert float(share) == pytest.approx(own, abs=1e-6)


def test_cutmix_cuts_a_box_of_the_area_that_was_drawn_in_its_center() -> None:
    torch.manual_seed(3)
    inside = 0
    for _ in range(200):
        draws = draw_mix(TrainConfig(cutmix=1.0), 4)
        top, left, bottom, right = draws["cut"]
        assert 0 <= top <= bottom <= 1 and 0 <= left <= right <= 1
        if min(top, left) > 0 and max(bottom, right) < 1:  # elsewhere the border cuts it
            inside += 1
            assert (bottom - top) * (right - left) == pytest.approx(1 - draws["kept"], abs=1e-6)
            assert bottom - top == pytest.approx(right - left, abs=1e-6)
    assert inside > 20


def test_mixing_is_off_where_it_is_not_asked_for() -> None:
    assert draw_mix(TrainConfig(), 4) == {}
    assert draw_mix(TrainConfig(cutmix=1.0, mix_probability=0.0), 4) == {}


def test_both_mixings_take_turns_at_random() -> None:
    torch.manual_seed(0)
    config = TrainConfig(mixup=0.2, cutmix=1.0, mix_probability=0.5)
    draws = [draw_mix(config, 4) for _ in range(600)]
    mixed = [one for one in draws if one]
    assert len(mixed) / len(draws) == pytest.approx(0.5, abs=0.07)
    assert sum("cut" in one for one in mixed) / len(mixed) == pytest.approx(0.5, abs=0.1)
    # Each with its own alpha: 0.2 leaves an image nearly as it was or nearly its partner, 1 is uniform.
    mixup = [one["kept"] for one in mixed if "cut" not in one]
    cutmix = [one["kept"] for one in mixed if "cut" in one]
    between = [sum(0.1 < kept < 0.9 for kept in some) / len(some) for some in (mixup, cutmix)]
    assert between[0] < 0.45 and between[1] > 0.65


class NoWaiting(TorchDispatchMode):
    """Fails where a GPU would have to be waited for: a value is read, or copied to it from pageable memory."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        assert "_local_scalar_dense" not in name and "nonzero" not in name, name
        result = func(*args, **(kwargs or {}))
        if "_to_copy" in name or name.startswith("aten.copy_"):
            moved = isinstance(result, torch.Tensor) and args[0].device != result.device
            assert not moved, name
        return result


@pytest.mark.parametrize(
    "settings",
    [
        {"crop": "pad", "flip": "random"},
        {"crop": "resized", "flip": "alternate", "mixup": 1.0},
        {"crop": "resized", "cutmix": 1.0, "sizes": (32,), "label_smoothing": 0.1},
    ],
    ids=["padded", "mixup", "cutmix"],
)
def test_a_batch_is_prepared_without_waiting_for_the_gpu(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(**settings)
    loss_of = BatchLoss(config, lambda: 0.0)
    batch = {
        "pixels": torch.zeros(4, 64, 64, 3, dtype=torch.uint8), "labels": torch.tensor([0, 1, 2, 3]),
        "draws": draw(config, np.arange(4), 0), "mix": draw_mix(config, 4),
    }  # fmt: skip
    batch = to_device(batch, torch.device("meta"))
    normalize(batch["pixels"])  # mean and deviation are copied once
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * (config.sizes or (64,))[0] ** 2, 10)).to(
        "meta"
    )
    # A tensor made of Python numbers is copied to a GPU from pageable memory, which waits for it.
    monkeypatch.setattr(torch, "tensor", lambda *given, **more: pytest.fail("made of numbers"))
    with NoWaiting():
        loss, count, hits = loss_of(model, batch)
        loss.backward()
    assert loss.device.type == "meta" and count == 4 and hits["acc"].device.type == "meta"


def test_nothing_of_a_batch_is_float64(pixels: torch.Tensor) -> None:
    """Apple GPUs have no float64."""
    torch.manual_seed(1)
    config = TrainConfig(crop="resized", flip="random", cutmix=1.0, mixup=1.0)
    for _ in range(5):
        draws = draw(config, np.arange(6), 0) | draw_mix(config, 6)
        tensors = [value for value in draws.values() if isinstance(value, torch.Tensor)]
        assert all(tensor.dtype != torch.float64 for tensor in tensors)
