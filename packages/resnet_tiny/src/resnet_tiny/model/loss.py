"""The loss of a batch: its images are cropped, flipped, resized and mixed, and shown to the model.

Shapes: B images, S pixels of a side, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from resnet_tiny.config import K, TrainConfig
from resnet_tiny.data.mixing import apply_mix
from resnet_tiny.data.transforms import apply, size_at
from resnet_tiny.model.resnet import memory_format


def stage_of(config: TrainConfig) -> Callable[[float], tuple[int, bool]]:
    """Return a function from the progress of a run to what its updates take longer or shorter for.

    These are the size of the images and whether they are mixed; `shared.torch.loop` times each such stage.
    """

    def stage(progress: float) -> tuple[int, bool]:
        size = size_at(config.sizes, config.size_fractions, progress, config.image_size)
        return size, progress < config.mix_until

    return stage


class BatchLoss:
    """Cross entropy of a batch, with label smoothing and mixed targets.

    Parameters
    ----------
    config : TrainConfig
    progress : callable
        Returns how much of the run is done, 0 to 1.
    note : callable, optional
        Takes loss, correct predictions and number of images of each batch.
    """

    def __init__(
        self,
        config: TrainConfig,
        progress: Callable[[], float],
        note: Callable[[Tensor, dict[str, Tensor], int], object] = lambda *sums: None,
    ) -> None:
        self.config, self.progress, self.note = config, progress, note

    def __call__(
        self, wrapped: nn.Module, batch: dict[str, Any]
    ) -> tuple[Tensor, int, dict[str, Tensor]]:
        """Return the loss summed over the batch, the number of images, and how many were predicted correctly."""
        images, own = self.prepare(batch)
        loss, count, hits = self.of_images(wrapped, images, own, batch)
        self.note(loss, hits, count)
        return loss, count, hits

    def prepare(self, batch: dict[str, Any]) -> tuple[Tensor, float]:
        """Return the images as the model reads them (B, 3, S, S), and the weight of their own labels, 0 to 1."""
        config, done = self.config, self.progress()
        size = size_at(config.sizes, config.size_fractions, done, config.image_size)
        images, own = apply(batch["pixels"], batch["draws"], size), 1.0
        if batch["mix"] and done < config.mix_until:
            images, own = apply_mix(images, batch["mix"])
        return memory_format(images, config), own

    def of_images(
        self, wrapped: nn.Module, images: Tensor, own: float, batch: dict[str, Any]
    ) -> tuple[Tensor, int, dict[str, Tensor]]:
        """Return loss, count and correct predictions of images that are prepared."""
        labels = batch["labels"]
        logits = wrapped(images).float()  # (B, C)
        loss = self._cross_entropy(logits, labels)
        if own < 1:  # lambda L(y_i) + (1 - lambda) L(y_j), linear in the target (mixup, eq. 1)
            other = self._cross_entropy(logits, labels[batch["mix"]["partner"]])
            loss = own * loss + (1 - own) * other
        top = logits.detach().topk(min(K, logits.shape[1]), dim=1).indices  # (B, K)
        is_hit = top == labels[:, None]
        hits = {"acc": is_hit[:, 0].sum()}
        if logits.shape[1] > K:
            hits["acc5"] = is_hit.sum()
        return loss, len(labels), hits

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the sum over the batch; smoothing spreads mass over all classes (Szegedy et al. 2016, section 7)."""
        smoothing = self.config.label_smoothing
        return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
