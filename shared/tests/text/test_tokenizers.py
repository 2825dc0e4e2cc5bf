from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from shared.text import tokenizers
from shared.text.tokenizers import (
    TOKENIZERS,
    coursework_tokens,
    has_phrases,
    nltk_lower_tokens,
    nltk_tokens,
    review_tokens,
    space_tokens,
    tokenizer,
    unicode_tokens,
    word_tokens,
)

# Characters on which a shortcut could go wrong: separators of every kind, case changes of length, digits of other
# scripts, combining marks, and a lone surrogate.
TRICKY = st.text(
    st.sampled_from(
        "aZ_09 .,'\"-\t\n\x00\x1c\x85\xa0\xad\u0130\u00df\u01c5\u0301\u0663\u2028\u4e2d\ud800"
    )
)


@settings(deadline=None)
@given(st.text() | TRICKY)
def test_coursework_tokens_equal_the_courseworks_definition(text):
    assert coursework_tokens(text) == [word for word in re.split(r"\W", text.lower()) if word]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cn", "Mn", "Mc", "Me", "Cf", "So"])))
def test_word_tokens_of_text_without_combining_marks_are_those_of_the_coursework(text):
    text = unicodedata.normalize("NFC", text.lower())
    assume(not any(unicodedata.combining(character) for character in text))
    connectors = re.compile("[\u203f\u2040\u2054\ufe33\ufe34\ufe4d-\ufe4f\uff3f]")
    assume(not connectors.search(text))
    assert word_tokens(text) == coursework_tokens(text)


WORDS = {
    "Hindi": ("हिन्दी में फ़िल्म", ["हिन्दी", "में", "फ़िल्म"]),
    "Turkish": ("İstanbul'da", ["i\u0307stanbul", "da"]),
    "decomposed": ("cafe\u0301 de\u0301ja\u0300", ["café", "déjà"]),
    "composed": ("café déjà", ["café", "déjà"]),
    "Bengali": ("বাংলা ছবি", ["বাংলা", "ছবি"]),
    "Arabic": ("العَرَبِيَّة جَمِيلَة", ["العَرَبِيَّة", "جَمِيلَة"]),
    "Hebrew": ("שָׁלוֹם עולם", ["שָׁלוֹם", "עולם"]),
    "Persian": ("می\u200cخواهم برم", ["می\u200cخواهم", "برم"]),
    "Tamil": ("தமிழ் படம்", ["தமிழ்", "படம்"]),
    "Thai": ("ภาพยนตร์ น้ำ", ["ภาพยนตร์", "น้ำ"]),
    "Korean": ("한국어 영화", ["한국어", "영화"]),
    "decomposed Korean": (unicodedata.normalize("NFD", "한국어 영화"), ["한국어", "영화"]),
    "emoji": ("so good ❤\ufe0f 👨\u200d👩 👍🏽!", ["so", "good"]),
    "stroke": ("q\u0307 x", ["q\u0307", "x"]),  # no composed form
}


@pytest.mark.parametrize("case", WORDS)
@pytest.mark.parametrize("split", [word_tokens, review_tokens])
def test_marks_belong_to_their_letters(case, split):
    text, expected = WORDS[case]
    assert split(text) == [unicodedata.normalize("NFC", word) for word in expected]
    assert split(unicodedata.normalize("NFD", text)) == split(text)


def test_unicode_tokens_are_those_of_text_segmentation():
    assert unicode_tokens("I don't know: 3.14 or U.S.A., a_b ❤\ufe0f") == [
        "i", "don't", "know", "3.14", "or", "u.s.a", "a_b"
    ]  # fmt: skip
    assert unicode_tokens("我喜欢 हिन्दी") == ["我", "喜", "欢", "हिन्दी"]


def test_word_tokens_of_the_courseworks_example():
    assert word_tokens("It's  useful. ") == ["it", "s", "useful"]


@settings(deadline=None)
@given(st.text() | TRICKY)
def test_review_tokens_are_lower_case_letters_and_digits_in_order(text):
    tokens = review_tokens(text)
    without_breaks = re.sub(r"<\s*br\s*/?\s*>", " ", text, flags=re.IGNORECASE)
    lowered = unicodedata.normalize("NFC", without_breaks.lower())
    letters = [char for char in lowered if char.isalnum()]
    assert [char for char in "".join(tokens) if char.isalnum()] == letters
    assert not any("_" in token for token in tokens)


