"""The verb `bench`: speed against the assignment in numpy, and against gensim where it is installed.

Every engine runs once in each round, in turn, so that a drift of the machine's speed is the same for all of them;
medians and ratios are printed.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbow.commands.options import BenchOptions
from cbow.config import TrainConfig
from cbow.data.dataset import END_OF_LINE, count_words, encode, find_corpus
from cbow.data.synonyms import load_synonyms
from cbow.kernels import SAMPLES, stream_key
from cbow.kernels.build import build_engine, compile_engine
from cbow.measure import synonym_recall
from cbow.model.reference import loss as cross_entropy
from cbow.model.reference import one_hot, softmax, windows
from cbow.model.vectors import WordVectors
from cbow.model.weights import initial_weights
from cbow.schedule import learning_rate
from cbow.train import train
from shared.command.options import RunOptions
from shared.extras import install_command

EXACT = TrainConfig(epochs=1)
SAMPLING = TrainConfig(
    objective="negative",
    dimension=100,
    window=5,
    negatives=5,
    initial="word2vec",
    learning_rate=0.05,
    schedule="linear",
    epochs=10,
    cbow_gradient="word2vec",
)
BATCH = 32
BATCHED = f"cbow --batch-size {BATCH}"
NAIVE_SAMPLES = 2000
PER_WORD = "numpy, dense update a word"
PER_SAMPLE = "numpy, dense update a sample"
LARGE_VOCABULARY = 50_000
SMALL = 4_000_000  # tokens, more than one block
STARTS = 5


def run(options: BenchOptions) -> int:
    """Time the engines and print tables (verb `bench`)."""
    with tempfile.TemporaryDirectory(prefix="cbow-bench-") as folder:
        bench = _Bench(options, Path(folder))
        results: dict[str, Any] = {"start_up": start_up_seconds(), "exact": bench.exact()}
        results["sampling"] = bench.sampling()
        if options.large:
            results["large"] = large_corpus(options.large, options.threads, Path(folder))
    if options.json:
        print(json.dumps(results))
        return 0
    print("\n".join(_as_text(results, options)))
    return 0


class _Bench:
    """Reads the corpus once, and makes each comparison on it."""

    def __init__(self, options: BenchOptions, folder: Path) -> None:
        self.options = options
        config = replace(EXACT, data=options.data)
        corpus = find_corpus(config)
        self.vocabulary = count_words(corpus, config, quiet=True)
        self.encoded = encode(corpus, self.vocabulary, folder / "corpus.ids", quiet=True)
        _, self.ids = next(self.encoded.blocks())
        # All engines train on the first block alone.
        self.tokens = int((self.ids != END_OF_LINE).sum())
        self.synonyms = load_synonyms(corpus.synonyms) if corpus.synonyms else {}

    def exact(self) -> dict[str, Any]:
        """Compare batch-1 SGD with the full softmax to the assignment's numpy loop, in samples a second."""
        first = initial_weights(len(self.vocabulary), EXACT.dimension, EXACT.seed)
        engine = build_engine(EXACT, self.encoded.counts, *first)
        compile_engine(EXACT)

        def ours() -> float:
            engine.set_weights(*first)
            stats = engine.new_stats()
            seconds = _timed(lambda: engine.run(self.ids, engine.new_control(self.ids), stats, 0.1))
            return float(stats[:, SAMPLES].sum()) / seconds

        def with_loop(loop: Callable[..., float]) -> Callable[[], float]:
            def theirs() -> float:
                U, V = first[0].copy(), first[1].copy()
                return len(samples) / _timed(lambda: loop(U, V, samples, 0.1))

            return theirs

        lines = itertools.islice(self._lines(), NAIVE_SAMPLES)
        samples = [sample for line in lines for sample in windows(line, EXACT.window)]
        samples = samples[:NAIVE_SAMPLES]
        loops = {PER_WORD: with_loop(loop_per_word), PER_SAMPLE: with_loop(loop_per_sample)}
        return _compare(self.options.runs, {"cbow": ours, **loops})

    def sampling(self) -> dict[str, Any]:
        """Compare negative sampling to gensim at the same settings, in words a second, with both recalls.

        Every round has a seed of its own, so that the mean recalls can be compared.
        """
        settings = replace(SAMPLING, threads=self.options.threads)
        recalls: dict[str, list[float | None]] = {}

        def with_batches(name: str, batch_size: int) -> Callable[[], float]:
            own, recalls[name] = replace(settings, batch_size=batch_size), []
            compile_engine(own)

            def ours() -> float:
                config = replace(own, seed=len(recalls[name]) + 1)
                first = initial_weights(
                    len(self.vocabulary), config.dimension, config.seed, config.initial
                )
                engine = build_engine(config, self.encoded.counts, *first)
                seconds = _timed(lambda: self._epochs(engine, config))
                recalls[name].append(self._recall(list(self.vocabulary), engine.weights()[0]))
                return config.epochs * self.tokens / seconds

            return ours

        engines = {"cbow": with_batches("cbow", 1), BATCHED: with_batches(BATCHED, BATCH)}
        if importlib.util.find_spec("gensim") is not None:
            lines = [[self.vocabulary.tokens[i] for i in line] for line in self._lines()]
            recalls["gensim"] = []

            def theirs() -> float:
                config = replace(settings, seed=len(recalls["gensim"]) + 1)
                model = gensim_model(config)
                model.build_vocab(lines)
                seconds = _timed(
                    lambda: model.train(lines, total_examples=len(lines), epochs=config.epochs)
                )
                recalls["gensim"].append(self._recall(model.wv.index_to_key, model.wv.vectors))
                return config.epochs * self.tokens / seconds

            engines["gensim"] = theirs
        speeds = _compare(self.options.runs, engines)
        measured = {name: [r for r in values if r is not None] for name, values in recalls.items()}
        if not all(measured.values()):
            return speeds  # the corpus has no list, or another corpus' list
        means = {name: statistics.mean(values) for name, values in measured.items()}
        deviations = {name: statistics.pstdev(values) for name, values in measured.items()}
        return {**speeds, "recall_at_40": means, "recall_deviation": deviations}

    def _epochs(self, engine: Any, config: TrainConfig) -> None:
        for epoch in range(config.epochs):
            rate, slope = learning_rate(config, epoch, 0, len(self.ids))
            control, stats = engine.new_control(self.ids), engine.new_stats()
            key = stream_key(config.seed, epoch, 0)
            engine.run(self.ids, control, stats, rate, rate_slope=slope, key=key)

    def _lines(self) -> Iterator[NDArray[np.int32]]:
        ends = np.flatnonzero(self.ids == END_OF_LINE)
        yield from (
            line[line != END_OF_LINE] for line in np.split(self.ids, ends + 1) if len(line) > 1
        )

    def _recall(self, tokens: list[str], rows: NDArray[Any]) -> float | None:
        if not self.synonyms:
            return None
        return synonym_recall(WordVectors(tokens, rows), self.synonyms, resamples=1).recall


