"""Speed against pytorch/examples' word_language_model, measured in one run at the same model and batches.

`_ExamplesModel` reimplements what its main.py does for each batch: reading a batch, zero_grad, forward to
log-probabilities of all words, nll_loss, backward, clipping, `p.add_(p.grad, alpha=-lr)`, and `loss.item()`; and what
its generate.py does for each word: a Transformer reads the whole text again, without a mask, and scores all words at
each position; a recurrent model continues from its state. It is compared to what `word-lm train` and `word-lm generate`
do. Both run in turn, so that a machine whose speed drifts affects both.
"""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.command.config import load_recipe
from shared.errors import UserError
from shared.text.batching import batchify
from shared.text.vocabulary import Vocabulary
from shared.torch.device import choose_device, choose_precision
from shared.torch.evaluation import evaluating
from shared.torch.gradients import scale_and_clip
from word_lm.commands.busy import busy_processes
from word_lm.commands.options import BenchOptions
from word_lm.config import TrainConfig
from word_lm.data.dataset import Text, load_text
from word_lm.data.segments import Segments
from word_lm.generate import generate, store_by_columns
from word_lm.model.build import build_model
from word_lm.model.transformer import sinusoids
from word_lm.train import CarriedState, SegmentLoss, make_optimizers

WARM_UP = 3
RNNS = ("rnn_tanh", "rnn_relu", "gru", "lstm")
LENGTHS = 10
"""Number of text lengths at which a word of pytorch/examples' Transformer is timed."""

Trainer = Callable[[int], object]
"""Makes this many training steps."""
Generator = Callable[[int], float]
"""Generates this many words and returns the seconds taken."""


def run(options: BenchOptions) -> int:
    """Time both and print a table (verb `bench`)."""
    config = load_recipe(TrainConfig, "word_lm", options.recipe)
    config = replace(config, data=options.data, precision=options.precision or config.precision)
    if options.threads:
        torch.set_num_threads(options.threads)
    text = load_text(config)
    result = compare(config, text, steps=options.steps, rounds=options.rounds)
    if options.words:
        result["generation"] = compare_generation(
            config, text.vocabulary, words=options.words, rounds=options.rounds
        )
    if options.busy:
        result["busy"] = time_beside_busy_processes(
            config, text, most=options.busy, steps=options.steps, rounds=options.rounds
        )
    if options.json:
        print(json.dumps(result))
        return 0
    print(
        f"{result['data']}, {config.model}, batch {config.batch_size} x {config.bptt}, {result['device']}"
    )
    _show(result["tokens_per_second"], "tokens/s", result["ratio"])
    if options.words:
        print(f"Generating a text of {options.words:,} words")
        _show(result["generation"]["words_per_second"], "words/s", result["generation"]["ratio"])
    for number, row in enumerate(result.get("busy", [])):
        beside = f"beside {number} busy process{'es' * (number > 1)}" if number else "idle"
        print(
            f"  {beside:<28} {1000 * row['step_seconds']:>10,.1f} ms a step, "
            f"{row['speed']:.2f} of the idle speed"
        )
    if result["ratio"] is None:
        print(f"pytorch/examples has no {config.model}; there is nothing to compare with.")
    return 0


def compare(config: TrainConfig, text: Text, *, steps: int, rounds: int) -> dict[str, Any]:
    """Time training steps of word-lm and, if it has such a model, of pytorch/examples.

    Parameters
    ----------
    config : TrainConfig
        Model, batches, precision. pytorch/examples is always float32 with a full softmax.
    text : Text
    steps, rounds : int
        Training steps in a round, and rounds.

    Returns
    -------
    dict
        `tokens_per_second` by name (medians), and `ratio`, the median of the rounds' ratios, or None.
    """
    device = choose_device(config.device)
    ids, size = text.splits["train"], len(text.vocabulary)
    steps = min(steps, steps_of_an_epoch(config, ids))
    precision = choose_precision(config.precision, device)
    own_name = f"word-lm ({precision})"
    trainers: dict[str, Trainer] = {own_name: word_lm_trainer(config, ids, size, device, precision)}
    if has_peer(config):
        trainers["pytorch/examples (float32)"] = examples_trainer(config, ids, size, device)
    tokens = steps * config.batch_size * config.bptt
    speeds: dict[str, list[float]] = {name: [] for name in trainers}
    for trainer in trainers.values():
        trainer(min(WARM_UP, steps))
    for _ in range(rounds):
        for name, trainer in trainers.items():
            began = time.perf_counter()
            trainer(steps)
            if device.type == "cuda":
                torch.cuda.synchronize()
            speeds[name].append(tokens / (time.perf_counter() - began))
    threads = f"{torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return {
        "data": text.listing["name"],
        "device": f"{device} {threads}".strip(),
        "tokens_per_second": {name: statistics.median(speed) for name, speed in speeds.items()},
        "ratio": _ratio(speeds),
    }


