"""Speed against pytorch/examples' word_language_model, measured in one run at the same model and batches.

What main.py does for each batch is done here in our own words: reading a batch, zero_grad, forward to
log-probabilities of all words, nll_loss, backward, clipping, `p.add_(p.grad, alpha=-lr)`, and `loss.item()`. So is what
generate.py does for each word: a Transformer reads the whole text again, without a mask, and scores all words after
each of its words; a recurrent model goes on from its state. Ours is what `word-lm train` and `word-lm generate` do.
Both go in turn, so that a machine whose speed drifts does so for both.
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
from shared.text.batching import batchify
from shared.text.vocabulary import Vocabulary
from shared.torch.device import choose_device, choose_precision
from shared.torch.evaluation import evaluating
from shared.torch.gradients import scale_and_clip
from word_lm.commands.options import BenchOptions
from word_lm.config import TrainConfig
from word_lm.data.dataset import Text, load_text
from word_lm.data.segments import Segments
from word_lm.generate import generate, lay_out_for_writing
from word_lm.model.trained import build_model
from word_lm.model.transformer import sinusoids
from word_lm.train import Carried, LossOf, make_optimizers

WARM_UP = 3
RNNS = ("rnn_tanh", "rnn_relu", "gru", "lstm")
LENGTHS = 10
"""Lengths of the text at which a word of their Transformer is timed."""

Engine = Callable[[int], object]
"""Makes so many updates."""
Writer = Callable[[int], float]
"""Writes so many words and returns the seconds they take."""


def run(options: BenchOptions) -> int:
    """Time both and print a table (verb `bench`)."""
    config = load_recipe(TrainConfig, "word_lm", options.recipe)
    config = replace(config, data=options.data, precision=options.precision or config.precision)
    if options.threads:
        torch.set_num_threads(options.threads)
    text = load_text(config)
    found = compare(config, text, steps=options.steps, rounds=options.rounds)
    if options.words:
        found["generation"] = compare_writing(
            config, text.vocabulary, words=options.words, rounds=options.rounds
        )
    if options.json:
        print(json.dumps(found))
        return 0
    print(
        f"{found['data']}, {config.model}, batch {config.batch_size} x {config.bptt}, {found['device']}"
    )
    _show(found["tokens_per_second"], "tokens/s", found["ratio"])
    if options.words:
        print(f"Writing a text of {options.words:,} words")
        _show(found["generation"]["words_per_second"], "words/s", found["generation"]["ratio"])
    if found["ratio"] is None:
        print(f"pytorch/examples has no {config.model}; nothing to compare to.")
    return 0


def compare(config: TrainConfig, text: Text, *, steps: int, rounds: int) -> dict[str, Any]:
    """Time training steps of ours and, where they have such a model, of theirs.

    Parameters
    ----------
    config : TrainConfig
        Model, batches, precision. Theirs is always float32 with a full softmax, as it comes.
    text : Text
    steps, rounds : int
        Updates in a round, and rounds.

    Returns
    -------
    dict
        `tokens_per_second` by name (medians), and `ratio`, the median of the rounds' ratios, or None.
    """
    device = choose_device(config.device)
    ids, size = text.splits["train"], len(text.vocabulary)
    steps = min(steps, max(1, (len(ids) // config.batch_size - 1) // config.bptt))
    precision = choose_precision(config.precision, device)
    ours_name = f"word-lm ({precision})"
    engines: dict[str, Engine] = {ours_name: ours(config, ids, size, device, precision)}
    if has_peer(config):
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
    threads = f"{torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return {
        "data": text.listing["name"],
        "device": f"{device} {threads}".strip(),
        "tokens_per_second": {name: statistics.median(speed) for name, speed in speeds.items()},
        "ratio": _ratio(speeds),
    }


def compare_writing(
    config: TrainConfig, vocabulary: Vocabulary, *, words: int, rounds: int
) -> dict[str, Any]:
    """Time the writing of a text by ours and, where they have such a model, by theirs; the models are untrained.

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
    writers: dict[str, Writer] = {"word-lm": our_writer(config, vocabulary, device)}
    if has_peer(config):
        writers["pytorch/examples"] = their_writer(config, len(vocabulary), device)
    speeds: dict[str, list[float]] = {name: [] for name in writers}
    for writer in writers.values():
        writer(WARM_UP)
    for _ in range(rounds):
        for name, writer in writers.items():
            speeds[name].append(words / writer(words))
    return {
        "words": words,
        "words_per_second": {name: statistics.median(speed) for name, speed in speeds.items()},
        "ratio": _ratio(speeds),
    }


def has_peer(config: TrainConfig) -> bool:
    """Whether pytorch/examples has such a model."""
    return config.model in RNNS or config.model == "transformer"


def our_writer(config: TrainConfig, vocabulary: Vocabulary, device: torch.device) -> Writer:
    """Return a function that times `word-lm generate` without its start."""
    torch.manual_seed(config.seed)
    model = build_model(config, len(vocabulary)).to(device)
    lay_out_for_writing(model)

    def write(words: int) -> float:
        began = time.perf_counter()
        generate(model, vocabulary, "", words)
        return time.perf_counter() - began

    return write


def their_writer(config: TrainConfig, size: int, device: torch.device) -> Writer:
    """Return a function that times what generate.py of pytorch/examples does.

    The n-th word of its Transformer costs what a text of n words costs, so words are timed at `LENGTHS` lengths, the
    middles of as many equal parts of the text, and each stands for its part.
    """
    torch.manual_seed(config.seed)
    model = _ExamplesModel(config, size).to(device)

    def one_word(ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_probs, state = model(ids, state, is_masked=False)
        return torch.multinomial(log_probs[-1].div(1.0).exp().cpu(), 1), state

    def write(words: int) -> float:
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

    return write


def _ratio(speeds: dict[str, list[float]]) -> float | None:
    """Return the median over rounds of how much faster the first is than the second, if there is a second."""
    first, *others = speeds.values()
    if not others:
        return None
    return statistics.median(a / b for a, b in zip(first, others[0], strict=True))


def _show(figures: dict[str, float], unit: str, ratio: float | None) -> None:
    for name, figure in figures.items():
        print(f"  {name:<28} {figure:>10,.0f} {unit}")
    if ratio is not None:
        print(f"  word-lm is {ratio:.2f} x as fast (median of the rounds)")


def ours(
    config: TrainConfig, ids: NDArray[np.int32], size: int, device: torch.device, precision: str
) -> Engine:
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


def theirs(config: TrainConfig, ids: NDArray[np.int32], size: int, device: torch.device) -> Engine:
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

    def forward(self, ids: Tensor, state: Any, *, is_masked: bool = True) -> tuple[Tensor, Any]:
        vectors = self.encoder(ids)
        if self.config.model == "transformer":
            mask = None
            if is_masked:
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
