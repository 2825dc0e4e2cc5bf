"""Torchvision's weights, or weights from a file, as a model's first ones; layers of another shape keep their own.

This is another track than training from scratch, and `summary.json` says which one a run is on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from shared.errors import UserError
from shared.torch.checkpoint import load_tensors


def load_pretrained(model: nn.Module, arch: str, name: str) -> list[str]:
    """Put weights into a model where names and shapes fit.

    Parameters
    ----------
    model : nn.Module
    arch : str
        Its name in torchvision.
    name : str
        Name of torchvision's weights for it, which torchvision downloads once, or a .safetensors or .pth file.

    Returns
    -------
    list of str
        Parameters and buffers that keep their first values: the last layer, as a rule, and a stem of another shape.

    Raises
    ------
    UserError
        There are no such weights, they cannot be downloaded, the file is damaged, or nothing in it fits.
    """
    is_file = Path(name).suffix in (".safetensors", ".pth", ".pt") or Path(name).is_file()
    values = _from_file(Path(name)) if is_file else _from_torchvision(arch, name)
    own = model.state_dict()
    fitting = {
        key: value for key, value in values.items() if key in own and own[key].shape == value.shape
    }
    if not fitting:
        raise UserError(
            f"--weights {name}: nothing in it fits --arch {arch}. Name weights of that model."
        )
    model.load_state_dict(fitting, strict=False)
    return [key for key in own if key not in fitting]


def _from_file(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise UserError(f"--weights {path}: not found. Expected a .safetensors or .pth file.")
    if path.suffix == ".safetensors":
        try:
            return load_file(str(path))
        except SafetensorError as error:
            raise UserError(f"--weights {path}: is damaged ({error}). Get it again.") from None
    values = load_tensors(path)
    inner = values.get("state_dict", values) if isinstance(values, dict) else {}
    return {key: value for key, value in inner.items() if isinstance(value, Tensor)}


def _from_torchvision(arch: str, name: str) -> Mapping[str, Tensor]:
    import torchvision.models as models  # build_model has made it importable

    kinds = models.get_model_weights(arch)
    names = [member.name for member in kinds]
    if name not in (*names, "DEFAULT"):
        raise UserError(
            f"--weights {name} does not exist for {arch}. Expected DEFAULT, {', '.join(names)}, or a file."
        )
    chosen = kinds.DEFAULT if name == "DEFAULT" else kinds[name]
    try:
        return chosen.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except OSError as error:  # urllib's errors are OSErrors
        raise UserError(
            f"--weights {name}: cannot be downloaded ({error}). Download {chosen.url} and name the file instead."
        ) from None