def time_beside_busy_processes(
    config: TrainConfig, text: Text, *, most: int, steps: int, rounds: int
) -> list[dict[str, float]]:
    """Time training steps of word-lm on a machine that is otherwise idle, and beside busy processes.

    Parameters
    ----------
    config : TrainConfig
    text : Text
    most : int
        Busy processes in the last row.
    steps, rounds : int
        Training steps in a round, and rounds; each round times every row once.

    Returns
    -------
    list of dict
        For 0, 1, ... busy processes: `step_seconds` (median), and `speed`, the median over rounds of the idle time
        divided by this one.
    """
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    ids = text.splits["train"]
    train = word_lm_trainer(config, ids, len(text.vocabulary), device, precision)
    steps = min(steps, steps_of_an_epoch(config, ids))
    train(min(WARM_UP, steps))
    seconds: list[list[float]] = [[] for _ in range(most + 1)]
    for _ in range(rounds):
        for number, times in enumerate(seconds):
            with busy_processes(number):
                began = time.perf_counter()
                train(steps)
                times.append((time.perf_counter() - began) / steps)
    return [
        {
            "step_seconds": statistics.median(times),
            "speed": statistics.median(a / b for a, b in zip(seconds[0], times, strict=True)),
        }
        for times in seconds
    ]