def loop_per_word(
    U: NDArray[Any], V: NDArray[Any], samples: list[tuple[list[int], int]], rate: float
) -> float:
    """Train in numpy with the formulas as they are usually written: one-hot vectors and dense products.

    Every context word is a one-hot vector times U, and is updated by a dense outer product.

    Parameters
    ----------
    U, V : float64 arrays (V, D) and (D, V)
        Changed in place.
    samples : list of (context ids, target id)
    rate : float

    Returns
    -------
    float
        Mean loss (nats).
    """
    total = 0.0
    for context, target in samples:
        inputs = [one_hot(len(U), word) for word in context]
        hidden = np.mean([word @ U for word in inputs], axis=0)  # (D,)
        loss, error, d_hidden = _numpy_step(hidden, V, target)
        V -= rate * np.outer(hidden, error)
        for word in inputs:
            U -= rate * np.outer(word, d_hidden / len(inputs))
        total += loss
    return total / len(samples)


def loop_per_sample(
    U: NDArray[Any], V: NDArray[Any], samples: list[tuple[list[int], int]], rate: float
) -> float:
    """Train like `loop_per_word`, but with one product and one dense update of U for each sample."""
    total = 0.0
    for context, target in samples:
        inputs = np.mean([one_hot(len(U), word) for word in context], axis=0)  # (V,)
        hidden = inputs @ U
        loss, error, d_hidden = _numpy_step(hidden, V, target)
        V -= rate * np.outer(hidden, error)
        U -= rate * np.outer(inputs, d_hidden)
        total += loss
    return total / len(samples)


def _numpy_step(
    hidden: NDArray[Any], V: NDArray[Any], target: int
) -> tuple[float, NDArray[Any], NDArray[Any]]:
    """Return loss, error (V,) and gradient of the hidden layer (D,)."""
    scores = hidden @ V
    error = softmax(scores) - one_hot(len(scores), target)
    return cross_entropy(scores, target), error, V @ error


def gensim_model(config: TrainConfig) -> Any:
    """Return gensim's untrained Word2Vec at the same settings."""
    from gensim.models import Word2Vec

    return Word2Vec(
        vector_size=config.dimension,
        window=config.window,
        min_count=1,
        workers=config.threads,
        sg=0,
        negative=config.negatives,
        ns_exponent=config.negative_power,
        sample=config.subsample,
        alpha=config.learning_rate,
        min_alpha=config.min_learning_rate,
        seed=config.seed,
        shrink_windows=config.shrink_window,
    )


