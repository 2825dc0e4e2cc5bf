"""The state of a training run, and how it lies in a checkpoint.

Configuration, weights and `TrainingState` are all of it: random draws are a pure function of seed and position.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.model.trained import WEIGHTS, read_arrays
from shared.errors import UserError
from shared.files import shell_quoted
from shared.runs.checkpoints import Checkpoint
from shared.runs.run_directory import RunDirectory


@dataclass
class TrainingState:
    """The position in the training, and the sums measured so far."""

    processes: int = 1
    """Processes that train together; another number would give other weights."""
    model: int = 0
    """Models trained to the end: 0 while the first is trained, 1 while its twin is."""
    epoch: int = 0
    """Epochs of this model done."""
    block: int = 0
    """Start of the current block in the encoded corpus."""
    control: NDArray[np.int64] | None = None
    """Positions of the threads, or of the processes, in the current block; None: at its start."""
    loss: float = 0.0
    """Sum over the samples of this epoch."""
    samples: int = 0
    """Samples of this epoch."""
    words: int = 0
    """Words trained on in this epoch."""
    all_samples: int = 0
    """Samples of all epochs and models."""
    seconds: float = 0.0
    """Time spent training, before and after a resume."""


def model_of(record: dict[str, Any]) -> int:
    """Return the model that a record of `metrics.jsonl` is about; older runs call it `member`."""
    return record.get("model", record.get("member", 0))


def save(
    run: RunDirectory,
    state: TrainingState,
    U: NDArray[Any],
    V: NDArray[Any],
    listing: dict[str, Any],
) -> None:
    """Write a checkpoint; `listing` is the name and checksum of the data."""
    arrays = {"U": U, "V": V}
    if state.control is not None:
        arrays["control"] = state.control

    def write(folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file(arrays, folder / WEIGHTS)

    facts = {name: value for name, value in vars(state).items() if name != "control"}
    run.checkpoints.save(state.all_samples, write, **facts, data=listing)


def restore(
    run: RunDirectory, checkpoint: Checkpoint, listing: dict[str, Any], processes: int
) -> tuple[NDArray[Any], NDArray[Any], TrainingState]:
    """Return the weights U and V of a checkpoint and its state; later records leave the log.

    Raises
    ------
    UserError
        It was made from other data, or by another number of processes.
    """
    facts = dict(checkpoint.facts)
    data = facts.pop("data", None)
    if not isinstance(data, dict):
        raise UserError(
            f"{checkpoint.folder}: is no checkpoint of cbow. Restore it or train again."
        )
    if data["sha256"] != listing["sha256"]:  # its name may be another
        raise UserError(
            f"{run.path}: was trained on {data['name']} with other content (sha256 "
            f"{data['sha256'][:12]}..., now {listing['sha256'][:12]}...). Give the same --data."
        )
    arrays = read_arrays(checkpoint.folder / WEIGHTS)
    if "member" in facts:  # an older checkpoint
        facts["model"] = facts.pop("member")
    state = TrainingState(**facts, control=arrays.get("control"))
    if state.processes != processes:
        raise UserError(
            f"{run.path}: was trained by {state.processes} process(es), and now there are {processes}. "
            f"Resume it with: {command(state.processes)} --out {shell_quoted(run.path)} --resume"
        )
    # Not by the number of samples: a run that was stopped after the last sample of an epoch, but before its record, and
    # killed after it, would have that record twice.
    done = (state.model, state.epoch)
    run.metrics.keep(lambda record: (model_of(record), record.get("epoch", 0)) <= done)
    return arrays["U"], arrays["V"], state


def command(processes: int) -> str:
    """Return the command that starts training in so many processes."""
    return "cbow train" if processes == 1 else f"mpirun -n {processes} cbow train"