def steps_of_an_epoch(config: TrainConfig, ids: NDArray[np.int32]) -> int:
    """Return the number of batches of a whole length in a text.

    Raises
    ------
    UserError
        There is none.
    """
    steps = (len(ids) // config.batch_size - 1) // config.bptt
    if steps < 1:
        raise UserError(
            f"The training text has {len(ids):,} tokens, too few for a batch of {config.batch_size} x {config.bptt}. "
            f"Give {config.batch_size * (config.bptt + 1):,} or more."
        )
    return steps


def compare_generation(
    config: TrainConfig, vocabulary: Vocabulary, *, words: int, rounds: int
) -> dict[str, Any]:
    """Time generating a text by word-lm and, if it has such a model, by pytorch/examples; the models are untrained.

    Parameters
    ----------
    config : TrainConfig
        The model. Both compute in float32.
    vocabulary : Vocabulary
    words, rounds : int
        Words of the text, and rounds.

    Returns
    -------
    dict
        `words`; `words_per_second` by name (medians), and `ratio`, the median of the rounds' ratios, or None.
    """
    device = choose_device(config.device)
    generators: dict[str, Generator] = {"word-lm": word_lm_generator(config, vocabulary, device)}
    if has_peer(config):
        generators["pytorch/examples"] = examples_generator(config, len(vocabulary), device)
    speeds: dict[str, list[float]] = {name: [] for name in generators}
    for generator in generators.values():
        generator(WARM_UP)
    for _ in range(rounds):
        for name, generator in generators.items():
            speeds[name].append(words / generator(words))
    return {
        "words": words,
        "words_per_second": {name: statistics.median(speed) for name, speed in speeds.items()},
        "ratio": _ratio(speeds),
    }


def has_peer(config: TrainConfig) -> bool:
    """Whether pytorch/examples has such a model."""
    return config.model in RNNS or config.model == "transformer"


def word_lm_generator(
    config: TrainConfig, vocabulary: Vocabulary, device: torch.device
) -> Generator:
    """Return a function that times `word-lm generate`, without loading."""
    torch.manual_seed(config.seed)
    model = build_model(config, len(vocabulary)).to(device)
    store_by_columns(model)

    def generate_words(words: int) -> float:
        began = time.perf_counter()
        generate(model, vocabulary, "", words)
        return time.perf_counter() - began

    return generate_words


def examples_generator(config: TrainConfig, size: int, device: torch.device) -> Generator:
    """Return a function that times what generate.py of pytorch/examples does.

    The time of a word of its Transformer grows with the text, so words are timed at `LENGTHS` lengths, the middles of
    equal parts of the text, and each time counts for its part.
    """
    torch.manual_seed(config.seed)
    model = _ExamplesModel(config, size).to(device)

    def one_word(ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_probs, state = model(ids, state, is_masked=False)
        return torch.multinomial(log_probs[-1].div(1.0).exp().cpu(), 1), state

    def generate_words(words: int) -> float:
        with evaluating(model):
            if config.model != "transformer":
                word, state = torch.zeros(1, dtype=torch.int64), None
                began = time.perf_counter()
                for _ in range(words):
                    word, state = one_word(word.view(1, 1).to(device), state)
                return time.perf_counter() - began
            parts = min(LENGTHS, words)
            total = 0.0
            for part in range(parts):
                length = math.ceil((part + 0.5) * words / parts)
                ids = torch.randint(size, (length, 1), device=device)
                began = time.perf_counter()
                one_word(ids, None)
                total += (time.perf_counter() - began) * words / parts
            return total

    return generate_words


def _ratio(speeds: dict[str, list[float]]) -> float | None:
    """Return the median over rounds of the speed of the first divided by that of the second, if there is a second."""
    first, *others = speeds.values()
    if not others:
        return None
    return statistics.median(a / b for a, b in zip(first, others[0], strict=True))


def _show(figures: dict[str, float], unit: str, ratio: float | None) -> None:
    for name, figure in figures.items():
        print(f"  {name:<28} {figure:>10,.0f} {unit}")
    if ratio is not None:
        print(f"  word-lm is {ratio:.2f} x as fast (median of the rounds)")


def word_lm_trainer(
    config: TrainConfig, ids: NDArray[np.int32], size: int, device: torch.device, precision: str
) -> Trainer:
    """Return a function that makes training steps as `word-lm train` does."""
    torch.manual_seed(config.seed)
    model = build_model(config, size).to(device)
    optimizers = make_optimizers(config, model)
    segments = Segments(ids, config.batch_size, config.bptt)
    segment_loss = SegmentLoss(config, model, CarriedState())
    autocast = (
        torch.autocast(device.type, torch.bfloat16)
        if precision == "bf16"
        else contextlib.nullcontext()
    )

    def update(steps: int) -> None:
        model.train()
        for step in range(steps):
            batch = segments.fetch(segments.shard(0, step, 0, 1))
            batch = {
                name: v.to(device) if isinstance(v, Tensor) else v for name, v in batch.items()
            }
            with autocast:
                loss, count, _ = segment_loss(model, batch)
            loss.backward()
            scale = torch.tensor(1 / count, device=device)
            scale_and_clip(model.parameters(), scale, config.clip_norm)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            loss.item()

    return update


def examples_trainer(
    config: TrainConfig, ids: NDArray[np.int32], size: int, device: torch.device
) -> Trainer:
    """Return a function that makes training steps as pytorch/examples' main.py does."""
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
            self.register_buffer("positions", sinusoids(0, 5000, width)[:, None])
            inner = width
        else:
            kind = {"lstm": nn.LSTM, "gru": nn.GRU}.get(config.model, nn.RNN)
            more = {"nonlinearity": config.model[4:]} if kind is nn.RNN else {}
            between = config.dropout if config.layers > 1 else 0.0
            self.layers = kind(width, inner, config.layers, dropout=between, **more)
        self.decoder = nn.Linear(inner, size)
        if config.tied and inner == width:
            self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, ids: Tensor, state: Any, *, is_masked: bool = True) -> tuple[Tensor, Any]:
        vectors = self.encoder(ids)
        if self.config.model == "transformer":
            mask = None
            if is_masked:
                mask = torch.log(torch.tril(torch.ones(len(ids), len(ids), device=ids.device)))
            positions = self.get_buffer("positions")[: len(ids)]
            states = self.layers(
                self.dropout(vectors * math.sqrt(vectors.shape[-1]) + positions), mask=mask
            )
        else:
            states, state = self.layers(self.dropout(vectors), state)
            states = self.dropout(states)
            state = tuple(t.detach() for t in state) if isinstance(state, tuple) else state.detach()
        return F.log_softmax(self.decoder(states), dim=-1).flatten(0, 1), state
