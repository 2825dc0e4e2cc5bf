"""The verb `export`: a trained model for other programs, with its classes and a model card.

ONNX: input `pixels` uint8 (B, size, size, 3), RGB, as decoders give it: normalization and center crop are part of the
file, so nobody has to repeat them. Output `logits` float32 (B, classes), in the order of classes.json. B is free.

safetensors, pth: torchvision's state_dict of the same architecture, with a config.json that timm reads where it has
that network too.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from resnet_tiny import __version__
from resnet_tiny.commands.model_card import model_card, timm_config
from resnet_tiny.commands.options import ExportOptions
from resnet_tiny.data.transforms import MEAN, STD, center_crop
from resnet_tiny.model.trained import TrainedModel, load_run, save_classes
from shared.files import require_empty, whole_folder, write_json
from shared.torch.onnx_export import (
    MODEL,
    export_module,
    largest_difference,
    require_onnx,
    write_checked,
)

PACKAGE = "dltasks-resnet-tiny"
TOLERANCE = 1e-3
"""Largest difference between onnxruntime's logits and torch's that is taken for rounding..."""
RELATIVE_TOLERANCE = 1e-4
"""... or, as a fraction of the largest logit, where that is more: logits of a model after a few steps may be huge."""


def run(options: ExportOptions) -> int:
    """Write a run's model in another format (verb `export`)."""
    trained = load_run(options.run, checkpoint=options.checkpoint)
    out = Path(options.out) if options.out else trained.path / options.format
    if options.format == "onnx":
        difference = export(trained, out)
        print(
            f"{out}: model.onnx, classes.json, README.md. onnxruntime's logits are torch's to {difference:.1e}."
        )
        return 0
    names = export_weights(trained, out, options.format)
    print(f"{out}: {', '.join(names)}. README.md says how to load it.")
    return 0


def export_weights(trained: TrainedModel, out: Path, format: str) -> list[str]:
    """Write the weights by torchvision's names, classes, a model card and, where timm has the network, its config.json.

    Parameters
    ----------
    trained : TrainedModel
    out : Path
        Folder, new or empty.
    format : {"safetensors", "pth"}

    Returns
    -------
    list of str
        Names of the files.

    Raises
    ------
    UserError
        The folder is not empty.
    """
    require_empty(out)
    state = {
        name: value.detach().cpu().contiguous()
        for name, value in trained.model.state_dict().items()
    }
    with whole_folder(out) as folder:
        if format == "safetensors":
            save_file(state, str(folder / "model.safetensors"), metadata={"format": "pt"})
        else:
            torch.save(state, folder / "model.pth")
        save_classes(folder, trained.classes)
        if (config := timm_config(trained)) is not None:
            write_json(folder / "config.json", config)
        write_card(folder, model_card(trained, format))
    return sorted(path.name for path in out.iterdir())


def export(trained: TrainedModel, out: Path) -> float:
    """Write `model.onnx`, `classes.json` and a model card, checked with onnxruntime in batches of one and of three.

    Parameters
    ----------
    trained : TrainedModel
    out : Path
        Folder, new or empty.

    Returns
    -------
    float
        The largest difference of a logit.

    Raises
    ------
    UserError
        A package is missing, the folder is not empty, or the difference is above both tolerances.
    """
    require_onnx(PACKAGE)
    size = trained.config.image_size
    plain = trained.model.cpu()
    plain.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    model = _FromBytes(plain, trained.config.evaluation_crop).eval()
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, size, size, 3), generator=random, dtype=torch.uint8)

    with torch.no_grad():
        batches = [(batch, model(batch)) for batch in (pixels[:1], pixels)]

    def write(folder: Path) -> None:
        axes = {"pixels": {0: "batch"}}
        export_module(model, (pixels[:2],), folder / MODEL, ["pixels"], ["logits"], axes)
        save_classes(folder, trained.classes)
        write_card(folder, model_card(trained, "onnx"))

    def check(session: object) -> float:
        cases = [({"pixels": batch.numpy()}, [logits.numpy()]) for batch, logits in batches]
        return largest_difference(session, cases)

    return write_checked(
        out,
        write,
        check,
        package=PACKAGE,
        version=__version__,
        figure="logits",
        tolerance=max(TOLERANCE, RELATIVE_TOLERANCE * float(batches[1][1].abs().max())),
        facts={"architecture": trained.config.arch},
    )


def write_card(folder: Path, card: str) -> None:
    """Write a model card; names of classes may be of folders whose names are not UTF-8."""
    (folder / "README.md").write_text(card, encoding="utf-8", errors="backslashreplace")


class _FromBytes(nn.Module):
    """The model with normalization and center crop before it: bytes in, logits out."""

    def __init__(self, model: nn.Module, crop: float) -> None:
        super().__init__()
        self.model, self.crop = model, crop
        self.register_buffer("channel_mean", torch.tensor(MEAN).view(3, 1, 1) * 255)
        self.register_buffer("channel_std", torch.tensor(STD).view(3, 1, 1) * 255)

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.permute(0, 3, 1, 2).float()  # (B, 3, size, size)
        images = (images - self.get_buffer("channel_mean")) / self.get_buffer("channel_std")
        return self.model(center_crop(images, self.crop))
