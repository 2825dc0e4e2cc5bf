"""Trained models as ONNX files, checked with onnxruntime before they are handed over.

    def export(trained: TrainedModel, out: Path) -> float:
        def write(folder: Path) -> None:
            export_module(model, (ids, lengths), folder / MODEL, ["ids", "lengths"], ["probabilities"], axes)
            trained.vocabulary.save(folder / "vocab.txt")

        return write_checked(
            out, write, lambda session: largest_difference(session, cases),
            package="dltasks-demo", version=__version__, figure="probabilities",
        )

The folder appears only when onnxruntime gives torch's figures for the inputs that the task chose.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.errors import UserError
from shared.extras import require
from shared.files import require_empty, whole_folder

MODEL = "model.onnx"
TOLERANCE = 1e-4
"""Largest difference that is accepted between a figure of onnxruntime and torch's."""
_PROTOBUF_BYTES = 1_900_000_000
"""Weights above this go into a file beside the model: a protobuf message holds 2 GB at most."""


def require_onnx(package: str, *, is_traced: bool = True) -> None:
    """Check that what writes and checks ONNX files is installed.

    Parameters
    ----------
    package : str
        Distribution whose extra `onnx` has it.
    is_traced : bool
        torch's exporter is used, which needs onnxscript too.

    Raises
    ------
    UserError
        Naming what is missing, and the command that installs it.
    """
    modules = ("onnx", "onnxruntime") + (("onnxscript",) if is_traced else ())
    require(modules, package, "onnx", "ONNX files need")


def write_checked(
    out: Path,
    write: Callable[[Path], Any],
    check: Callable[[Any], float],
    *,
    package: str,
    version: str,
    figure: str,
    tolerance: float = TOLERANCE,
    facts: Mapping[str, str] | None = None,
) -> float:
    """Write a folder with `model.onnx` and what belongs to it, unless onnxruntime disagrees with torch.

    Parameters
    ----------
    out : Path
        Folder, new or empty.
    write : callable
        Takes a folder and writes `model.onnx` and the task's files into it.
    check : callable
        Takes onnxruntime's session and returns the largest difference of a figure to torch's.
    package, version : str
        Distribution and its version, for the file's metadata.
    figure : str
        What is compared, in the plural: "probabilities".
    tolerance : float
    facts : mapping of str to str, optional
        Further metadata of the file, for example the task's recipe.

    Returns
    -------
    float
        The largest difference.

    Raises
    ------
    UserError
        The folder is not empty, onnxruntime cannot read the file, or the difference is above `tolerance`.
    """
    require_empty(out)
    with whole_folder(out) as folder:
        write(folder)
        path = folder / MODEL
        _note(
            path,
            {"package": package, "version": version, "torch": torch.__version__, **(facts or {})},
        )
        try:
            session = open_session(path)
        except Exception as error:  # onnxruntime's own kinds, which it does not export
            raise UserError(
                f"onnxruntime cannot read what torch {torch.__version__} wrote ({' '.join(str(error).split())}). "
                "Nothing was written; newer versions of torch, onnxscript and onnxruntime may do."
            ) from error
        difference = check(session)
        if not difference <= tolerance:
            raise UserError(
                f"onnxruntime's {figure} differ from torch's by {difference:.1e}, more than {tolerance:.0e}. "
                "Nothing was written; report the versions of torch and onnxruntime."
            )
    return difference


def export_module(
    model: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]] | None = None,
    *,
    has_lstm: bool = False,
) -> None:
    """Write a module as ONNX.

    Parameters
    ----------
    model : nn.Module
    example : tuple of tensors
        Inputs with which the model is run once.
    path : Path
    inputs, outputs : sequence of str
        Names in the file, in the order of `forward`.
    axes : mapping, optional
        Dimensions of any size, by input and number: `{"ids": {0: "batch", 1: "time"}}`.
    has_lstm : bool
        Use the exporter that writes `nn.LSTM` as ONNX's own LSTM. The newer one unrolls it, for one length.
    """
    options: dict[str, Any] = {"input_names": list(inputs), "output_names": list(outputs)}
    axes = axes or {}
    if has_lstm:
        options |= {"dynamo": False, "dynamic_axes": {name: dict(a) for name, a in axes.items()}}
        _write(model, example, path, options)
        return
    weights = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    options |= {"dynamo": True, "verbose": False, "external_data": weights > _PROTOBUF_BYTES}
    if not axes:
        _write(model, example, path, options)
        return
    names = sorted({name for a in axes.values() for name in a.values()})

    def with_free(free: Mapping[str, Any]) -> dict[str, Any]:
        shapes = tuple({number: free[n] for number, n in axes.get(i, {}).items()} for i in inputs)
        return options | {"dynamic_shapes": shapes}

    try:
        named = {name: torch.export.Dim(name, min=1) for name in names}
        _write(model, example, path, with_free(named))
    except Exception:  # torch 2.6 finds limits that are none, and refuses; the caller checks sizes
        _write(model, example, path, with_free(dict.fromkeys(names, torch.export.Dim.AUTO)))


def _write(model: nn.Module, example: tuple[Tensor, ...], path: Path, options: Any) -> None:
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter's own warnings are about its own parts: that torchvision is not installed, for example.
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            torch.onnx.export(model.eval(), example, str(path), **options)
        finally:
            log.setLevel(level)


def save_graph(model: Any, path: Path) -> None:
    """Write an `onnx.ModelProto` that was made node by node, after ONNX's own check."""
    import onnx

    is_large = model.ByteSize() > _PROTOBUF_BYTES
    onnx.save(model, str(path), save_as_external_data=is_large, location=f"{path.name}.data")
    onnx.checker.check_model(str(path))


def open_session(path: Path) -> Any:
    """Return onnxruntime's session of a file, on the CPU."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; a warning is about what the exporter has left over
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def largest_difference(
    session: Any,
    cases: Iterable[tuple[Mapping[str, NDArray[Any]], Sequence[NDArray[Any]]]],
) -> float:
    """Return how far onnxruntime's outputs are from torch's.

    Parameters
    ----------
    session : InferenceSession
    cases : iterable of (inputs by name, torch's outputs)
        Batches of several sizes: a file that was made for one size fails on another.

    Returns
    -------
    float
        The largest absolute difference; NaN where one of them is NaN.
    """
    differences = [
        np.abs(np.asarray(theirs, dtype=np.float64) - ours).max()
        for inputs, expected in cases
        for theirs, ours in zip(session.run(None, dict(inputs)), expected, strict=True)
    ]
    return float(np.max(differences))


def _note(path: Path, facts: Mapping[str, str]) -> None:
    """Write what a file is into its metadata; weights beside it stay where they are."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    onnx.helper.set_model_props(model, {name: str(value) for name, value in facts.items()})
    path.write_bytes(model.SerializeToString())
