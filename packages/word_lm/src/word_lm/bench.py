"""Training speed against pytorch/examples' word_language_model, measured in one run at the same model and batches.

What main.py does for each batch is done here in our own words: reading a batch, zero_grad, forward to
log-probabilities of all words, nll_loss, backward, clipping, `p.add_(p.grad, alpha=-lr)`, and `loss.item()`. Ours is
what `word-lm train` does. Both go in turn, so that a machine whose speed drifts does so for both.
"""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import word_lm
from shared import config as configuration
from shared.batching import batchify
from shared.config import recipes_in
from shared.errors import UserError
from shared.torch.device import choose_device, choose_precision
from shared.torch.gradients import scale_and_clip
from word_lm.config import BenchOptions, TrainConfig
from word_lm.data import load_text
from word_lm.model import build_model
from word_lm.segments import Segments
from word_lm.train import Carried, LossOf, make_optimizers
from word_lm.transformer import sinusoids

WARM_UP = 3
RNNS = ("rnn_tanh", "rnn_relu", "gru", "lstm")


def run(options: BenchOptions) -> int:
    """Time both and print a table (verb `bench`)."""
    recipes = recipes_in(Path(str(word_lm.__file__)).parent / "recipes")
    if options.recipe not in recipes:
        raise UserError(
            f"--recipe {options.recipe} does not exist. Expected one of: {', '.join(recipes)}."
        )
    config = configuration.load(TrainConfig, recipes[options.recipe])
    config = replace(config, data=options.data, precision=options.precision or config.precision)
    if options.threads:
        torch.set_num_threads(options.threads)
    found = compare(config, steps=options.steps, rounds=options.rounds)
    if options.json:
        print(json.dumps(found))
        return 0
    print(
        f"{found['data']}, {config.model}, batch {config.batch_size} x {config.bptt}, {found['device']}"
    )
    for name, figure in found["tokens_per_second"].items():
        print(f"  {name:<28} {figure:>10,.0f} tokens/s")
    if found["ratio"] is not None:
        print(f"  word-lm is {found['ratio']:.2f} x as fast (median of {options.rounds} rounds)")
    else:
        print(f"  pytorch/examples has no {config.model}; nothing to compare to.")
    return 0


