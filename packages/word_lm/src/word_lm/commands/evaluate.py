"""The verb `evaluate`: perplexities of a trained model, each by a named protocol of `word_lm.measures`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from shared.files import json_text
from shared.progress import progress_bar
from shared.torch.device import choose_device
from word_lm.commands.measured import resolve_text
from word_lm.commands.options import EvaluateOptions
from word_lm.data.dataset import encode_split
from word_lm.measures.dynamic import DynamicSettings, dynamic_perplexity, gradient_rms, tune_dynamic
from word_lm.measures.mixture import mixture_perplexity, tune_mixture
from word_lm.measures.neural_cache import cache_perplexity, tune_cache
from word_lm.measures.ngram import KneserNey
from word_lm.measures.protocols import (
    Evaluation,
    batch_1_perplexity,
    examples_perplexity,
    finite,
    sliding_window_perplexity,
    unknown_fraction,
    unknown_warning,
)
from word_lm.model.trained import load_run

DYNAMIC_RATES, DYNAMIC_DECAYS = (1.5e-5, 3e-5, 6e-5, 1.2e-4), (0.004, 0.016)
"""Grid of dynamic evaluation; on a laptop each pair takes about a minute."""
TUNING_TOKENS = 30_000
"""Tokens of the validation text that dynamic evaluation is tuned on."""


def run(options: EvaluateOptions) -> int:
    """Print perplexities of a trained model (verb `evaluate`)."""
    trained = load_run(options.run, device=choose_device(options.device))
    trained, data = resolve_text(trained, options.data, options.split)
    model, config = trained.model, trained.config
    needs_own_data = data is None or options.cache or options.dynamic or options.ngram
    own = trained.text().splits if needs_own_data else {}
    if data is None:
        ids = own[options.split]
    else:
        ids = encode_split(data, options.split, trained.vocabulary, config.tokenizer)

    results: list[Evaluation] = []
    # By content, since --data may name the same text: settings are chosen on it.
    is_tuned_on = bool(own) and np.array_equal(ids, own["valid"])
    unknown = unknown_fraction(ids, trained.vocabulary)

    def bar(label: str, total: int) -> Any:
        return progress_bar(total, label=label, unit="token", quiet=options.json)

    def add(measure: Callable[..., Evaluation], *inputs: Any, **settings: Any) -> None:
        with bar(options.split, len(ids)) as progress:
            one = measure(model, ids, *inputs, **settings, progress=progress.update)
        tell(one, is_tuned=measure in (cache_perplexity, dynamic_perplexity))

    def tell(one: Evaluation, *, is_tuned: bool = False) -> None:
        if is_tuned and is_tuned_on:
            one = replace(one, protocol=f"{one.protocol}, settings chosen on this very text")
        one = replace(one, unknown=unknown)
        results.append(one)
        if not options.json:
            print(line(one), flush=True)

    # As in training: a model that was trained on segments from an empty state is measured on such segments.
    carry = config.carry
    for protocol in options.protocols:
        if protocol == "batch10":
            add(examples_perplexity, segment=config.bptt, is_state_carried=carry)
        elif protocol == "batch1":
            add(batch_1_perplexity, segment=config.bptt, is_state_carried=carry)
        else:
            window = min(options.window, trained.max_words or options.window)
            add(sliding_window_perplexity, window=window, stride=max(1, window // 4))
    if options.cache:
        with bar("tuning the cache", len(own["valid"])) as progress:
            cache, _ = tune_cache(
                model,
                own["valid"],
                segment=config.bptt,
                is_state_carried=carry,
                progress=progress.update,
            )
        add(cache_perplexity, cache, segment=config.bptt, is_state_carried=carry)
    if options.dynamic:
        columns = min(100, len(own["train"]) // 2)
        # Without a carried state, segments shorter than those of training would have less context.
        segment = DynamicSettings().segment if carry else config.bptt
        rms = gradient_rms(
            model,
            own["train"],
            segment=segment,
            batch=columns,
            max_segments=200,
            is_state_carried=carry,
        )
        pairs = len(DYNAMIC_RATES) * len(DYNAMIC_DECAYS)
        total = pairs * min(TUNING_TOKENS, len(own["valid"]))
        with bar("tuning dynamic evaluation", total) as progress:
            dynamic, _ = tune_dynamic(
                model,
                own["valid"],
                rms,
                learning_rates=DYNAMIC_RATES,
                decays=DYNAMIC_DECAYS,
                start=DynamicSettings(segment=segment),
                max_tokens=TUNING_TOKENS,
                is_state_carried=carry,
                progress=progress.update,
            )
        add(dynamic_perplexity, rms, dynamic, is_state_carried=carry)
    if options.ngram:
        ngram = KneserNey(own["train"], len(trained.vocabulary))
        reading: dict[str, Any] = {"segment": config.bptt, "is_state_carried": carry}
        tell(ngram.evaluate(ids))
        weight = tune_mixture(model, ngram, own["valid"], **reading)
        tell(mixture_perplexity(model, ngram, ids, weight, **reading), is_tuned=True)
    warning = unknown_warning(unknown)
    if warning:
        print(warning, file=sys.stderr)
    if options.json:
        figures = [asdict(one) | {"perplexity": finite(one.perplexity)} for one in results]
        first = finite(results[0].perplexity)
        print(json_text({"ppl": first, "split": options.split, "figures": figures}))
    return 0


def line(result: Evaluation) -> str:
    """Return a perplexity, its protocol and its counts, for people."""
    starts = f"{result.cold_starts:,} start{'s' if result.cold_starts != 1 else ''} without context"
    counts = f"{result.predicted:,} tokens predicted, {result.dropped:,} dropped, {starts}"
    if result.unknown is not None:
        counts += f", {100 * result.unknown:.1f} % <unk>"
    return f"ppl {result.perplexity:9.2f}  {result.protocol} ({counts})"
