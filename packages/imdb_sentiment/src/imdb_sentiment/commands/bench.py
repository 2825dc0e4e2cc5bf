"""The verb `bench`: training speed of one model, batches by length against the coursework's padding to 592.

All engines make the same updates on the same reviews in one process, in turn, so that a machine whose speed drifts
does so for all:

- ours: batches of like length, padded to their longest review, in the recipe's number format;
- coursework: every review padded in front to 592, in float32;
- padded: the same in ours' number format;
- packed: torch's `nn.LSTM` on packed sequences, same batches as ours;
- handwritten: our own LSTM, same batches as ours.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from imdb_sentiment.commands.options import BenchOptions
from imdb_sentiment.commands.recipe_runs import recipe
from imdb_sentiment.config import RECURRENT, TrainConfig
from imdb_sentiment.data.dataset import load_data
from imdb_sentiment.data.reviews import Data
from imdb_sentiment.data.text import WordCodec
from imdb_sentiment.model.build import build_network
from imdb_sentiment.model.lstm import State
from imdb_sentiment.model.recurrent import RecurrentClassifier
from imdb_sentiment.train_network import Examples, Loss, make_optimizers
from shared.data.samples import sample_notice
from shared.errors import UserError
from shared.torch.device import choose_device, choose_precision
from shared.torch.gradients import scale_and_clip
from shared.torch.sampler import Shard

COURSEWORK_TOKENS = 592
OURS = "ours"


def run(options: BenchOptions) -> int:
    """Time all engines and print a table (verb `bench`)."""
    config = recipe(options.recipe, data=options.data)
    if config.model not in RECURRENT:
        raise UserError(
            f"--recipe {options.recipe} is a {config.model}. Expected one of an LSTM, such as bilstm."
        )
    if options.threads:
        torch.set_num_threads(options.threads)
    data = load_data(replace(config, limit=None))
    figures = compare(config, data, batches=options.batches, rounds=options.rounds)
    if options.json:
        print(json.dumps(figures))
        return 0
    if data.is_sample:
        print(sample_notice("imdb-sentiment", options.data))
    print(
        f"{figures['data']}, recipe {options.recipe}, batch {config.batch_size}, "
        f"{figures['device']}, {figures['precision']}"
    )
    for name, speed in figures["reviews_per_second"].items():
        print(
            f"  {name:<12} {speed:>9,.1f} reviews/s  {figures['padding'][name]:>5.0%} padding  "
            f"ours is {figures['ratios'][name]:.2f} x as fast"
        )
    return 0


def compare(config: TrainConfig, data: Data, *, batches: int, rounds: int) -> dict[str, Any]:
    """Time training updates of all engines.

    Parameters
    ----------
    config : TrainConfig
        Model, batch size, precision; adversarial steps, crops and log-count ratios are left out.
    data : Data
    batches, rounds : int
        Updates in a round, and rounds.

    Returns
    -------
    dict
        `reviews_per_second` by engine (medians), `ratios`, medians of ours over each, `padding` fractions.
    """
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    plain = replace(
        config, adversarial=0.0, crop=None, log_count_ratios=None, max_tokens=COURSEWORK_TOKENS, model="lstm"
    )  # fmt: skip
    front = replace(
        plain, padding="front", pooling="last_position", bucket=False, rating_weight=0.0
    )
    engines = {
        OURS: _Engine(plain, data, device, precision),
        "coursework": _Engine(front, data, device, "float32"),
        "padded": _Engine(front, data, device, precision),
        "packed": _Engine(plain, data, device, precision, packed=True),
        "handwritten": _Engine(replace(plain, model="handwritten_lstm"), data, device, precision),
    }
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        engine(0, 1)
    for number in range(rounds):
        for name, engine in engines.items():
            began = time.perf_counter()
            reviews = engine(1 + number * batches, batches)
            if device.type == "cuda":
                torch.cuda.synchronize()
            speeds[name].append(reviews / (time.perf_counter() - began))
    ours = speeds[OURS]
    threads = f" {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return {
        "data": data.listing["name"],
        "device": f"{device}{threads}",
        "precision": precision,
        "reviews_per_second": {name: statistics.median(own) for name, own in speeds.items()},
        "ratios": {
            name: statistics.median(a / b for a, b in zip(ours, own, strict=True))
            for name, own in speeds.items()
        },
        "padding": {name: engine.examples.padding() for name, engine in engines.items()},
    }


class _Engine:
    """One model with its batches and optimizer, which makes the updates of `imdb-sentiment train`."""

    def __init__(
        self, config: TrainConfig, data: Data, device: torch.device, precision: str, *, packed: bool = False
    ) -> None:  # fmt: skip
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        codec = WordCodec.build(config, data.train.texts)
        self.network = build_network(
            config, codec.vocabulary, classes=len(data.classes(config.task))
        ).to(device)
        if packed:
            assert isinstance(self.network, RecurrentClassifier)
            self.network.lstm = PackedLSTM(self.network.lstm)  # type: ignore[assignment]
        ids, targets = codec.encode(data.train.texts), data.train.targets(config.task)
        self.examples = Examples(config, self.network.pad_id, ids, data.train, targets)
        self.optimizers = make_optimizers(config, self.network)
        self.loss = Loss(config, self.network, codec.unknown_id)
        self.half: Callable[[], Any] = contextlib.nullcontext
        if precision == "bf16":
            self.half = lambda: torch.autocast(device.type, torch.bfloat16)

    def __call__(self, first: int, batches: int) -> int:
        """Make updates with the batches from `first` on; return the number of reviews."""
        order, reviews = self.examples.order(), 0
        self.network.train()
        for number in range(first, first + batches):
            shard = order.shard(0, number % order.steps(0), 0, 1)
            reviews += self._update(shard)
        return reviews

    def _update(self, shard: Shard) -> int:
        batch = {name: value.to(self.device) for name, value in self.examples.fetch(shard).items()}
        with self.half():
            loss, count, _ = self.loss(self.network, batch)
        loss.backward()
        scale = torch.tensor(1 / count, device=self.device)
        scale_and_clip(self.network.parameters(), scale, self.config.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        loss.item()
        return count


class PackedLSTM(nn.Module):
    """`nn.LSTM` on packed sequences, with the weights and the interface of another LSTM: the usual way."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.directions = weights.directions
        self.lstm = nn.LSTM(
            weights.get_parameter("weight_ih_l0").shape[1],
            weights.hidden_size,
            weights.num_layers,
            batch_first=True,
            bidirectional=weights.directions == 2,
        )
        self.lstm.load_state_dict(weights.state_dict())

    def forward(
        self, inputs: Tensor, lengths: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Return outputs and final state, see `HandwrittenLSTM.forward`."""
        packed = nn.utils.rnn.pack_padded_sequence(
            inputs, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        outputs, final = self.lstm(packed, state)
        padded, _ = nn.utils.rnn.pad_packed_sequence(
            outputs, batch_first=True, total_length=inputs.shape[1]
        )
        return padded, final
