from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from word_lm.bench import _ExamplesModel, theirs
from word_lm.config import TrainConfig


def test_bench_compares_ours_with_the_examples(
    word_lm: Callable[..., tuple[int, str, str]], sample_folder: Path
) -> None:
    code, printed, _ = word_lm(
        "bench", "--data", sample_folder, "--steps", 2, "--rounds", 1, "--json"
    )
    assert code == 0
    found = json.loads(printed)
    ours, examples = found["tokens_per_second"].values()
    assert found["ratio"] == ours / examples


def test_the_examples_side_learns_and_masks_the_future() -> None:
    config = TrainConfig(
        model="transformer", embedding_size=8, hidden_size=8, layers=1, dropout=0.0, batch_size=4, bptt=5,
        learning_rate=1.0, clip_norm=0.25,
    )  # fmt: skip
    torch.manual_seed(0)
    model = _ExamplesModel(config, 10).eval()
    ids = torch.randint(0, 10, (6, 2))
    changed = ids.clone()
    changed[4:] = (changed[4:] + 1) % 10
    before, after = (model(text, None)[0].view(6, 2, 10)[:4] for text in (ids, changed))
    torch.testing.assert_close(before, after)
    weights: list[nn.Parameter] = []
    update = theirs(config, np.arange(100, dtype=np.int32) % 10, 10, torch.device("cpu"))
    for cell in update.__closure__ or ():
        if isinstance(cell.cell_contents, nn.Module):
            weights = list(cell.cell_contents.parameters())
    first = [weight.detach().clone() for weight in weights]
    update(2)
    assert weights and all(not torch.equal(a, b) for a, b in zip(first, weights, strict=True))
