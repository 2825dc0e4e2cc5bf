"""Training speed against coetaur0/ESIM, measured in one run at the same sizes and on the same sentences.

Both train on batches of the same size, with the data's sentence lengths, words drawn by Zipf's law, and trained word
vectors. Theirs takes pairs in random order, as its loader does; ours by length, as `esim train` does. They are timed in
turn, so that a change of the machine's speed affects both.
"""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from esim.commands.options import BenchOptions
from esim.commands.peer import peer_model, peer_step
from esim.config import TrainConfig
from esim.data.dataset import Pairs, batch_of, load_data
from esim.model.esim import Esim
from esim.train import loss_of, make_optimizers
from shared.text.batching import bucketed_batches
from shared.torch.device import choose_device, choose_precision
from shared.torch.gradients import scale_and_clip

WARM_UP = 12
"""Updates before timing: oneDNN compiles a kernel for each new shape."""
SPECIALS = 2
MOST_PAIRS = 20_000
MOST_OPERATIONS = 8
"""Longest operations that a profile lists."""

Step = Callable[[dict[str, Any]], None]


def run(options: BenchOptions) -> int:
    """Time both and print a table."""
    if options.threads:
        torch.set_num_threads(options.threads)
    lengths = load_data(TrainConfig(data=options.data)).splits["train"].lengths[:MOST_PAIRS]
    results = [compare(options, lengths, words) for words in options.vocabulary]
    if options.json:
        print(json.dumps(results))
        return 0
    threads = torch.get_num_threads()
    print(
        f"hidden size {options.hidden_size}, batches of {options.batch_size}, {threads} CPU thread(s), "
        f"median of {options.rounds} rounds, {options.clock} time"
    )
    for one in results:
        print(f"vocabulary {one['vocabulary']:,}")
        for name, speed in one["pairs_per_second"].items():
            print(f"  {name:<46} {speed:>8,.0f} pairs/s")
        print(f"  ours is {one['ratio']:.2f} x as fast")
        for name, operations in one.get("profile", {}).items():
            parts = ", ".join(f"{n} {100 * part:.0f} %" for n, part in operations.items())
            print(f"  {name}: {parts}")
    return 0


def compare(options: BenchOptions, lengths: NDArray[np.int64], words: int) -> dict[str, Any]:
    """Time training steps of ours and of theirs.

    Parameters
    ----------
    options : BenchOptions
    lengths : int array (N, 2)
        Words of premises and hypotheses.
    words : int
        Size of the vocabulary.

    Returns
    -------
    dict
        `pairs_per_second` by name (medians), and `ratio`, the median of the rounds' ratios.
    """
    pairs = random_pairs(lengths, words)
    precision = choose_precision(options.precision, choose_device("cpu"))
    config = TrainConfig(hidden_size=options.hidden_size, embedding_size=options.hidden_size)
    name, model = peer_model(options.peer, words, options.hidden_size)
    engines: dict[str, tuple[Step, Iterator[dict[str, Any]]]] = {
        f"esim train ({precision})": (
            our_step(config, words, precision),
            _batches(pairs, options.batch_size, pool=config.pool),
        ),
        name: (peer_step(model), _batches(pairs, options.batch_size, pool=1)),
    }
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    for step, batches in engines.values():
        for _ in range(WARM_UP):
            step(next(batches))
    for _ in range(options.rounds):
        for name, (step, batches) in engines.items():
            own = [next(batches) for _ in range(options.steps)]  # making batches is not timed
            began = clock()
            for batch in own:
                step(batch)
            seconds = clock() - began
            # Fewer than `batch_size` where the data has fewer pairs.
            speeds[name].append(sum(len(batch["labels"]) for batch in own) / seconds)
    ours, theirs = speeds.values()
    result = {
        "vocabulary": words,
        "pairs_per_second": {name: statistics.median(speed) for name, speed in speeds.items()},
        "ratio": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
    }
    if options.profile:
        result["profile"] = {n: profile(step, next(own)) for n, (step, own) in engines.items()}
    return result


def our_step(config: TrainConfig, words: int, precision: str) -> Step:
    """Return a function that makes one update as `esim train` does."""
    torch.manual_seed(config.seed)
    model = Esim(config, words).train()
    optimizers = make_optimizers(config, model)

    def step(batch: dict[str, Any]) -> None:
        half = (
            torch.autocast("cpu", torch.bfloat16)
            if precision == "bf16"
            else contextlib.nullcontext()
        )
        with half:
            loss, count, _ = loss_of(model, batch)
        loss.backward()
        scale_and_clip(model.parameters(), torch.tensor(1 / count), 10.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        loss.item()

    return step


def random_pairs(lengths: NDArray[np.int64], words: int) -> Pairs:
    """Return pairs of the given lengths (N, 2) with words drawn by Zipf's law and labels at random."""
    random = np.random.default_rng(1)

    def sentence(length: int) -> NDArray[np.int32]:
        ranks = np.exp(random.uniform(0, math.log(words - SPECIALS), length))
        return (SPECIALS - 1 + ranks).astype(np.int32)

    sides = [[sentence(int(n)) for n in lengths[:, side]] for side in (0, 1)]
    return Pairs(sides[0], sides[1], random.integers(0, 3, len(lengths)))


def profile(step: Step, batch: dict[str, Any]) -> dict[str, float]:
    """Return the longest operations of one step, each as a fraction of its time."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    step(batch)
    with torch_profile(activities=[ProfilerActivity.CPU]) as trace:
        step(batch)
    times = {entry.key: entry.self_cpu_time_total for entry in trace.key_averages()}
    total = sum(times.values())
    longest = sorted(times.items(), key=lambda pair: -pair[1])[:MOST_OPERATIONS]
    return {name.removeprefix("aten::"): spent / total for name, spent in longest}


def _batches(pairs: Pairs, size: int, *, pool: int) -> Iterator[dict[str, Any]]:
    """Yield full batches, epoch after epoch."""
    epoch = 0
    while True:
        for batch in bucketed_batches(
            pairs.lengths, batch_size=size, seed=1, epoch=epoch, pool=pool
        ):
            if len(batch) == size or len(pairs) < size:
                yield batch_of(pairs, batch)
        epoch += 1
