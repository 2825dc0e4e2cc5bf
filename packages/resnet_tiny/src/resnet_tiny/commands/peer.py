"""What pytorch/examples' imagenet/main.py does for each batch, in our own words, to measure against.

Files are decoded by PIL each time they are wanted, in loading processes, scaled to 0..1 and normalized one by one; the
model computes in float32 with channels first; both accuracies and the loss are read out at every step. The coursework
took its random crops and flips out, so they are out here.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch.utils.data
from PIL import Image
from torch import Tensor, nn

from resnet_tiny.data.transforms import DEVIATION, MEAN


class PictureFolder(torch.utils.data.Dataset):
    """Pictures decoded when asked for.

    Parameters
    ----------
    paths : sequence of str
    labels : sequence of int
    """

    def __init__(self, paths: Sequence[str], labels: Sequence[int]) -> None:
        self.paths, self.labels = paths, labels
        self.mean, self.deviation = (
            torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION)
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        with open(self.paths[place], "rb") as file:
            pixels = np.array(Image.open(file).convert("RGB"))
        image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div(255)
        return (image - self.mean) / self.deviation, self.labels[place]


class Peer:
    """The program, ready to make updates.

    Parameters
    ----------
    model : nn.Module
        The same network that is compared, untrained.
    data : PictureFolder
    batch_size : int
    workers : int
        Loading processes.
    """

    def __init__(
        self, model: nn.Module, data: PictureFolder, batch_size: int, workers: int
    ) -> None:
        self.model = model
        self.optimizer = torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4
        )
        self.loader = torch.utils.data.DataLoader(
            data, batch_size=batch_size, shuffle=True, num_workers=workers, drop_last=True
        )

    def images_per_second(self, steps: int, warm_up: int) -> float:
        """Make updates, the first few untimed; return pictures a second, loading included."""
        self.model.train()
        began, count = time.perf_counter(), 0
        batches = self._batches()
        for number in range(warm_up + steps):
            if number == warm_up:
                began, count = time.perf_counter(), 0
            try:
                images, labels = next(batches)
            except StopIteration:
                batches = self._batches()
                images, labels = next(batches)
            self._update(images, labels)
            count += len(labels)
        rate = count / (time.perf_counter() - began)
        del batches
        gc.collect()  # ends the loading processes, which would slow down what is timed next
        return rate

    def _update(self, images: Tensor, labels: Tensor) -> None:
        scores = self.model(images)
        loss = F.cross_entropy(scores, labels)
        with torch.no_grad():
            answers = scores.topk(min(5, scores.shape[1]), dim=1).indices
            is_hit = (answers == labels[:, None]).float()
            is_hit[:, 0].mean().item()
            is_hit.sum(dim=1).mean().item()
        loss.item()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def _batches(self) -> Iterator[Any]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This process .* is multi-threaded")
            warnings.filterwarnings("ignore", "This DataLoader will create")
            return iter(self.loader)
