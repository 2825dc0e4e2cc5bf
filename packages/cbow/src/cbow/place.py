"""Where a run stands, and how that lies in a checkpoint.

Weights and place are the whole state of a run; see `train.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import UserError
from shared.runs.checkpoints import Checkpoint
from shared.runs.run_directory import RunDirectory

WEIGHTS = "weights.safetensors"


@dataclass
class Place:
    """Where training stands, and what it has measured so far."""

    processes: int = 1
    """Processes that train together; another number would go on to other weights."""
    member: int = 0
    """Models done: 0 while the first is trained, 1 while its twin is."""
    epoch: int = 0
    """Epochs of this member done."""
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
    """Samples of all epochs and members."""
    seconds: float = 0.0
    """Spent training, before and after a resume."""


def save(
    run: RunDirectory, place: Place, U: NDArray[Any], V: NDArray[Any], listing: dict[str, Any]
) -> None:
    """Write a checkpoint; `listing` is the name and checksum of the data."""
    arrays = {"U": U, "V": V}
    if place.control is not None:
        arrays["control"] = place.control

    def write(folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file(arrays, folder / WEIGHTS)

    facts = {name: value for name, value in vars(place).items() if name != "control"}
    run.checkpoints.save(place.all_samples, write, **facts, data=listing)


def restore(
    run: RunDirectory, checkpoint: Checkpoint, listing: dict[str, Any], processes: int
) -> tuple[NDArray[Any], NDArray[Any], Place]:
    """Return the weights U and V of a checkpoint and its place; later records leave the log.

    Raises
    ------
    UserError
        It was made from other data, or by another number of processes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    facts = dict(checkpoint.facts)
    data = facts.pop("data", None)
    if not isinstance(data, dict):
        raise UserError(
            f"{checkpoint.folder}: is no checkpoint of cbow. Restore it or train again."
        )
    if data != listing:
        raise UserError(
            f"{run.path}: was trained on {data['name']} with other content (sha256 of the listing "
            f"{data['sha256'][:12]}..., now {listing['sha256'][:12]}...). Give the same --data."
        )
    try:
        arrays = load_file(checkpoint.folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{checkpoint.folder / WEIGHTS}: cannot be read ({error}). Restore it or train again."
        ) from None
    place = Place(**facts, control=arrays.get("control"))
    if place.processes != processes:
        raise UserError(
            f"{run.path}: was trained by {place.processes} process(es), and now there are {processes}. "
            f"Go on with: {command(place.processes)} --out {run.path} --resume"
        )
    # Not by the number of samples: a run that was stopped after the last sample of an epoch, but before its record, and
    # killed after it, would have that record twice.
    reached = (place.member, place.epoch)
    run.metrics.keep(lambda record: (record.get("member", 0), record.get("epoch", 0)) <= reached)
    return arrays["U"], arrays["V"], place


def command(processes: int) -> str:
    """Return what starts training in so many processes."""
    return "cbow train" if processes == 1 else f"mpirun -n {processes} cbow train"
