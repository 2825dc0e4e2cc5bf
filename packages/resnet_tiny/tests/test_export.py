from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnet_tiny.commands.export import TOLERANCE, export, export_weights
from resnet_tiny.commands.model_card import model_card
from resnet_tiny.config import Stem, TrainConfig
from resnet_tiny.data.decode import decode
from resnet_tiny.data.listing import Classes
from resnet_tiny.model.resnet import build_model
from resnet_tiny.model.trained import TrainedModel, load_run

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

# The exporter and onnxscript warn about their own parts.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_onnx_file_takes_bytes_and_answers_as_predict_does(
    resnet_tiny: Callable[..., tuple[int, str, str]],
    own_run: Path,
    photos: Path,
    tmp_path: Path,
) -> None:
    code, printed, error = resnet_tiny("export", own_run, "--out", "onnx")
    assert (code, error) == (0, "") and "logits are torch's to" in printed
    image = next(photos.glob("cyan/*.png"))
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    (logits,) = session.run(None, {"pixels": decode(image, 32, resize=True)[None]})
    chances = np.exp(logits[0] - logits[0].max())
    chances /= chances.sum()
    names = json.loads((tmp_path / "onnx" / "classes.json").read_text())["names"]
    found = json.loads(resnet_tiny("predict", own_run, image, "--json", "--top", 1)[1])
    best = found["classes"][0]
    assert names[int(chances.argmax())] == best["name"]
    assert float(chances.max()) == pytest.approx(best["probability"], abs=1e-3)


def test_huge_logits_are_compared_by_their_size(own_run: Path, tmp_path: Path) -> None:
    trained = load_run(own_run)
    with torch.no_grad():
        list(trained.model.parameters())[-2].mul_(
            1e7
        )  # as of a model after a few steps of batch norm
    assert export(trained, tmp_path / "onnx") > TOLERANCE


@pytest.fixture(scope="session")
def resnet_run(tmp_path_factory: pytest.TempPathFactory, sample_folder: Path) -> Path:
    """Return a run of one step of a ResNet-18, which timm has too."""
    from resnet_tiny.cli import main

    out = tmp_path_factory.mktemp("runs") / "resnet"
    words = (
        "train", "--data", sample_folder, "--arch", "resnet18", "--steps", 1, "--batch-size", 4,
        "--holdout-per-class", 2, "--device", "cpu", "--threads", 1, "--evaluation-crop", 0.875,
        "--out", out, "--quiet",
    )  # fmt: skip
    assert main([str(word) for word in words]) == 0
    return out


def logits_of(model: Any, seed: int = 0) -> torch.Tensor:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model.eval()(images)


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
def test_torchvision_reads_the_weights(
    kind: str, resnet_run: Path, tmp_path: Path, resnet_tiny: Callable[..., tuple[int, str, str]]
) -> None:
    code, printed, error = resnet_tiny("export", resnet_run, "--format", kind, "--out", "out")
    assert (code, error) == (0, "") and "README.md" in printed
    import torchvision  # importable since the package is
    from safetensors.torch import load_file

    file = tmp_path / "out" / f"model.{kind}"
    state = load_file(str(file)) if kind == "safetensors" else torch.load(file, weights_only=True)
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.load_state_dict(state)
    assert torch.allclose(logits_of(theirs), logits_of(load_run(resnet_run).model), atol=1e-5)
    card = (tmp_path / "out" / "README.md").read_text()
    summary = json.loads((resnet_run / "summary.json").read_text())
    assert (
        f"{100 * summary['metrics']['val_top1']:.2f} %" in card
        and "resnet18(num_classes=10)" in card
    )


@pytest.mark.parametrize(
    ("arch", "stem", "format"),
    [
        ("googlenet", "7x7", "pth"),
        ("squeezenet1_1", "7x7", "safetensors"),
        ("mnasnet0_5", "7x7", "pth"),
        ("mnasnet0_5", "7x7", "safetensors"),
        ("resnet18", "3x3", "safetensors"),
    ],
)
def test_lines_of_the_model_card_load_the_weights(
    arch: str, stem: Stem, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(arch, 3, stem=stem)
    classes = Classes(("a", "b", "c"), ("a", "b", "c"))
    trained = TrainedModel(model.eval(), classes, TrainConfig(arch=arch, stem=stem), tmp_path, 1)
    export_weights(trained, tmp_path / "out", format)
    monkeypatch.chdir(tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    there: dict[str, Any] = {}
    exec(code, there)
    assert torch.allclose(logits_of(there["model"]), logits_of(model), atol=1e-5)


def test_model_card_of_a_transformer_names_its_image_size(tmp_path: Path) -> None:
    classes = Classes(("a", "b"), ("a", "b"))
    config = TrainConfig(arch="vit_b_16", image_size=96)
    card = model_card(TrainedModel(torch.nn.Identity(), classes, config, tmp_path, 1), "pth")
    assert "vit_b_16(num_classes=2, image_size=96)" in card


def test_timm_makes_the_model_from_the_folder(
    resnet_run: Path, tmp_path: Path, resnet_tiny: Callable[..., tuple[int, str, str]]
) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    assert resnet_tiny("export", resnet_run, "--format", "safetensors", "--out", "out")[0] == 0
    theirs = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    trained = load_run(resnet_run)
    assert torch.allclose(logits_of(theirs), logits_of(trained.model), atol=1e-5)
    config = timm.data.resolve_data_config(model=theirs)
    assert tuple(config["input_size"]) == (3, 64, 64) and config["crop_pct"] == 0.875
    assert theirs.pretrained_cfg["label_names"] == list(trained.classes.names)
