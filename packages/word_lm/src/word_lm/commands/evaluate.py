"""The verb `evaluate`: perplexities of a trained model, each by a named protocol.

The protocols are in `word_lm.measures.protocols`, what adapts to the text in `word_lm.measures.neural_cache` and `word_lm.measures.dynamic`, the
baseline in `word_lm.measures.ngram`, both together in `word_lm.measures.mixture`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from shared.errors import UserError
from shared.progress import progress_bar
from shared.torch.device import choose_device
from word_lm.commands.options import EvaluateOptions
from word_lm.data.dataset import Text, encode_split, load_text
from word_lm.measures.dynamic import DynamicSettings, dynamic_perplexity, gradient_rms, tune_dynamic
from word_lm.measures.mixture import mixture_perplexity, tune_mixture
from word_lm.measures.neural_cache import cache_perplexity, tune_cache
from word_lm.measures.ngram import KneserNey
from word_lm.measures.protocols import (
    Evaluation,
    batch_1_perplexity,
    examples_perplexity,
    perplexity,
    sliding_window_perplexity,
    token_nll,
)
from word_lm.model.trained import TrainedModel, load_run

__all__ = [
    "Evaluation",
    "KneserNey",
    "batch_1_perplexity",
    "cache_perplexity",
    "dynamic_perplexity",
    "examples_perplexity",
    "gradient_rms",
    "line",
    "own_text",
    "perplexity",
    "sliding_window_perplexity",
    "token_nll",
    "tune_cache",
    "tune_dynamic",
]


DYNAMIC_RATES, DYNAMIC_DECAYS = (1.5e-5, 3e-5, 6e-5, 1.2e-4), (0.004, 0.016)
"""What is tried for dynamic evaluation; on a laptop each pair takes a minute or so."""
TUNING_TOKENS = 30_000
"""Tokens of the validation text that dynamic evaluation is tuned on."""


def run(options: EvaluateOptions) -> int:
    """Print perplexities of a trained model (verb `evaluate`)."""
    trained = load_run(options.model, device=choose_device("auto"))
    model, config = trained.model, trained.config
    needs_own_data = options.data is None or options.cache or options.dynamic or options.ngram
    own = own_text(trained).splits if needs_own_data else {}
    if options.data is None:
        ids = own[options.split]
    else:
        ids = encode_split(options.data, options.split, trained.vocabulary, config.tokenizer)

    found: list[Evaluation] = []
    is_tuned_on = options.data is None and options.split == "valid"

    def bar(label: str, total: int) -> Any:
        return progress_bar(total, label=label, unit="token", quiet=options.json)

    def add(measure: Callable[..., Evaluation], *inputs: Any, **settings: Any) -> None:
        with bar(options.split, len(ids)) as progress:
            one = measure(model, ids, *inputs, **settings, progress=progress.update)
        tell(one, is_tuned=measure in (cache_perplexity, dynamic_perplexity))

    def tell(one: Evaluation, *, is_tuned: bool = False) -> None:
        if is_tuned and is_tuned_on:
            one = replace(one, protocol=f"{one.protocol}, settings chosen on this very text")
        found.append(one)
        if not options.json:
            print(line(one), flush=True)

    # As in training: a model that never met a state, or places further on, would be asked what it never learned.
    carry = config.carry
    for protocol in options.protocols:
        if protocol == "batch10":
            add(examples_perplexity, segment=config.bptt, is_state_carried=carry)
        elif protocol == "batch1":
            add(batch_1_perplexity, segment=config.bptt, is_state_carried=carry)
        else:
            window = options.window if carry else min(options.window, config.bptt)
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
        # A model without a carried state would lose context with stretches shorter than those it learned.
        stretch = DynamicSettings().segment if carry else config.bptt
        rms = gradient_rms(
            model,
            own["train"],
            segment=stretch,
            batch=columns,
            most_segments=200,
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
                start=DynamicSettings(segment=stretch),
                most_tokens=TUNING_TOKENS,
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
    if options.json:
        figures = [asdict(one) for one in found]
        print(json.dumps({"ppl": found[0].perplexity, "split": options.split, "figures": figures}))
    return 0


def own_text(trained: TrainedModel) -> Text:
    """Return the data that a run was trained on.

    Raises
    ------
    UserError
        It is not there, or it is no longer what it was.
    """
    text = load_text(trained.config)
    if text.vocabulary != trained.vocabulary:
        raise UserError(
            f"{trained.path}: the data of this run has changed since: its vocabulary is another. "
            "Name the text with --data, and leave out --cache, --dynamic and --ngram."
        )
    return text


def line(found: Evaluation) -> str:
    """Return a perplexity and what it was measured on, for people."""
    starts = f"{found.cold_starts:,} cold start{'s' if found.cold_starts != 1 else ''}"
    counts = f"{found.predicted:,} tokens predicted, {found.dropped:,} not, {starts}"
    return f"ppl {found.perplexity:9.2f}  {found.protocol} ({counts})"
