"""What goes beside exported weights: a model card for people, and timm's config.json."""

from __future__ import annotations

import json
from typing import Any

from resnet_tiny.data.transforms import MEAN, STD
from resnet_tiny.model.resnet import shape_options
from resnet_tiny.model.trained import TrainedModel

IN_TIMM = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2"),
    "wide_resnet101_2",
)  # fmt: skip
"""Networks that timm has under the same name, with the same names of weights."""

_SMALL_STEM = (
    "model.conv1 = torch.nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)",
    "model.maxpool = torch.nn.Identity()",
)
# torchvision's MNASNet reads no weights without a version, which files do not keep.
_MNASNET = (
    "state = collections.OrderedDict(state)",
    'state._metadata = {"": {"version": 2}}',
)


def timm_config(trained: TrainedModel) -> dict[str, Any] | None:
    """Return the config.json with which `timm.create_model("local-dir:FOLDER", pretrained=True)` makes the model.

    None where timm has no such network: another architecture, or the 3x3 stem.
    """
    config, size = trained.config, trained.config.image_size
    if config.arch not in IN_TIMM or config.stem != "7x7":
        return None
    return {
        "architecture": config.arch,
        "num_classes": len(trained.classes),
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": config.evaluation_crop,
            "crop_mode": "center",
            "mean": list(MEAN),
            "std": list(STD),
            "num_classes": len(trained.classes),
            "pool_size": None,
            "first_conv": "conv1",
            "classifier": "fc",
            "label_names": list(trained.classes.names),
        },
    }


def model_card(trained: TrainedModel, format: str) -> str:
    """Return a model card in Markdown: what the model is, how good it is, how to load it."""
    config, size, classes = trained.config, trained.config.image_size, trained.classes
    names = ", ".join(classes.names[:10]) + (", ..." if len(classes) > 10 else "")
    lines = [
        f"# {config.arch}, {len(classes)} classes, {size}x{size} pixels",
        "",
        f"Trained by `resnet-tiny train`{f' --recipe {config.recipe}' if config.recipe else ''}; weights of step "
        f"{trained.step}. Classes, in the order of the logits: classes.json ({names}).",
        "",
        *_figures(trained),
        *_loading(trained, format),
    ]
    return "\n".join(lines) + "\n"


def _figures(trained: TrainedModel) -> list[str]:
    try:
        summary = json.loads((trained.path / "summary.json").read_text(encoding="utf-8"))
        data, metrics = summary["data"], summary["metrics"]
        top1, top5 = metrics["val_top1"], metrics["val_top5"]
    except (OSError, ValueError, KeyError):
        return ["No figures: the run has not ended, or was made by an earlier version.", ""]
    has_top5 = top5 is not None  # more than five classes
    cell = f" {100 * top5:.2f} % |" if has_top5 else ""
    made_up = ", a made-up sample" if data["is_sample"] else ""
    return [
        f"| data | val top-1 |{' val top-5 |' * has_top5} images of val |",
        f"|---|---|---|{'---|' * has_top5}",
        f"| {data['name']}{made_up} | {100 * top1:.2f} % |{cell} {metrics['val_images']:,} |",
        "",
        f"The checkpoint was chosen on {metrics['chosen_on']}; started from: {metrics['starts_from']}.",
        "",
    ]


def _loading(trained: TrainedModel, format: str) -> list[str]:
    config, classes = trained.config, len(trained.classes)
    if format == "onnx":
        return [
            "Input `pixels`: uint8 (batch, height, width, 3), RGB, "
            f"{config.image_size}x{config.image_size}; normalization and center crop are inside. Output `logits`.",
        ]
    read = {
        "safetensors": 'safetensors.torch.load_file("model.safetensors")',
        "pth": 'torch.load("model.pth", weights_only=True)',
    }[format]
    options = "".join(
        f", {name}={value}" for name, value in shape_options(config.arch, config.image_size).items()
    )
    lines = [
        f"Input: RGB from 0 to 1, {config.image_size}x{config.image_size}, normalized by mean {MEAN} and standard "
        f"deviation {STD}; center crop {config.evaluation_crop:g} of the side, scaled back.",
        "",
        "The names are torchvision's:",
        "```python",
        *(["import collections"] if config.arch.startswith("mnasnet") else []),
        *(["import safetensors.torch"] if format == "safetensors" else []),
        "import torch",
        "import torchvision",
        "",
        f"model = torchvision.models.{config.arch}(num_classes={classes}{options})",
        *(_SMALL_STEM if config.stem == "3x3" else []),
        f"state = {read}",
        *(_MNASNET if config.arch.startswith("mnasnet") else []),
        "model.load_state_dict(state)",
        "```",
    ]
    if timm_config(trained) is not None and format == "safetensors":
        lines += [
            "And timm's:",
            "```python",
            "import timm",
            "",
            'model = timm.create_model("local-dir:" + FOLDER, pretrained=True)',
            "```",
        ]
    return lines
