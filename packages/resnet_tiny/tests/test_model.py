from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from resnet_tiny.config import TrainConfig
from resnet_tiny.data.listing import Classes
from resnet_tiny.model.layers import layer_table
from resnet_tiny.model.resnet import build_model, model_of
from resnet_tiny.model.trained import load_run
from resnet_tiny.model.weights import load_initial, load_pretrained
from resnet_tiny.train import make_optimizers
from shared.errors import UserError
from shared.torch.checkpoint import load_weights

Caller = Callable[..., tuple[int, str, str]]


def test_summary_prints_the_68_layers_of_the_coursework(resnet_tiny: Caller) -> None:
    code, printed, _ = resnet_tiny("summary")
    assert code == 0
    rows = [line.split() for line in printed.splitlines()[2:70]]
    assert [row[0].rpartition("-")[2] for row in rows] == [str(n) for n in range(1, 69)]
    shapes = {row[1]: row[2] for row in rows}
    expected = {
        "conv1": "64x32x32", "maxpool": "64x16x16", "layer1.1": "64x16x16", "layer2.1": "128x8x8",
        "layer3.1": "256x4x4", "layer4.1": "512x2x2", "avgpool": "512x1x1", "fc": "200",
    }  # fmt: skip
    assert {path: shapes[path] for path in expected} == expected
    assert sum(int(row[3].replace(",", "")) for row in rows) == 11_279_112
    assert "68 layers, 11,279,112 parameters" in printed and "43.03 MB" in printed


def test_summary_of_the_3x3_stem_as_json(resnet_tiny: Caller) -> None:
    code, printed, _ = resnet_tiny("summary", "--stem", "3x3", "--json")
    facts = json.loads(printed)
    assert code == 0 and facts["parameters"] == 11_271_432
    first = next(row for row in facts["rows"] if row["path"] == "conv1")
    assert first["shape"] == [64, 64, 64]


def test_table_agrees_with_torchinfo() -> None:
    torchinfo = pytest.importorskip("torchinfo", reason="torchinfo is not installed")
    model = build_model()
    found = torchinfo.summary(model, (1, 3, 64, 64), verbose=0, depth=9)
    theirs = sorted(
        (layer.class_name, tuple(layer.output_size[1:]))
        for layer in found.summary_list
        if layer.class_name not in ("ResNet", "Sequential")
    )
    ours = sorted((row.name.partition("-")[0], row.shape) for row in layer_table(model, 64))
    assert ours == theirs