def start_up_seconds() -> dict[str, float]:
    """Return the median seconds of `cbow --help` in a process of its own."""
    command = [sys.executable, "-m", "cbow", "--help"]

    def start() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return {"seconds": statistics.median(_timed(start) for _ in range(STARTS))}


def large_corpus(million_tokens: int, threads: int, folder: Path) -> dict[str, Any]:
    """Train one epoch on a small and on a large made-up text; return seconds and peak memory of both.

    Words are drawn by Zipf's law, 20 a line; the text is written a piece at a time.
    """
    config = replace(
        SAMPLING, epochs=1, threads=threads, max_vocab_size=LARGE_VOCABULARY, dimension=100
    )
    results: dict[str, Any] = {"million_tokens": million_tokens}
    for name, tokens in (("small", SMALL), ("large", million_tokens * 1_000_000)):
        path = folder / f"{name}.txt"
        write_made_up_text(path, tokens)
        began = time.perf_counter()
        train(replace(config, data=str(path)), RunOptions(out=str(folder / name), quiet=True))
        results[f"{name}_seconds"] = time.perf_counter() - began
        results[f"{name}_peak_megabytes"] = _peak_megabytes()
        path.unlink()
    return results


def write_made_up_text(path: Path, tokens: int) -> None:
    """Write `tokens` words by Zipf's law, 20 a line, a piece at a time."""
    random = np.random.default_rng(1)
    words = np.array([f"w{i}" for i in range(LARGE_VOCABULARY)])
    weights = 1 / np.arange(1, LARGE_VOCABULARY + 1)
    bounds = np.cumsum(weights / weights.sum())
    with path.open("w", encoding="ascii") as file:
        for start in range(0, tokens, 1_000_000):
            count = min(1_000_000, tokens - start)
            drawn = words[np.searchsorted(bounds, random.random(count)).clip(max=len(words) - 1)]
            for line in range(0, count, 20):
                file.write(" ".join(drawn[line : line + 20]) + "\n")


def _compare(runs: int, engines: dict[str, Callable[[], float]]) -> dict[str, Any]:
    """Run every engine once a round; return the median speed of each and the ratios of ours to the others.

    Ours are those whose names begin with "cbow". `ratio` has those of the first, `ratios` those of each of ours.
    """
    speeds: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(runs):
        for name, engine in engines.items():
            speeds[name].append(engine())
    ours = [name for name in engines if name.startswith("cbow")]
    ratios = {
        own: {
            name: statistics.median(a / b for a, b in zip(speeds[own], speeds[name], strict=True))
            for name in engines
            if name not in ours
        }
        for own in ours
    }
    return {
        "per_second": {name: statistics.median(s) for name, s in speeds.items()},
        "ratio": ratios[ours[0]],
        "ratios": ratios,
    }


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _peak_megabytes() -> float | None:
    """Return the peak memory of this process, None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kilobytes here


def _as_text(results: dict[str, Any], options: BenchOptions) -> list[str]:
    lines = [f"`cbow --help`: {results['start_up']['seconds']:.2f} s (median of {STARTS})", ""]
    for title, name, unit in (
        ("exact engine, full softmax, D 20, window 4, one thread", "exact", "samples/s"),
        (
            f"negative sampling, D 100, window 5, 5 negatives, {options.threads} thread(s)",
            "sampling",
            "words/s",
        ),
    ):
        lines.append(f"{title} (medians of {options.runs})")
        for engine, speed in results[name]["per_second"].items():
            ratios = results[name]["ratios"].items()
            times = [f"{own} is {r[engine]:.1f}" for own, r in ratios if engine in r]
            recall = results[name].get("recall_at_40", {}).get(engine)
            line = f"  {engine:<29} {speed:>12,.0f} {unit}"
            if recall is not None:
                deviation = results[name]["recall_deviation"][engine]
                line += f"   recall@40 {100 * recall:.2f} +- {100 * deviation:.2f} %"
            lines.append(line + (f"   {', '.join(times)} x as fast" if times else ""))
        lines.append("")
    if "gensim" not in results["sampling"]["per_second"]:
        lines.append(
            f"gensim is not installed: {install_command('dltasks-cbow', 'peers')} to compare to it too."
        )
    if "large" in results:
        big = results["large"]
        for name, million in (("small", SMALL // 1_000_000), ("large", big["million_tokens"])):
            seconds, peak = big[f"{name}_seconds"], big[f"{name}_peak_megabytes"]
            memory = "peak memory unknown" if peak is None else f"peak {peak:.0f} MB"
            lines.append(f"made-up text, {million} million tokens: {seconds:.1f} s, {memory}")
    return lines
