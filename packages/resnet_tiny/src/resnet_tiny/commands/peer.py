"""What pytorch/examples' imagenet/main.py does for each batch, rewritten, to compare speed with.

Files are decoded by PIL each time they are needed, in data loading processes, scaled to 0..1 and normalized one by one;
the model computes in float32, channels first; both accuracies and the loss are read at every step. The coursework
removed its random crops and flips, so they are left out here too.
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

from resnet_tiny.data.transforms import MEAN, STD


class ImageFolder(torch.utils.data.Dataset):
    """Images that are decoded when they are needed.

    Parameters
    ----------
    paths : sequence of str
    labels : sequence of int
    """

    def __init__(self, paths: Sequence[str], labels: Sequence[int]) -> None:
        self.paths, self.labels = paths, labels
        self.mean, self.std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with open(self.paths[index], "rb") as file:
            pixels = np.array(Image.open(file).convert("RGB"))
        image = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div(255)
        return (image - self.mean) / self.std, self.labels[index]


class Peer:
    """The training program.

    Parameters
    ----------
    model : nn.Module
        The network that is compared, untrained.
    data : ImageFolder
    batch_size : int
    workers : int
        Data loading processes.
    """

    def __init__(self, model: nn.Module, data: ImageFolder, batch_size: int, workers: int) -> None:
        self.model = model
        self.optimizer = torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4
        )
        self.loader = torch.utils.data.DataLoader(
            data, batch_size=batch_size, shuffle=True, num_workers=workers, drop_last=True
        )

    def images_per_second(self, steps: int, warm_up: int) -> float:
        """Make updates, the first few untimed; return images per second, loading included."""
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
        gc.collect()  # ends the data loading processes, which would slow down what is timed next
        return rate

    def _update(self, images: Tensor, labels: Tensor) -> None:
        scores = self.model(images)
        loss = F.cross_entropy(scores, labels)
        with torch.no_grad():
            top = scores.topk(min(5, scores.shape[1]), dim=1).indices
            is_hit = (top == labels[:, None]).float()
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
