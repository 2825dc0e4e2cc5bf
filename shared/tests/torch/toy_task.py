"""A task small enough to be trained dozens of times: does a made-up sentence have more high ids than low ones?

The model has an embedding, dropout and tied weights; sentences have different lengths; the order is by length.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shared.command.options import RunOptions
from shared.text.batching import bucketed_batches, pad
from shared.torch.config import MAY_CHANGE, LoopConfig
from shared.torch.device import make_accelerator
from shared.torch.evaluation import Totals
from shared.torch.loop import Outcome, Training
from shared.torch.masking import masked_mean
from shared.torch.processes import start_run
from shared.torch.sampler import Batches, Loader, Shard, Shuffled, evaluation_shards

WORDS, SIZE = 30, 8


@dataclass(frozen=True)
class ToyConfig(LoopConfig):
    """Settings of the toy."""

    batch_size: int = 8
    """Examples in a batch."""
    examples: int = 44
    """Examples of the data."""
    dropout: float = 0.3
    """Shard of the features that is dropped."""
    learning_rate: float = 0.05
    """Step size of AdamW."""
    by_length: bool = True
    """Deal out batches by length."""


class Killed(Exception):
    """Stands for what gives no chance to save."""


class Toy(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, SIZE)
        self.inner = nn.Linear(SIZE, SIZE)
        self.dropout = nn.Dropout(dropout)
        self.words = nn.Linear(SIZE, WORDS, bias=False)
        self.words.weight = self.embedding.weight  # tied
        self.head = nn.Linear(WORDS, 2)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        states = self.dropout(torch.tanh(self.inner(self.embedding(ids))))
        return self.head(self.words(masked_mean(states, lengths)))


class Data:
    def __init__(self, count: int, *, noisy: bool) -> None:
        self.noisy = noisy
        rng = np.random.default_rng(7)
        self.sentences = [rng.integers(0, WORDS, rng.integers(1, 9)) for _ in range(count)]
        self.labels = np.array([int(2 * s.mean() > WORDS) for s in self.sentences])
        self.lengths = [len(s) for s in self.sentences]

    def fetch(self, shard: Shard) -> dict[str, torch.Tensor]:
        ids, lengths = pad([self.sentences[i] for i in shard.indices])
        if self.noisy:  # drawn from the global generators, as other people's transforms are
            ids[torch.rand(len(lengths)).numpy() < 0.1, 0] = np.random.randint(WORDS)
        return {
            "ids": torch.from_numpy(ids),
            "lengths": torch.from_numpy(lengths),
            "labels": torch.from_numpy(self.labels[shard.indices]),
        }


class Counter:
    """A task's own state: how many batches it has met, and a tensor."""

    def __init__(self) -> None:
        self.batches, self.last = 0, torch.zeros(2)

    def state_dict(self) -> dict[str, Any]:
        return {"batches": self.batches, "last": self.last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches, self.last = state["batches"], state["last"]


@dataclass
class Result:
    model: Toy
    training: Training
    outcome: Outcome
    state: Counter


def train(
    out: Path,
    config: ToyConfig | None = None,
    *,
    resume: bool = False,
    kill_at: int | None = None,
    signal_at: int | None = None,
    signal_rank: int = 0,
    nan_at: int | None = None,
    make_optimizers: Any = None,
    facts: dict[str, Any] | None = None,
    figures: dict[str, float] | None = None,
    rate_factor: Any = None,
    started: float | None = None,
    highest: bool = False,
    evaluate_part: Any = None,
    **changes: Any,
) -> Result:
    """Train the toy; `kill_at` and the like are counted in forward passes since the start of the run."""
    config = replace(config or ToyConfig(device="cpu", log_every=1), **changes)
    accelerator = make_accelerator(config)
    torch.manual_seed(config.seed)
    model, data, state = (
        Toy(config.dropout),
        Data(max(config.examples, 23), noisy=config.dropout > 0),
        Counter(),
    )

    def loss_fn(wrapped: nn.Module, batch: dict[str, torch.Tensor]) -> tuple:
        if state.batches == kill_at:
            raise Killed
        if state.batches == signal_at and accelerator.process_index == signal_rank:
            os.kill(os.getpid(), signal.SIGTERM)
        state.batches += 1
        scores = wrapped(batch["ids"], batch["lengths"])
        state.last = scores[0].detach()
        loss = nn.functional.cross_entropy(scores, batch["labels"], reduction="sum")
        if state.batches - 1 == nan_at:
            loss = loss * float("nan")
        hits = (scores.argmax(1) == batch["labels"]).sum()
        return loss, len(scores), {"accuracy": hits}

    def evaluate(plain: nn.Module) -> dict[str, float]:
        rank, world = accelerator.process_index, accelerator.num_processes
        totals = Totals()
        for batch in Loader(data.fetch)(evaluation_shards(23, rank, world, batch_size=5)):
            scores = plain(batch["ids"], batch["lengths"])
            loss = nn.functional.cross_entropy(scores, batch["labels"], reduction="sum")
            totals.add("valid_loss", loss, len(scores))
        return totals.means(accelerator) | (figures or {})

    order = (
        Batches(
            lambda epoch: bucketed_batches(
                data.lengths[: config.examples],
                batch_size=config.batch_size,
                seed=config.seed,
                epoch=epoch,
                pool=2,
            )
        )
        if config.by_length
        else Shuffled(config.examples, config.batch_size, config.seed)
    )
    make = make_optimizers or (
        lambda m: [torch.optim.AdamW(m.parameters(), lr=config.learning_rate)]
    )
    options = RunOptions(out=str(out), resume=resume, quiet=True)
    with start_run(accelerator, "toy", config, options, MAY_CHANGE) as run:
        training = Training(
            accelerator=accelerator,
            run=run,
            config=config,
            model=model,
            optimizers=make(model),
            order=order,
            fetch=data.fetch,
            loss_fn=loss_fn,
            evaluate=evaluate,
            evaluate_part=evaluate_part,
            rate_factor=rate_factor,
            started=started,
            highest=highest,
            state=state,
            data={"name": "toy", "examples": config.examples, "noisy": data.noisy} | (facts or {}),
            extras=lambda folder: (folder / "vocab.txt").write_text("a\n") and None,
        )
        outcome = training.fit()
    return Result(model, training, outcome, state)


def everything(result: Result) -> dict[str, Any]:
    """Return all that must be the same bits after a resume."""
    return {
        "model": {name: value.clone() for name, value in result.model.state_dict().items()},
        "optimizers": [o.state_dict() for o in result.training.optimizers],
        "history": list(result.outcome.history),
        "batches": result.state.batches,
        "last": result.state.last,
        "random": torch.get_rng_state(),
    }


def is_same(a: Any, b: Any) -> bool:
    """Compare nested values to the last bit."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(is_same(x, y) for x, y in zip(a, b, strict=True))
    return a == b
