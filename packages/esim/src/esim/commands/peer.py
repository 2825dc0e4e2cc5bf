"""The other side of `esim bench`: a training step as coetaur0/ESIM makes it.

Either a checkout of github.com/coetaur0/ESIM is given and its own model is timed in an equivalent training loop; or the
model below is timed, which computes what theirs does in the same way: premises and hypotheses packed separately, a
dense embedding, four parts concatenated, everything in float32.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from shared.errors import UserError

CLIP = 10.0
LEARNING_RATE = 4e-4


def peer_model(folder: str | None, words: int, size: int) -> tuple[str, nn.Module]:
    """Return a name and the model: theirs from a checkout, or the equivalent below.

    Raises
    ------
    UserError
        The folder holds no esim/model.py with the class ESIM.
    """
    torch.manual_seed(1)
    vectors = torch.randn(words, size) * 0.1
    if folder is None:
        return "equivalent of coetaur0/ESIM (float32)", SeparatelyPacked(words, size)
    package = _package(Path(folder))
    if not hasattr(package, "ESIM"):
        raise UserError(f"{folder}: esim/model.py has no class ESIM. Expected coetaur0/ESIM.")
    return "coetaur0/ESIM (float32)", package.ESIM(
        words, size, size, embeddings=vectors, dropout=0.5
    )


def peer_step(model: nn.Module) -> Callable[[dict[str, Any]], None]:
    """Return a function that makes one update as its training loop does."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    criterion = nn.CrossEntropyLoss()
    model.train()

    def step(batch: dict[str, Any]) -> None:
        optimizer.zero_grad()
        scores, chances = model(
            batch["premises"],
            torch.as_tensor(batch["premise_lengths"]),
            batch["hypotheses"],
            torch.as_tensor(batch["hypothesis_lengths"]),
        )
        loss = criterion(scores, batch["labels"])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        loss.item()
        (chances.argmax(1) == batch["labels"]).sum().item()

    return step


class SeparatelyPacked(nn.Module):
    """ESIM with `nn.LSTM` on packed input, premises and hypotheses one after the other."""

    def __init__(self, words: int, size: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.Embedding(words, size, padding_idx=0)
        self.encoder = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        self.projection = nn.Linear(8 * size, size)
        self.composer = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(8 * size, size), nn.Tanh(),
            nn.Dropout(dropout), nn.Linear(size, 3),
        )  # fmt: skip

    def forward(self, a: Tensor, a_lengths: Tensor, b: Tensor, b_lengths: Tensor) -> tuple:
        """Return scores and probabilities, (B, 3) each."""
        lengths = (a_lengths, b_lengths)
        masks = [torch.arange(int(part.max())) < part[:, None] for part in lengths]
        encoded = [
            self._read(self.encoder, self._drop(self.embedding(ids)), part)
            for ids, part in zip((a, b), lengths, strict=True)
        ]
        scores = encoded[0] @ encoded[1].transpose(1, 2)
        aligned = [
            self._softmax(scores, masks[1][:, None]) @ encoded[1],
            self._softmax(scores.transpose(1, 2), masks[0][:, None]) @ encoded[0],
        ]
        pooled = []
        for own, other, part, mask in zip(encoded, aligned, lengths, masks, strict=True):
            compared = torch.cat([own, other, own - other, own * other], 2)
            projected = self._drop(F.relu(self.projection(compared)))
            states, real = self._read(self.composer, projected, part), mask[:, :, None]
            pooled.append((states * real).sum(1) / part[:, None])
            pooled.append(states.masked_fill(~real, -1e7).max(1).values)
        result = self.classifier(torch.cat(pooled, 1))
        return result, result.softmax(1)

    def _read(self, lstm: nn.LSTM, states: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(lstm(packed)[0], batch_first=True)[0]

    def _drop(self, states: Tensor) -> Tensor:
        ones = states.new_ones(len(states), 1, states.shape[2])
        return states * F.dropout(ones, self.dropout, self.training)

    def _softmax(self, scores: Tensor, mask: Tensor) -> Tensor:
        weights = (scores * mask).softmax(2) * mask
        return weights / (weights.sum(2, keepdim=True) + 1e-13)


def _package(folder: Path) -> ModuleType:
    """Import the checkout's package under another name, since its own is ours too."""
    path = folder / "esim"
    if not (path / "model.py").is_file():
        raise UserError(f"{folder}: holds no esim/model.py. Expected a checkout of coetaur0/ESIM.")
    name = "coetaur0_esim"
    for part in ("", ".utils", ".layers", ".model"):
        file = path / (f"{part[1:]}.py" if part else "__init__.py")
        spec = importlib.util.spec_from_file_location(
            name + part, file, submodule_search_locations=None if part else [str(path)]
        )
        if spec is None or spec.loader is None or not file.is_file():
            raise UserError(f"{file}: cannot be imported. Expected a checkout of coetaur0/ESIM.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name + part] = module
        spec.loader.exec_module(module)
    return sys.modules[f"{name}.model"]
