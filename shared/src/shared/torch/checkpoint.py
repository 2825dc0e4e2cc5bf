"""What a checkpoint of a torch run holds, written through `shared.runs.checkpoints`.

    step-00001000/
        manifest.json        position, plan, history, sha256 of the files
        model.safetensors    the weights to use: those that were evaluated
        trained.safetensors  the weights to continue from, where the ones above are an average
        training.pt          optimizers, average, as tensors and plain values
        process-0.pt ...     each process' random states and the task's own state
        ...                  what the task adds: vocabulary, configuration

Nothing is unpickled: weights are safetensors, the rest is read with `weights_only=True`, which refuses all else.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from shared.errors import UserError
from shared.runs.checkpoints import Checkpoint, Checkpoints
from shared.torch.averaging import WeightAverage
from shared.torch.device import random_states, set_random_states
from shared.torch.processes import of_all

MODEL = "model.safetensors"
TRAINED = "trained.safetensors"
TRAINING = "training.pt"


def save_checkpoint(
    checkpoints: Checkpoints,
    accelerator: Any,
    model: nn.Module,
    optimizers: Sequence[Any],
    *,
    step: int,
    facts: dict[str, Any],
    average: WeightAverage | None = None,
    state: Any = None,
    extras: Callable[[Path], None] | None = None,
    metric: float | None = None,
    names: Sequence[str | None] = (None,),
) -> None:
    """Write checkpoints of one moment; every process must call it, the first one writes.

    Parameters
    ----------
    checkpoints : Checkpoints
    accelerator : Accelerator
    model : nn.Module
        Unwrapped. Tied weights are written once.
    optimizers : sequence of optimizers
    step : int
    facts : dict
        Small JSON values, for the manifest.
    average : WeightAverage, optional
    state : object with `state_dict`, optional
        The task's own, of each process.
    extras : callable, optional
        Takes the folder and writes the task's files into it.
    metric : float, optional
        The metric of these weights, measured at this step.
    names : sequence of str or None
        A checkpoint is written under each; None: `step-N`.

    Raises
    ------
    UserError
        A weight is not finite, or a file cannot be written. Earlier checkpoints are untouched.
    """
    _refuse_non_finite(
        model, step
    )  # by every process alike: the weights are the same in all of them
    own = {"random": random_states(), "state": state.state_dict() if state is not None else None}
    per_process = of_all(accelerator, _to_cpu(own))
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        return
    training = {
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "average": average.state_dict() if average is not None else None,
    }

    def write(folder: Path) -> None:
        if average is None:
            _written(folder / MODEL, lambda path: save_model(model, str(path)))
        else:
            _written(folder / TRAINED, lambda path: save_model(model, str(path)))
            with average.applied():
                _written(folder / MODEL, lambda path: save_model(model, str(path)))
        _written(folder / TRAINING, partial(torch.save, training))
        for rank, values in enumerate(per_process):
            _written(folder / f"process-{rank}.pt", partial(torch.save, values))
        if extras is not None:
            extras(folder)

    facts = {**facts, "processes": accelerator.num_processes}
    for name in names:
        checkpoints.save(step, write, metric=metric, name=name, **facts)
    accelerator.wait_for_everyone()


def load_checkpoint(
    checkpoint: Checkpoint,
    accelerator: Any,
    model: nn.Module,
    optimizers: Sequence[Any],
    *,
    start_average: Callable[[], WeightAverage],
    state: Any = None,
) -> WeightAverage | None:
    """Put a run back to where a checkpoint was written.

    Returns
    -------
    WeightAverage or None
        The average, if the run had one, made by `start_average` and filled.

    Raises
    ------
    UserError
        The model does not fit, the number of processes is another, or a file holds something else than tensors and
        plain values.
    """
    folder, before = checkpoint.folder, checkpoint.facts.get("processes")
    if before != accelerator.num_processes:
        raise UserError(
            f"{folder}: was written by {before} process(es), now there are {accelerator.num_processes}. "
            "Resume with the same number."
        )
    trained = folder / TRAINED
    _load_model(trained if trained.exists() else folder / MODEL, model)
    training = load_tensors(folder / TRAINING)
    if len(training["optimizers"]) != len(optimizers):
        raise UserError(f"{folder}: holds another number of optimizers. Train into another --out.")
    for optimizer, values in zip(optimizers, training["optimizers"], strict=True):
        try:
            optimizer.load_state_dict(values)
        except ValueError as error:
            raise UserError(
                f"{folder / TRAINING}: does not fit the optimizer ({error}). Train into another --out."
            ) from None
    average = None
    if training["average"] is not None:
        average = start_average()
        average.load_state_dict(training["average"])
    own = load_tensors(folder / f"process-{accelerator.process_index}.pt")
    if state is not None:
        state.load_state_dict(own["state"])
    set_random_states(own["random"])
    return average


def require_same_data(
    run: Path, before: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> None:
    """Refuse to resume a run with other data.

    Parameters
    ----------
    run : Path
    before, now : mapping or None
        Facts of the data; an entry `name` may differ.

    Raises
    ------
    UserError
        Naming the first fact that differs.
    """
    old, new = dict(before or {}), dict(now or {})
    for name in sorted((old.keys() | new.keys()) - {"name"}):
        if old.get(name) != new.get(name):
            raise UserError(
                f"{run}: was trained on other data ({name}: {old.get(name)} -> {new.get(name)}). "
                "Give the same --data, or choose another --out."
            )


def load_weights(folder: Path, model: nn.Module) -> None:
    """Read the weights to use from a checkpoint's folder into a model on any device.

    Raises
    ------
    UserError
        They are not there, are damaged or do not fit.
    """
    _load_model(folder / MODEL, model)


def load_tensors(path: Path) -> Any:
    """Read tensors and plain values that `torch.save` wrote; anything else is refused and not executed.

    Raises
    ------
    UserError
        The file is missing, damaged, or holds something else.
    """
    try:
        with warnings.catch_warnings():
            # torch warns of pickles of other protocols, and then reads them as strictly as others.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: is missing. Restore it or train again.") from None
    except (OSError, MemoryError):
        raise
    except Exception:  # what damage makes of torch's reader: an AssertionError, an IndexError, ...
        raise UserError(
            f"{path}: is damaged or holds more than tensors and plain values, and was not loaded. "
            "Use a checkpoint that this program wrote."
        ) from None


def _load_model(path: Path, model: nn.Module) -> None:
    try:
        load_model(model, str(path))
    except FileNotFoundError:
        raise UserError(f"{path}: is missing. Restore it or train again.") from None
    except SafetensorError as error:
        raise UserError(f"{path}: is damaged ({error}). Restore it or train again.") from None
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        detail = next((line for line in lines[1:] if line), lines[0])
        raise UserError(
            f"{path}: does not fit the model ({detail}) Use the configuration and vocabulary it was trained with."
        ) from None


def _written(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file, and turn the writers' own errors, which speak of their insides, into one that users understand."""
    try:
        write(path)
    except (SafetensorError, RuntimeError):
        raise UserError(
            f"{path.parent.parent}: a checkpoint cannot be written (at {path.name}). Earlier ones are kept. "
            "Check that the disk has space, and continue with --resume."
        ) from None


def _refuse_non_finite(model: nn.Module, step: int) -> None:
    weights = [weight.detach() for weight in model.parameters() if weight.is_floating_point()]
    if (
        weights
        and not torch.stack([norm.float() for norm in torch._foreach_norm(weights)])
        .isfinite()
        .all()
    ):
        raise UserError(
            f"Step {step}: a weight is not finite, so nothing is saved; earlier checkpoints are kept. "
            "Lower the learning rate or set --clip-norm."
        )


def _to_cpu(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _to_cpu(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_cpu(item) for item in value)
    return value
