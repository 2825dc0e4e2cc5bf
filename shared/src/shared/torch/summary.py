"""What `summary.json` says of every torch run: the fields are the same in all packages, the metrics each task's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from shared.runs.run_directory import RunDirectory, versions
from shared.torch.config import LoopConfig
from shared.torch.position import Outcome


def write_summary(
    run: RunDirectory,
    config: LoopConfig,
    outcome: Outcome,
    *,
    task: str,
    data: Mapping[str, Any],
    model: nn.Module,
    device: torch.device,
    metrics: Mapping[str, Any],
    unit: str,
    highest: bool = False,
    packages: Iterable[str] = (),
) -> None:
    """Write `summary.json`, with which a run has ended.

    Parameters
    ----------
    run : RunDirectory
    config : LoopConfig
    outcome : Outcome
        What `Training.fit` returned.
    task : str
    data : mapping
        Name, checksum of the listing, sizes.
    model : nn.Module
    device : torch.device
    metrics : mapping
        What was measured on valid and test, by name.
    unit : str
        What the loss counts, in the plural: `tokens`, `pairs`, `images`.
    highest : bool
        The best checkpoint has the highest metric.
    packages : iterable of str
        Further packages whose versions matter.
    """
    best = run.checkpoints.best(highest=highest)
    run.write_summary(
        {
            "task": task,
            "recipe": config.recipe,
            "seed": config.seed,
            "data": dict(data),
            "device": device_name(device),
            "weights": sum(weight.numel() for weight in model.parameters()),
            "steps": outcome.steps,
            "epochs": outcome.epochs,
            "best_step": best.step if best else None,
            "seconds": round(outcome.seconds, 3),
            f"{unit}_per_second": _per_second(run.metrics.records()),
            "metrics": dict(metrics),
            "versions": versions(("numpy", "torch", "accelerate", *packages)),
        }
    )


def _per_second(records: Iterable[Mapping[str, Any]]) -> int | None:
    """Return what all updates counted by the seconds that they took; None where no line of the log has a speed."""
    count = seconds = 0.0
    before = 0
    for line in records:
        if "per_second" in line:
            spent = (line["step"] - before) * line["step_seconds"]
            count += spent * line["per_second"]
            seconds += spent
            before = line["step"]
    return round(count / seconds) if seconds else None


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or the kind of processor with its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    count = torch.get_num_threads()
    return f"{device.type.upper()}, {count} thread{'s' * (count > 1)}"
