"""Pretrained weights as a model's initial ones: torchvision's by name, or a file.

Names may be wrapped as other programs wrap them (`{"state_dict": ...}`, `{"model": ...}`, `module.` before each name).
This is another track than training from scratch, and `summary.json` says which one a run is on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from resnet_tiny.data.listing import Classes
from resnet_tiny.model.trained import CLASSES, find_checkpoint, read_saved_classes
from shared.errors import UserError
from shared.runs.run_directory import RunDirectory
from shared.torch.checkpoint import MODEL, load_tensors

WRAPPERS = (
    *("state_dict", "model", "model_state_dict", "net", "weights"),
    *("model_ema", "state_dict_ema", "ema"),
)
"""Keys below which training programs keep the weights."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")
"""What wrappers put before every name: DataParallel and DDP, torch.compile, Lightning, and others."""


@dataclass(frozen=True)
class Loaded:
    """What became of pretrained weights.

    Parameters
    ----------
    loaded : int
        Parameters and buffers of the model that were filled.
    new : tuple of str
        Those that keep their initial values: the last layer, as a rule.
    unused : tuple of str
        Names in the file that the model has no place for.
    classes : str
        How many classes of the last layer were filled, where the weights' classes are known.
    """

    loaded: int
    new: tuple[str, ...]
    unused: tuple[str, ...]
    classes: str = ""

    def text(self) -> str:
        """Return a line for people."""
        line = f"{self.loaded} tensors loaded, new: {_names(self.new)}"
        line += f"; {self.classes}" if self.classes else ""
        return line + (f"; not used: {_names(self.unused)}" if self.unused else "")


def load_pretrained(
    model: nn.Module, arch: str, name: str, classes: Classes | None = None
) -> Loaded:
    """Fill a model with pretrained weights.

    The last layer stays as it is where the number of classes differs. Where the weights are of a run, whose classes are
    known, it is filled class by class instead: what both have is copied, whatever its number, and the rest is new.

    Parameters
    ----------
    model : nn.Module
    arch : str
        Its name in torchvision.
    name : str
        Name of torchvision's weights for it, which torchvision downloads once, or a .safetensors or .pth file.
    classes : Classes, optional
        What the model is to tell apart.

    Raises
    ------
    UserError
        There are no such weights, they cannot be downloaded, the file is damaged, or it is of another model.
    """
    path = Path(name)
    is_file = path.suffix in (".safetensors", ".pth", ".pt") or path.is_file()
    values = _from_file(path) if is_file else _from_torchvision(arch, name)
    is_ours = classes is not None and (path.parent / CLASSES).is_file()
    known = read_saved_classes(path.parent) if is_ours else None
    return _fill_by_class(model, values, f"--weights {name}", arch, classes, known)


def load_initial(model: nn.Module, arch: str, run: str, classes: Classes) -> Loaded:
    """Fill a model with the weights of a run, the last layer class by class as in `load_pretrained`.

    Raises
    ------
    UserError
        It is not a run, or one of another model.
    """
    folder = find_checkpoint(RunDirectory.read(run, task="resnet-tiny"), "best").folder
    values, known = _from_file(folder / MODEL), read_saved_classes(folder)
    return _fill_by_class(model, values, f"--init {run}", arch, classes, known)


def _fill_by_class(
    model: nn.Module,
    values: Mapping[str, Tensor],
    what: str,
    arch: str,
    classes: Classes | None,
    known: Classes | None,
) -> Loaded:
    """Fill a model; where the classes of the weights are known, its last layer by their names."""
    if classes is None or known is None:
        return fill(model, values, what, arch)
    head, rest = last_layer(model), dict(values)
    old = {key: rest.pop(key) for key in list(rest) if key.startswith(head)}
    loaded = fill(model, rest, what, arch)
    shared_ids = [one for one in classes.ids if one in known.ids]
    _copy_classes(model.state_dict(), old, classes.ids, known.ids)
    is_filled = len(shared_ids) == len(classes)
    return Loaded(
        loaded.loaded + (len(old) if shared_ids else 0),
        () if is_filled else loaded.new,
        loaded.unused,
        f"{len(shared_ids)} of {len(classes)} classes known",
    )


