"""`load(RUN)` gives the command line's figures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

import word_lm as package
from shared.errors import UserError
from word_lm import load
from word_lm.loaded import LoadedModel

Caller = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(small_run: Path) -> LoadedModel:
    return load(small_run, device="cpu")


def test_generated_text_is_that_of_the_command(
    model: LoadedModel, word_lm: Caller, small_run: Path
) -> None:
    text = model.generate("the", words=12, seed=3, top_k=20)
    printed = word_lm(
        "generate", small_run, "--prompt", "the", "--words", 12, "--seed", 3, "--top-k", 20
    )[1]
    assert printed == f"{text}\n"
    assert len(text.tokens) == 12 and text.log_prob < 0


def test_score_is_the_sum_of_surprisals_whatever_is_scored_beside_it(model: LoadedModel) -> None:
    texts = ["the", f"the {model.vocabulary.tokens[9]} . zzz", " ".join(["the a"] * 30)]
    together = model.score(texts)
    assert isinstance(together, list) and len(together) == 3
    for text, one in zip(texts, together, strict=True):
        alone = model.score(text)
        assert alone.log_prob == pytest.approx(one.log_prob, rel=1e-5)
        bits = sum(row.bits for row in model.surprisal(text))
        assert one.log_prob == pytest.approx(-bits * math.log(2), rel=1e-5)
        assert one.perplexity == pytest.approx(math.exp(-one.log_prob / len(one.tokens)))
    assert together[1].unknown == 1 / 4 and together[1].tokens[-1] == "<unk>"
    assert model.surprisal(texts[1])[-1].token == "zzz"
    with pytest.raises(UserError, match="empty"):
        model.score([""])
    with pytest.raises(UserError, match="The text is empty"):
        model.surprisal("")


def test_next_words_are_probabilities_and_greedy_decoding_takes_the_first(
    model: LoadedModel,
) -> None:
    words = model.next_words("the", count=len(model.vocabulary))
    assert sum(probability for _, probability in words) == pytest.approx(1, abs=1e-5)
    assert [p for _, p in words] == sorted((p for _, p in words), reverse=True)
    assert model.generate("the", 1, temperature=0, ban=()).tokens[0] == words[0][0]
    with pytest.raises(UserError, match="count is -1"):
        model.next_words("the", -1)


def test_unknown_words_of_a_prompt_are_warned_of(model: LoadedModel) -> None:
    for use in (lambda: model.generate("the zzz", 1), lambda: model.next_words("the zzz", 1)):
        with pytest.warns(UserWarning, match='lacks "zzz"') as warned:
            use()
        assert [one.filename for one in warned] == [__file__]


def test_perplexity_is_that_of_the_summary(model: LoadedModel, small_run: Path) -> None:
    metrics = json.loads((small_run / "summary.json").read_text())["metrics"]
    assert model.evaluate().perplexity == pytest.approx(metrics["test_ppl"], rel=1e-6)
    assert model.evaluate("valid").perplexity == pytest.approx(metrics["valid_ppl"], rel=1e-6)
    with pytest.raises(UserError, match="train, valid, test"):
        model.evaluate("dev")


def test_it_says_what_it_is(model: LoadedModel, small_run: Path) -> None:
    assert repr(model).startswith("LoadedModel(lstm, ") and str(small_run) in repr(model)
    assert {"generate", "score", "surprisal", "next_words", "evaluate", "vocabulary"} <= set(
        dir(model)
    )
    assert {"load", "LoadedModel"} <= set(dir(package))