def compare(config: TrainConfig, *, steps: int, rounds: int) -> dict[str, Any]:
    """Time training steps of ours and, where they have such a model, of theirs.

    Parameters
    ----------
    config : TrainConfig
        Model, batches, precision. Theirs is always float32 with a full softmax, as it comes.
    steps, rounds : int
        Updates in a round, and rounds.

    Returns
    -------
    dict
        `tokens_per_second` by name (medians), and `ratio`, the median of the rounds' ratios, or None.
    """
    text = load_text(config)
    device = choose_device(config.device)
    ids, size = text.splits["train"], len(text.vocabulary)
    steps = min(steps, max(1, (len(ids) // config.batch_size - 1) // config.bptt))
    precision = choose_precision(config.precision, device)
    ours_name = f"word-lm ({precision})"
    engines = {ours_name: ours(config, ids, size, device, precision)}
    if config.model in RNNS or config.model == "transformer":
        engines["pytorch/examples (float32)"] = theirs(config, ids, size, device)
    tokens = steps * config.batch_size * config.bptt
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        engine(WARM_UP)
    for _ in range(rounds):
        for name, engine in engines.items():
            began = time.perf_counter()
            engine(steps)
            if device.type == "cuda":
                torch.cuda.synchronize()
            speeds[name].append(tokens / (time.perf_counter() - began))
    first, *others = speeds.values()
    pairs = zip(first, others[0], strict=True) if others else ()
    ratios = [a / b for a, b in pairs]
    threads = f"{torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return {
        "data": text.listing["name"],
        "device": f"{device} {threads}".strip(),
        "tokens_per_second": {name: statistics.median(speed) for name, speed in speeds.items()},
        "ratio": statistics.median(ratios) if ratios else None,
    }


def ours(
    config: TrainConfig, ids: NDArray[np.int32], size: int, device: torch.device, precision: str
) -> Callable[[int], None]:
    """Return a function that makes so many updates as `word-lm train` makes them."""
    torch.manual_seed(config.seed)
    model = build_model(config, size).to(device)
    optimizers = make_optimizers(config, model)
    segments = Segments(ids, config.batch_size, config.bptt)
    loss_of = LossOf(config, model, Carried())
    half = (
        torch.autocast(device.type, torch.bfloat16)
        if precision == "bf16"
        else contextlib.nullcontext()
    )

    def update(steps: int) -> None:
        model.train()
        for step in range(steps):
            batch = segments.fetch(segments.share(0, step, 0, 1))
            batch = {
                name: v.to(device) if isinstance(v, Tensor) else v for name, v in batch.items()
            }
            with half:
                loss, count, _ = loss_of(model, batch)
            loss.backward()
            scale = torch.tensor(1 / count, device=device)
            scale_and_clip(model.parameters(), scale, config.clip_norm)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            loss.item()

    return update


def theirs(
    config: TrainConfig, ids: NDArray[np.int32], size: int, device: torch.device
) -> Callable[[int], None]:
    """Return a function that makes so many updates as pytorch/examples' main.py makes them."""
    torch.manual_seed(config.seed)
    model = _ExamplesModel(config, size).to(device)
    columns, _ = batchify(ids, config.batch_size)
    text = torch.from_numpy(columns.astype(np.int64)).to(device)
    rate = config.learning_rate

    def update(steps: int) -> None:
        model.train()
        state = None
        for step in range(steps):
            first = step * config.bptt
            inputs = text[first : first + config.bptt]
            targets = text[first + 1 : first + 1 + config.bptt].reshape(-1)
            model.zero_grad()
            log_probs, state = model(inputs, state)
            loss = F.nll_loss(log_probs, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or 0.25)
            for weight in model.parameters():
                if weight.grad is not None:
                    weight.data.add_(weight.grad, alpha=-rate)
            loss.item()

    return update


class _ExamplesModel(nn.Module):
    """The model that pytorch/examples builds at the same sizes: dense embedding, log-softmax over all words."""

    def __init__(self, config: TrainConfig, size: int) -> None:
        super().__init__()
        self.config, width, inner = config, config.embedding_size, config.hidden_size
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = nn.Embedding(size, width)
        if config.model == "transformer":
            layer = nn.TransformerEncoderLayer(width, config.heads, inner, config.dropout)
            self.layers: nn.Module = nn.TransformerEncoder(
                layer, config.layers, enable_nested_tensor=False
            )
            self.register_buffer("places", sinusoids(0, 5000, width)[:, None])
            inner = width
        else:
            kind = {"lstm": nn.LSTM, "gru": nn.GRU}.get(config.model, nn.RNN)
            more = {"nonlinearity": config.model[4:]} if kind is nn.RNN else {}
            share = config.dropout if config.layers > 1 else 0.0
            self.layers = kind(width, inner, config.layers, dropout=share, **more)
        self.decoder = nn.Linear(inner, size)
        if config.tied and inner == width:
            self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        vectors = self.encoder(ids)
        if self.config.model == "transformer":
            mask = torch.log(torch.tril(torch.ones(len(ids), len(ids), device=ids.device)))
            places = self.get_buffer("places")[: len(ids)]
            states = self.layers(
                self.dropout(vectors * math.sqrt(vectors.shape[-1]) + places), mask=mask
            )
        else:
            states, state = self.layers(self.dropout(vectors), state)
            states = self.dropout(states)
            state = tuple(t.detach() for t in state) if isinstance(state, tuple) else state.detach()
        return F.log_softmax(self.decoder(states), dim=-1).flatten(0, 1), state
