"""The verb `generate`."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from shared.torch.device import choose_device
from word_lm.commands.options import GenerateOptions
from word_lm.data.dataset import UNKNOWN
from word_lm.data.prompt import read_prompt
from word_lm.data.wording import Detokenizer, quality
from word_lm.generate import Generated, generate, store_by_columns
from word_lm.model.trained import load_run


def run(options: GenerateOptions) -> int:
    """Generate a text and print it word by word (verb `generate`)."""
    trained = load_run(options.run, device=choose_device(options.device))
    store_by_columns(trained.model)
    prompt = read_prompt(
        trained.vocabulary, options.prompt, tokenizer_name=trained.config.tokenizer
    )
    if prompt.notice:
        print(prompt.notice, file=sys.stderr)
    shown = Detokenizer()

    def show(token: str) -> None:
        print(shown.feed(token), end="", flush=True)

    for token in () if options.json else prompt.tokens:
        show(token)
    started = time.perf_counter()
    text = generate(
        trained.model,
        trained.vocabulary,
        prompt,
        options.words,
        seed=options.seed,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        repetition_penalty=options.repetition_penalty,
        ban=(UNKNOWN,) if options.ban_unk else (),
        beams=options.beams,
        on_word=None if options.json else show,
    )
    if options.json:
        print(json.dumps(_facts(text, options, time.perf_counter() - started), ensure_ascii=False))
    else:
        print()
    return 0


def _facts(text: Generated, options: GenerateOptions, seconds: float) -> dict[str, Any]:
    return {
        "text": str(text),
        "tokens": text.tokens,
        "unknown": text.prompt.unknown,
        "log_prob": text.log_prob,
        "seed": options.seed,
        "words_per_second": len(text.tokens) / max(seconds, 1e-9),
        "quality": asdict(quality(text.tokens)),
    }