def test_summary_leaves_the_model_as_it_was() -> None:
    model = build_model("shufflenet_v2_x0_5", 10)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layer_table(model, 64)
    assert model.training and not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "arch", ["mobilenet_v3_small", "squeezenet1_1", "googlenet", "regnet_y_400mf", "vit_b_32"]
)
def test_any_torchvision_model_can_be_had_by_name(arch: str) -> None:
    torch.manual_seed(0)
    model = build_model(arch, 7)
    with torch.no_grad():
        assert model.train()(torch.randn(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize(
    "arch, expected",
    [
        ("resnet81", "did you mean"),
        ("inception_v3", "does not take images of 64x64"),
        ("nms", "does not have"),
    ],
)
def test_model_that_cannot_be_had_is_refused(arch: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        build_model(arch)


def test_first_weights_follow_from_the_seed_alone() -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(5)
        made.append(build_model("squeezenet1_1", 5))
        torch.rand(1)
    weights = [list(model.parameters()) for model in made]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_norms_and_biases_are_spared_by_weight_decay_where_asked() -> None:
    for decay_norms in (True, False):
        config = TrainConfig(weight_decay=0.5, decay_norms=decay_norms)
        model = model_of(config, 10)
        groups = make_optimizers(config, model)[0].param_groups
        decays = {id(w): group["weight_decay"] for group in groups for w in group["params"]}
        assert len(decays) == len(list(model.parameters()))
        for name, weight in model.named_parameters():
            is_spared = not decay_norms and (
                name.endswith("bias") or "bn" in name or "downsample.1" in name
            )
            assert decays[id(weight)] == (0 if is_spared else 0.5), name


def test_zero_initialized_blocks_pass_their_input_on() -> None:
    model = build_model(zero_init_residual=True)
    assert all((block.bn2.weight == 0).all() for block in model.layer1)
    assert not any((block.bn2.weight == 0).all() for block in build_model().layer1)


def test_weights_from_a_file_fill_what_fits_and_leave_the_last_layer(tmp_path: Path) -> None:
    other = build_model("squeezenet1_1", 4)
    save_file(other.state_dict(), str(tmp_path / "w.safetensors"))
    torch.save(other.state_dict(), tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        model = build_model("squeezenet1_1", 9)
        loaded = load_pretrained(model, "squeezenet1_1", str(tmp_path / name))
        assert (
            loaded.new
            == ("classifier.1.weight", "classifier.1.bias")
            == tuple(sorted(loaded.unused, reverse=True))
        )
        assert torch.equal(model.features[0].weight, other.features[0].weight)


def test_weights_that_are_of_no_use_are_refused(tmp_path: Path) -> None:
    model = build_model("squeezenet1_1", 4)
    save_file({"x": torch.zeros(3)}, str(tmp_path / "w.safetensors"))
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    cases = {
        "IMAGENET9": "does not exist for squeezenet1_1. Expected DEFAULT, IMAGENET1K_V1",
        str(tmp_path / "none.pth"): "not found",
        str(tmp_path / "bad.pth"): "was not loaded",
        str(tmp_path / "w.safetensors"): "is not of --arch squeezenet1_1",
    }
    for name, expected in cases.items():
        with pytest.raises(UserError, match=expected):
            load_pretrained(model, "squeezenet1_1", name)


def test_channels_last_changes_the_layout_and_not_the_result() -> None:
    torch.manual_seed(0)
    model = model_of(TrainConfig(arch="squeezenet1_1", channels_last=False), 5).eval()
    images = torch.randn(2, 3, 64, 64)
    expected = model(images)
    last = model.to(memory_format=torch.channels_last)
    assert isinstance(last, nn.Module)
    got = last(images.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"model": state, "epoch": 3},
        lambda state: {"state_dict": {f"module._orig_mod.{key}": v for key, v in state.items()}},
        lambda state: {"model_state_dict": {f"model.{key}": v for key, v in state.items()}},
        lambda state: {"model": state, "epoch": torch.tensor(3)},
        lambda state: {
            "model_ema": {
                "n_averaged": torch.tensor(9),
                **{f"module.{key}": v for key, v in state.items()},
            }
        },
    ],
    ids=["DataParallel", "model", "compiled and DDP", "Lightning", "tensor beside", "average"],
)
def test_weights_are_found_however_they_are_wrapped(wrap: Any, tmp_path: Path) -> None:
    other = build_model("squeezenet1_1", 4)
    torch.save(wrap(other.state_dict()), tmp_path / "w.pth")
    model = build_model("squeezenet1_1", 4)
    loaded = load_pretrained(model, "squeezenet1_1", str(tmp_path / "w.pth"))
    assert loaded.new == loaded.unused == ()
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_weights_of_a_larger_model_are_refused_and_not_loaded_in_part(tmp_path: Path) -> None:
    torch.save(build_model("resnet34", 10).state_dict(), tmp_path / "w.pth")
    model = build_model("resnet18", 10)
    before = model.conv1.weight.detach().clone()
    with pytest.raises(UserError, match=r"is not of --arch resnet18 \(layer1.2"):
        load_pretrained(model, "resnet18", str(tmp_path / "w.pth"))
    assert torch.equal(model.conv1.weight, before)


def test_last_layer_of_a_run_is_matched_by_the_names_of_its_classes(small_run: Path) -> None:
    trained = load_run(small_run)
    old = trained.classes.ids
    ids = ("new one", old[7], old[2])
    model = build_model("shufflenet_v2_x0_5", 3)
    before = model.fc.weight.detach().clone()
    loaded = load_initial(model, "shufflenet_v2_x0_5", str(small_run), Classes(ids, ids))
    assert "2 of 3 classes known" in loaded.text() and "fc.weight" in loaded.text()
    theirs = trained.model.fc
    assert torch.equal(model.fc.weight[0], before[0])
    assert torch.equal(model.fc.weight[1:], theirs.weight[[7, 2]])
    assert torch.equal(model.fc.bias[1:], theirs.bias[[7, 2]])
    strangers = tuple(f"class {number}" for number in range(len(old)))
    model = build_model("shufflenet_v2_x0_5", len(old))
    before = model.fc.weight.detach().clone()
    best = str(small_run / "checkpoints" / "best" / "model.safetensors")
    load_pretrained(model, "shufflenet_v2_x0_5", best, Classes(strangers, strangers))
    assert torch.equal(model.fc.weight, before)  # as many classes, but none of them the same


def test_mnasnet_is_read_from_its_checkpoint(tmp_path: Path) -> None:
    """It asks weights for a version, and safetensors have no place for one."""
    model = build_model("mnasnet0_5", 4).eval()
    save_model(model, str(tmp_path / "model.safetensors"))
    other = build_model("mnasnet0_5", 4)
    load_weights(tmp_path, other)
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(other.eval()(images), model(images))