def fill(model: nn.Module, values: Mapping[str, Tensor], what: str, arch: str) -> Loaded:
    """Copy weights into a model by name; all but those of the last layer must fit.

    Parameters
    ----------
    model : nn.Module
    values : mapping of str to Tensor
    what : str
        How the message names the weights.
    arch : str
        The model's name.

    Raises
    ------
    UserError
        Weights that are not of the last layer are missing or of another shape.
    """
    own = model.state_dict()
    values = _without_prefix(values, own)
    fitting = {k: v for k, v in values.items() if k in own and own[k].shape == v.shape}
    # Counters of batch norm are not in weights from before torch 0.4.1, and nothing depends on them.
    new = [k for k in own if k not in fitting and not k.endswith("num_batches_tracked")]
    unused = [k for k in values if k not in fitting]
    head = last_layer(model)
    strangers = [k for k in new if not k.startswith(head)]
    # Auxiliary heads exist in training only, and weights of a whole model may have them.
    surplus = [k for k in unused if k not in own and "aux" not in k.lower()]
    if strangers or surplus:
        first = strangers[0] if strangers else surplus[0]
        shapes = ""
        if first in own and first in values:
            shapes = f": {tuple(values[first].shape)} where the model has {tuple(own[first].shape)}"
        counts = f"{len(fitting)} of the model's {len(own)} tensors fit"
        raise UserError(
            f"{what}: is not of --arch {arch} ({first}{shapes}; {counts}). Name weights of that model, with "
            "the same --stem."
        )
    model.load_state_dict(fitting, strict=False)
    return Loaded(len(fitting), tuple(new), tuple(unused))


def last_layer(model: nn.Module) -> str:
    """Return the name of the layer that gives the logits, with a dot behind it."""
    layers = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    return f"{layers[-1]}."


def _copy_classes(
    own: Mapping[str, Tensor], old: Mapping[str, Tensor], ids: Sequence[str], known: Sequence[str]
) -> None:
    """Copy the rows of the last layer that belong to classes which both models have."""
    rows = {one: row for row, one in enumerate(known)}
    pairs = [(row, rows[one]) for row, one in enumerate(ids) if one in rows]
    for key, values in old.items():
        if key in own and own[key].shape[1:] == values.shape[1:]:
            for row, old_row in pairs:
                own[key][row] = values[old_row]


def _without_prefix(values: Mapping[str, Tensor], own: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return weights without what wrappers put before every name."""
    names = dict(values)
    for _ in PREFIXES:  # one inside the other, at the most so many
        prefix = next((p for p in PREFIXES if names and all(k.startswith(p) for k in names)), None)
        if prefix is None or any(key in own for key in names):
            break
        names = {key[len(prefix) :]: value for key, value in names.items()}
    return names


def _from_file(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise UserError(f"--weights {path}: not found. Expected a .safetensors or .pth file.")
    if path.suffix == ".safetensors":
        try:
            return load_file(str(path))
        except SafetensorError as error:
            raise UserError(f"--weights {path}: is damaged ({error}). Get it again.") from None
    values = load_tensors(path)
    for _ in WRAPPERS:
        if isinstance(values, dict):
            inner = (values[key] for key in WRAPPERS if isinstance(values.get(key), dict))
            values = next(inner, values)
    tensors = values.items() if isinstance(values, dict) else ()
    kept = {str(key): value for key, value in tensors if isinstance(value, Tensor)}
    kept.pop("n_averaged", None)  # of torch's AveragedModel
    if not kept:
        raise UserError(
            f"--weights {path}: holds no weights by name. Expected a state_dict, alone or below one of: "
            f"{', '.join(WRAPPERS)}."
        )
    return kept


def _from_torchvision(arch: str, name: str) -> Mapping[str, Tensor]:
    import torchvision.models as models  # build_model has made it importable

    known = models.get_model_weights(arch)
    names = [member.name for member in known]
    if name not in (*names, "DEFAULT"):
        raise UserError(
            f"--weights {name} does not exist for {arch}. Expected DEFAULT, {', '.join(names)}, or a file."
        )
    chosen = known.DEFAULT if name == "DEFAULT" else known[name]
    try:
        return chosen.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except OSError as error:  # urllib's errors are OSErrors
        raise UserError(
            f"--weights {name}: cannot be downloaded ({error}). Download {chosen.url} and name the file instead."
        ) from None


def _names(names: tuple[str, ...]) -> str:
    if not names:
        return "nothing"
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
