from __future__ import annotations

import numpy as np
import pytest

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.text import (
    SPECIALS,
    WordCodec,
    mark_tokens,
    tokenize_with,
    truncate,
    word_spans,
)


def test_marks_and_contractions_are_tokens_and_html_is_not() -> None:
    assert mark_tokens("Don't go!!<br />It's _not_ good... (3/10)") == [
        "don't", "go", "!!", "it's", "not", "good", "...", "(", "3", "/", "10", ")",
    ]  # fmt: skip


def test_truncation_keeps_what_it_says() -> None:
    ids = np.arange(12, dtype=np.int32)
    assert truncate(ids, 8, "head").tolist() == list(range(8))
    assert truncate(ids, 8, "tail").tolist() == list(range(4, 12))
    assert truncate(ids, 8, "head_tail").tolist() == [0, 1, 6, 7, 8, 9, 10, 11]
    assert truncate(ids, 12, "tail") is ids
    assert all(
        len(truncate(ids, size, how)) == size
        for size in range(1, 12)
        for how in ("head", "tail", "head_tail")
    )


def codec(texts: list[str], **settings: object) -> WordCodec:
    config = TrainConfig(**{"min_count": 1, **settings})  # type: ignore[arg-type]
    return WordCodec.build(config, texts)


def test_ids_of_specials_come_first_and_unknown_words_are_unknown() -> None:
    built = codec(["good film", "good plot"])
    assert built.vocabulary.tokens[:3] == (*SPECIALS, "good")
    (ids,) = built.encode(["good weather"])
    assert ids.tolist() == [2, built.unknown_id]


@pytest.mark.parametrize("text", ["", "   ", "<br />"])
def test_review_without_a_token_is_one_unknown(text: str) -> None:
    built = codec(["good film"])
    (ids,) = built.encode([text])
    assert ids.tolist() == [built.unknown_id]


@pytest.mark.parametrize("tokenizer", ["marks", "review"])
def test_spans_are_the_positions_of_the_tokens(tokenizer: str) -> None:
    text = "It's<br />SO good!! And then... the_end, <BR> well."
    built = codec([text], tokenizer=tokenizer, max_tokens=6, truncation="head_tail")
    spans = built.spans(text)
    assert spans is not None
    (ids,) = built.encode([text])
    words = [built.vocabulary.tokens[i] for i in ids.tolist()]
    assert [text[a:b].lower() for a, b in spans] == words


def test_spans_are_not_guessed_where_lower_case_has_other_letters() -> None:
    assert codec(["x"]).spans("İstanbul is good") is None


def test_word_spans_leave_out_breaks_and_marks() -> None:
    text = "Don't<br />stop, now!"
    assert [text[a:b] for a, b in word_spans(text)] == ["Don't", "stop", "now"]


TYPOGRAPHIC = [
    ("I don't recommend it.", "I don\u2019t recommend it."),
    ('A "classic" - not!', "A \u201cclassic\u201d \u2014 not\uff01"),
    ("Well... no", "Well\u2026 no"),
    ("caf\u00e9", "cafe\u0301"),
]


@pytest.mark.parametrize("plain, typographic", TYPOGRAPHIC)
@pytest.mark.parametrize("name", ["marks", "review", "unicode"])
def test_typographic_variants_are_the_same_words(name: str, plain: str, typographic: str) -> None:
    tokenize = tokenize_with(name)
    assert tokenize(typographic) == tokenize(plain)


def test_scripts_without_spaces_are_characters_and_marks_stay_with_their_letters() -> None:
    assert mark_tokens("很好看! OK\u3002") == ["很", "好", "看", "!", "ok", "\u3002"]
    assert mark_tokens("हिन्दी फ़िल्म") == ["हिन्दी", "फ़िल्म"]
