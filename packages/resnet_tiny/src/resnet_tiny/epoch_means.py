"""Means over the epoch so far, as the coursework's program prints them, and its four TensorBoard curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from shared.runs.run_directory import RunDirectory
from shared.torch.journal import Curves
from shared.torch.position import Position

FOLDER = "epochs"
"""In the run's tensorboard folder: one point an epoch, at the epoch's number."""


class EpochMeans:
    """Sums over the batches of an epoch, on the device until they are read; part of every checkpoint.

    Parameters
    ----------
    run : RunDirectory
    accelerator : Accelerator
    """

    def __init__(self, run: RunDirectory, accelerator: Any) -> None:
        self._run, self._accelerator, self._device = run, accelerator, accelerator.device
        # Apple GPUs have no float64.
        self._dtype = torch.float32 if self._device.type == "mps" else torch.float64
        self._curves: Curves | None = None
        self._batches, self._timed = 0, 0
        self._seconds, self._waited = 0.0, 0.0
        self._start(0)

    def add(self, epoch: int, loss: Tensor, hits: Mapping[str, Tensor], count: int) -> None:
        """Add one batch of an epoch: sums over its images, and their number. A GPU is not waited for."""
        if epoch != self._epoch:
            self._start(epoch)
        images = torch.full((), count, dtype=self._dtype, device=self._device)
        own = [
            value.detach().to(self._dtype)
            for value in (loss, hits["acc"], hits.get("acc5", hits["acc"]))
        ]
        self._sums += torch.stack([*own, images])
        self._batches += 1

    def describe(self, figures: Mapping[str, Any]) -> str:
        """Return what to add to a line of the log.

        A line of training gets time, data time, loss and accuracies (percent) since the line before, each with its mean
        over the epoch so far in parentheses; with several processes the means are of the first one's images.
        """
        if "train_acc" not in figures:
            return " ".join(
                f"Acc@{'5' if name.endswith('5') else '1'} {100 * value:.2f}"
                for name, value in figures.items()
                if name in ("valid_acc", "valid_acc5", "val_acc", "val_acc5")
            )
        new = self._batches - self._timed
        seconds = figures["step_seconds"]
        waited = seconds * figures["data_fraction"]
        self._seconds, self._waited = self._seconds + new * seconds, self._waited + new * waited
        self._timed = self._batches
        timed = max(self._timed, 1)
        loss, acc, acc5, _ = self._means(self._sums)
        top5 = (
            f"Acc@5 {100 * figures['train_acc5']:.2f} ({100 * acc5:.2f}) "
            if "train_acc5" in figures
            else ""
        )
        return (
            f"Time {seconds:.3f} ({self._seconds / timed:.3f}) Data {waited:.3f} ({self._waited / timed:.3f}) "
            f"Loss {figures['train_loss']:.4f} ({loss:.4f}) "
            f"Acc@1 {100 * figures['train_acc']:.2f} ({100 * acc:.2f}) "
            f"{top5}{figures['per_second']:.0f} images/s"
        )

    def at_epoch_end(self, at: Position, figures: Mapping[str, float]) -> dict[str, float]:
        """Return mean loss and accuracy of the epoch that has just ended, and add its points to the curves.

        Every process must call it. In the middle of an epoch it returns nothing.

        Parameters
        ----------
        at : Position
        figures : mapping
            What was measured at the end of the epoch: its loss and accuracy are added to the curves.
        """
        if at.step == 0 or at.epoch_step != 0:
            return {}
        sums = self._sums
        if self._accelerator.num_processes > 1:
            sums = self._accelerator.reduce(sums, "sum")
        loss, acc, _, _ = self._means(sums)
        if self._accelerator.is_main_process:
            if self._curves is None:
                self._curves = Curves(self._run.path / "tensorboard" / FOLDER, at.epoch - 1)
            points = {"train_loss": loss, "train_acc": acc}
            points |= {n: v for n, v in figures.items() if n.endswith(("_loss", "_acc"))}
            for name, value in points.items():
                self._curves.add(name, value, at.epoch)
        return {"epoch_train_loss": loss, "epoch_train_acc": acc}

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs to continue the epoch."""
        return {
            "epoch": self._epoch,
            "sums": self._sums.clone(),
            "counts": [self._batches, self._timed],
            "seconds": [self._seconds, self._waited],
        }

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Continue from what `state_dict` returned; runs of earlier versions have none."""
        if state is None:
            return
        self._epoch = state["epoch"]
        self._sums = state["sums"].to(self._device).clone()
        self._batches, self._timed = state["counts"]
        self._seconds, self._waited = state["seconds"]

    def _start(self, epoch: int) -> None:
        self._epoch = epoch
        self._sums = torch.zeros(
            4, dtype=self._dtype, device=self._device
        )  # loss, hits, hits, images
        self._batches, self._timed = 0, 0
        self._seconds, self._waited = 0.0, 0.0

    def _means(self, sums: Tensor) -> list[float]:
        values = sums.tolist()
        return [value / max(values[-1], 1.0) for value in values]
