"""A trained model as an ONNX file, checked with onnxruntime.

Input `pixels` uint8 (B, side, side, 3), RGB, as decoders give it: normalization and the middle that is shown are part
of the file, so nobody has to repeat them. Output `logits` float32 (B, classes), classes in the order of classes.json.
B is free.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from resnet_tiny.commands.options import ExportOptions
from resnet_tiny.data.transforms import DEVIATION, MEAN, middle
from resnet_tiny.model.trained import TrainedModel, load_run, save_classes
from shared.errors import UserError
from shared.files import whole_folder

TOLERANCE = 1e-3
"""Largest difference between onnxruntime's logits and torch's."""


def run(options: ExportOptions) -> int:
    """Write a run's model as ONNX (verb `export`)."""
    trained = load_run(options.model, checkpoint=options.checkpoint)
    out = Path(options.out) if options.out else trained.path / "onnx"
    worst = export(trained, out)
    print(f"{out}: model.onnx and classes.json. onnxruntime's logits are torch's to {worst:.1e}.")
    return 0


def export(trained: TrainedModel, out: Path) -> float:
    """Write `model.onnx` and `classes.json`, and check what onnxruntime makes of them.

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
        A package is missing, the folder is not empty, or the difference is above `TOLERANCE`.
    """
    wanted = ("onnx", "onnxruntime", "onnxscript")
    if missing := [name for name in wanted if importlib.util.find_spec(name) is None]:
        raise UserError(
            f'{", ".join(missing)} not installed. Run: pip install "dltasks-resnet-tiny[onnx]"'
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is not empty. Choose another --out.")
    side = trained.config.side
    plain = trained.model.to(memory_format=torch.contiguous_format).cpu()
    model = _FromBytes(plain, trained.config.evaluation_crop).eval()
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, side, side, 3), generator=random, dtype=torch.uint8)
    with whole_folder(out) as folder:
        path = folder / "model.onnx"
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's own, about its own parts
            torch.onnx.export(
                model,
                (pixels[:2],),
                str(path),
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=["pixels"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            )
        save_classes(folder, trained.classes)
        worst = largest_difference(path, model, pixels)
        if not worst <= TOLERANCE:
            raise UserError(
                f"onnxruntime's logits differ from torch's by {worst:.1e}, more than {TOLERANCE:.0e}. "
                "Nothing was written; report the versions of torch and onnxruntime."
            )
    return worst


def largest_difference(path: Path, model: nn.Module, pixels: Tensor) -> float:
    """Return how far onnxruntime's logits are from torch's, in batches of one and of all."""
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (pixels[:1], pixels):
        with torch.no_grad():
            expected = model(batch).numpy()
        (found,) = session.run(None, {"pixels": batch.numpy()})
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


class _FromBytes(nn.Module):
    """A model that takes bytes."""

    def __init__(self, model: nn.Module, crop: float) -> None:
        super().__init__()
        self.model, self.crop = model, crop
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1) * 255)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1) * 255)

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.permute(0, 3, 1, 2).float()
        images = (images - self.get_buffer("mean")) / self.get_buffer("deviation")
        return self.model(middle(images, self.crop))