def test_review_tokens_drop_html_breaks_and_punctuation():
    text = 'A _great_ film.<br /><br />Don\'t miss it!<BR>10/10 caf\u00e9\x85so "good"'
    assert review_tokens(text) == "a great film don t miss it 10 10 caf\u00e9 so good".split()
    assert review_tokens("one<br/>two") == ["one", "two"]


def test_space_tokens_keep_case_and_punctuation():
    assert space_tokens(" The <unk> @-@ end . \n") == ["The", "<unk>", "@-@", "end", "."]


@settings(deadline=None)
@given(st.text(st.sampled_from("abN09 ,.-"), max_size=30))
def test_own_path_for_plain_sentences_gives_what_nltk_gives(text):
    destructive = pytest.importorskip("nltk.tokenize.destructive")
    assume(not tokenizers._NEEDS_NLTK.search(text))
    assert nltk_tokens(text) == destructive.NLTKWordTokenizer().tokenize(text)


@pytest.mark.parametrize(
    "text, tokens",
    [
        ("You cannot do that.", ["You", "can", "not", "do", "that", "."]),
        ("We're gonna-be", ["We", "'re", "gon", "na", "-be"]),
        ("It isn't Ann's hat, is it?", "It is n't Ann 's hat , is it ?".split()),
        ("It costs $3,50 (or 5:30).", "It costs $ 3,50 ( or 5:30 ) .".split()),
        ("A man walks. He sits.", "A man walks . He sits .".split()),
        (
            "Dr. Who and Mr. T. left the U.S. today.",
            "Dr. Who and Mr. T. left the U.S. today .".split(),
        ),
        ("", []),
    ],
)
def test_nltk_tokens_of_known_sentences(text, tokens):
    pytest.importorskip("nltk")
    assert nltk_tokens(text) == tokens


@pytest.mark.parametrize(
    "raw, tokenized",
    [
        ('He wears a ""cool"" hat.', "He wears a `` cool '' hat ."),
        ('He wears a "cool" hat.', "He wears a `` cool '' hat ."),
        ("Two men, one dog. They don't run!", "Two men , one dog . They do n't run !"),
        ("The man's T-shirt says: stop.", "The man 's T-shirt says : stop ."),
    ],
)
def test_raw_and_tokenized_text_give_the_same_tokens(raw, tokenized):
    pytest.importorskip("nltk")
    assert nltk_tokens(raw) == nltk_tokens(tokenized)
    assert nltk_tokens(" ".join(nltk_tokens(raw))) == nltk_tokens(raw)


def test_nltk_lower_tokens_lower_the_case_after_splitting():
    pytest.importorskip("nltk")
    assert nltk_lower_tokens("In the U.S. HE'S home.") == "in the u.s. he 's home .".split()


def test_missing_nltk_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk.tokenize.destructive", None)
    tokenizers._nltk_tokenizer.cache_clear()
    with pytest.raises(UserError, match=r'Run: pip install ".*nltk.*"$'):
        nltk_tokens("plain text")
    tokenizers._nltk_tokenizer.cache_clear()


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_tokenizer_is_found_by_its_name(name):
    if name.startswith("nltk"):
        pytest.importorskip("nltk")
    assert tokenizer(name)("one two") == ["one", "two"]


def test_unknown_tokenizer_names_the_known_ones_and_the_nearest():
    with pytest.raises(UserError, match=r'word, coursework, .*Did you mean "review"') as caught:
        tokenizer("reviews")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["unicode", "nltk", "nltk_lower"])
def test_typographic_apostrophes_and_decomposed_letters_give_the_same_tokens(name: str) -> None:
    split = tokenizers.tokenizer(name)
    assert split("I don\u2019t like l\u2019e\u0301te\u0301") == split(
        "I don't like l'\u00e9t\u00e9"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed\u6563\u6b65\u3002",
            True,
        ),
        ("\u4eca\u5929 \u5929\u6c14 \u5f88 \u597d", False),
        (
            "the film \u4eca\u5929\u5929\u6c14\u5f88\u597d was shown at the Berlin festival in May last year",
            False,
        ),
        ("Nobody came.", False),
        ("", False),
    ],
)
def test_phrases_of_scripts_without_spaces_are_noticed(text: str, expected: bool) -> None:
    assert has_phrases(word_tokens(text)) is expected
    assert not has_phrases(unicode_tokens(text))
