"""WikiText's tokens to plain text and back, and figures of repetition."""

from __future__ import annotations

import pytest

from word_lm.data.wording import (
    Detokenizer,
    detokenize,
    distinct_n,
    prompt_tokens,
    quality,
    repetition_rate,
)


@pytest.mark.parametrize(
    "tokens, plain",
    [
        ("a well @-@ known man", "a well-known man"),
        ("1 @,@ 000 people and 3 @.@ 5 % more", "1,000 people and 3.5% more"),
        ("He said , it was ( as ever ) fine .", "He said, it was (as ever) fine."),
        ('the " cutter " , and " more "', 'the "cutter", and "more"'),
        (
            "it doesn 't matter ; the players ' choice is John 's",
            "it doesn't matter; the players' choice is John's",
        ),
        (
            "one line . <eos> Another <eos> <eos> = Title = <eos>",
            "one line.\nAnother\n\n= Title =\n",
        ),
        ("\u4eca \u5929 \u5929\u6c14 , Mr \u674e said", "\u4eca\u5929\u5929\u6c14, Mr \u674e said"),
        ('an open " quote <eos> " new line "', 'an open "quote\n"new line"'),
        ("", ""),
    ],
)
def test_wikitext_becomes_plain_text(tokens, plain):
    assert detokenize(tokens.split()) == plain


def test_streaming_gives_the_same_text_piece_by_piece():
    shown = Detokenizer()
    assert [shown.feed(token) for token in ["a", "well", "@-@", "known", ",", "(", "b", ")"]] == [
        "a", " well", "-", "known", ",", " (", "b", ")",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "plain, tokens",
    [
        (
            "a well-known man, 1,000 times (3.5%).",
            "a well @-@ known man , 1 @,@ 000 times ( 3 @.@ 5 % ) .",
        ),
        ("It doesn't\nmatter", "It doesn 't <eos> matter"),
        ('"Yes", he said', '" Yes " , he said'),
        ("already @-@ tokenized , with <unk>", "already @-@ tokenized , with <unk>"),
        ("U.S. is known", "U.S. is known"),
        ("हिन्दी, cafe\u0301-bar", "हिन्दी , cafe\u0301 @-@ bar"),  # marks belong to their letters
    ],
)
def test_a_typed_prompt_becomes_wikitext(plain, tokens):
    assert prompt_tokens(plain, {"U.S.", "a", "is"}) == tokens.split()


def test_a_prompt_of_another_tokenizer_is_left_to_it():
    assert prompt_tokens("Don't stop", set(), "word") == ["don", "t", "stop"]


def test_distinct_n_is_the_share_of_different_n_grams():
    assert distinct_n("a b a b a".split(), 1) == 2 / 5
    assert distinct_n("a b a b a".split(), 2) == 2 / 4
    assert distinct_n(["a"], 2) == 1


def test_repetition_looks_back_as_far_as_its_window():
    assert repetition_rate("a b c a".split(), window=3) == 1 / 4
    assert repetition_rate("a b c a".split(), window=2) == 0
    assert repetition_rate([]) == 0


def test_quality_of_a_loop_and_of_a_text_without_repetition():
    loop, varied = quality(["a", "b"] * 20), quality([str(i) for i in range(39)] + ["<unk>"])
    assert (
        loop.distinct_1 == 2 / 40
        and loop.repeated_4 == pytest.approx(35 / 37)
        and loop.repetition == 38 / 40
    )
    assert (varied.distinct_1, varied.distinct_2, varied.repeated_4, varied.repetition) == (
        1,
        1,
        0,
        0,
    )
    assert varied.unknown == 1 / 40
