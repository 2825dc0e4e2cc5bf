"""A language model that carries its hidden state from batch to batch: what word_lm asks of the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from shared.command.options import RunOptions
from shared.text.batching import batchify
from shared.torch.config import LoopConfig
from shared.torch.device import make_accelerator
from shared.torch.loop import Training
from shared.torch.processes import start_run
from shared.torch.sampler import Shard

TYPES, COLUMNS, TIME = 12, 4, 5


class Killed(Exception):
    pass


@dataclass
class Places:
    """Deals out a text in stretches of `TIME` tokens, in order."""

    tokens: int

    def steps(self, epoch: int) -> int:
        return (self.tokens - 1) // TIME

    def shard(self, epoch: int, step: int, rank: int, world: int) -> Shard:
        return Shard(epoch, step, rank, world, np.array([step * TIME, (step + 1) * TIME]))


class Carried:
    """The hidden state of the stretch before."""

    def __init__(self) -> None:
        self.hidden: torch.Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"hidden": self.hidden}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.hidden = state["hidden"]


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TYPES, 6)
        self.cells = nn.GRU(6, 6)
        self.output = nn.Linear(6, TYPES)

    def forward(self, ids: torch.Tensor, hidden: torch.Tensor | None) -> tuple:
        states, hidden = self.cells(self.embedding(ids), hidden)  # (T, B, H)
        return self.output(states), hidden


def train(out, *, kill_at=None, resume=False, forget=False) -> tuple[Model, Carried]:
    config = LoopConfig(device="cpu", epochs=2, checkpoint_every=1, log_every=1)
    accelerator = make_accelerator(config)
    torch.manual_seed(0)
    model, carried, met = Model(), Carried(), []
    columns, _ = batchify(np.random.default_rng(0).integers(0, TYPES, 170), COLUMNS)
    text = torch.from_numpy(columns)

    def fetch(shard: Shard) -> tuple:
        start, end = shard.indices
        own = slice(shard.rank, None, shard.world)
        return shard.step, text[start:end, own], text[start + 1 : end + 1, own]

    def loss_fn(wrapped: nn.Module, batch: tuple) -> tuple:
        step, ids, targets = batch
        met.append(step)
        if len(met) - 1 == kill_at:
            raise Killed
        before = None if step == 0 or forget else carried.hidden
        scores, hidden = wrapped(ids, before)
        carried.hidden = hidden.detach()  # gradients end at the stretch
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="sum")
        return loss, targets.numel()

    options = RunOptions(out=str(out), resume=resume, quiet=True)
    with start_run(accelerator, "lm", config, options) as run:
        Training(
            accelerator=accelerator,
            run=run,
            config=config,
            model=model,
            optimizers=[torch.optim.SGD(model.parameters(), lr=1.0)],
            order=Places(len(columns)),
            fetch=fetch,
            loss_fn=loss_fn,
            state=carried,
        ).fit()
    return model, carried


@pytest.mark.parametrize("kill_at", [3, 8, 11])
def test_hidden_state_is_carried_over_a_kill(kill_at, tmp_path):
    whole, state = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", kill_at=kill_at)
    resumed, again = train(tmp_path / "killed", resume=True)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True)
    )
    assert torch.equal(state.hidden, again.hidden)


def test_hidden_state_matters(tmp_path):
    carrying, _ = train(tmp_path / "a")
    forgetting, _ = train(tmp_path / "b", forget=True)
    assert not torch.equal(carrying.output.weight, forgetting.output.weight)
