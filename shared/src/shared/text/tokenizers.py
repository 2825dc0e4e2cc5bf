"""From a text to its tokens: the tokenizers, by name.

| name | tokens |
|---|---|
| `word` | runs of letters, digits and underscores, lower case, in NFC; combining marks belong to their letters |
| `coursework` | the cbow coursework's split on `\\W`: the same for English; marks split words of other scripts |
| `review` | imdb_sentiment's: as `word`, but underscores and HTML breaks separate |
| `unicode` | the words of Unicode's text segmentation (UAX 29), lower case, in NFC: `don't` and `3.14` are whole |
| `nltk`, `nltk_lower` | esim's: Penn Treebank tokens |
| `space` | what white space separates: text that is tokenized already (WikiText, SNLI's own parses) |

A tokenizer is a function from a str to a list of non-empty str.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache

import regex

from shared.errors import UserError
from shared.extras import install_command

_TYPOGRAPHIC = str.maketrans("\u2018\u2019\u02bc\u201c\u201d", "'''\"\"")
_find_coursework_words = re.compile(r"\w+").findall
# `\w` of `regex` is that of Unicode (UTS 18): letters with their combining marks, joiners inside words, connectors; the
# fractions and superscripts that Python's `\w` has too come with \p{N}. A token begins with no mark: what stands behind
# an emoji is no word.
_find_words = regex.compile(r"[\p{Alphabetic}\p{N}\p{Pc}][\w\p{N}]*").findall
_find_alphanumeric = regex.compile(r"(?V1)[\p{Alphabetic}\p{N}][[\w\p{N}]--[_]]*").findall
_split_unicode = regex.compile(r"(?w)\b").split
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
has_unspaced = regex.compile(_UNSPACED).search
"""Finds a letter of a script without spaces between words: Chinese, Japanese, Thai and their like."""
_has_phrase = regex.compile(f"{_UNSPACED}{{5}}").search  # words of these scripts are rarely longer
_HTML_BREAK = re.compile(r"<\s*br\s*/?\s*>", re.IGNORECASE)

# ASCII text, nearly all of English, need not meet the regex engine: one `str.translate` lowers letters and turns
# separators to spaces at once. Measured on treebank.txt: 14 M tokens/s against 7 M with findall, 5 M with re.split.
_ASCII = [chr(code) for code in range(128)]
_ASCII_WORDS = "".join(char.lower() if char.isalnum() or char == "_" else " " for char in _ASCII)
_ASCII_ALPHANUMERIC = _ASCII_WORDS.replace("_", " ")

# Every way to write a double quote. SNLI's raw text has `""` (doubled by some CSV writer) where its tokenized text has
# `` and ''.
_DOUBLE_QUOTES = re.compile(r"``|''|\"+")
# A period that ends a sentence inside the text. NLTK splits only the last period of its input, because it expects one
# sentence; its sentence splitter needs data to be downloaded. The word must end in two lower-case letters, so "U.S."
# and "J. P." stay whole.
_INNER_PERIOD = re.compile(r"\b([^\W\d_]*[^\W\d_A-Z]{2})\.(?=[\s?!,;:)\"])")
_ABBREVIATIONS = frozenset(
    str.split(
        "mr mrs ms dr st mt rt ft sgt capt lt col gen prof rev hon jr sr vs etc inc ltd co corp ave "
        "blvd rd vol pp ed approx dept univ lb lbs oz jan feb apr jun jul aug sept oct nov dec"
    )
)
# What NLTK does something about besides splitting a comma or the last period. Text without it, 97 of
# 100 SNLI sentences, takes a path of our own that gives the same at 10 times the speed over all.
_NEEDS_NLTK = re.compile(r"[^A-Za-z0-9 ,.-]|--|,(?![A-Za-z ])|\.(?!\Z)")
_NLTK_CONTRACTION = re.compile(r"\b(?:cannot|gimme|gonna|gotta|lemme|wanna)\b", re.IGNORECASE)


def word_tokens(text: str) -> list[str]:
    r"""Split into runs of letters, digits and underscores, lower case, in NFC.

    ``"It's  useful. "`` gives ``it s useful``. Combining marks belong to the letter before them, so Hindi, Arabic with
    vowel signs or a decomposed ``é`` stay whole; where a text has none of them the result is that of
    `coursework_tokens`. Scripts without spaces between words (Chinese, Thai) give long tokens.
    """
    if text.isascii():
        return text.translate(_ASCII_WORDS).split()
    return _find_words(_lower_nfc(text))


def coursework_tokens(text: str) -> list[str]:
    r"""Split as the cbow coursework does: lower case, split on ``\W``, drop empties.

    The result is that of ``re.split(r"\W", text.lower())`` without its empty strings, for every str.
    """
    if text.isascii():
        return text.translate(_ASCII_WORDS).split()
    return _find_coursework_words(text.lower())


def unicode_tokens(text: str) -> list[str]:
    """Split into the words of Unicode's text segmentation (UAX 29) that hold a letter or digit; lower case, in NFC.

    ``"I don't"`` gives ``i don't``, with a typographic apostrophe too. Each letter of Chinese and Thai is a word, and
    Burmese and Khmer fall into syllables: the rule has no dictionary. `word_tokens` keeps these whole.
    """
    return [part for part in _split_unicode(_lower_nfc(_plain_quotes(text))) if _find_words(part)]


def review_tokens(text: str) -> list[str]:
    r"""Split a film review: HTML breaks removed, all but letters and digits to spaces, split, lower case.

    Unlike `word_tokens` the underscore separates too (reviews write ``_this_`` for emphasis). Control characters that
    the web pages left behind (``\x85``, ``\x96``) separate like punctuation.
    """
    text = _HTML_BREAK.sub(" ", text)
    if text.isascii():
        return text.translate(_ASCII_ALPHANUMERIC).split()
    return _find_alphanumeric(_lower_nfc(text))


def space_tokens(text: str) -> list[str]:
    """Split at white space; the case stays."""
    return text.split()


def nltk_tokens(text: str) -> list[str]:
    """Split into Penn Treebank tokens with NLTK's own word tokenizer; the case stays.

    Two things differ from ``nltk.word_tokenize``, so that raw text and text that is tokenized already give the same
    tokens (SNLI's train file is raw, its dev file tokenized) and nothing has to be downloaded:

    - every double quote, whether written ``"``, ``""``, `````` or ``''``, is the token ``"``. NLTK guesses the opening
      or closing form from the spaces around it, which are gone in tokenized text. Of SNLI's 44,321 raw sentences of the
      subset, 126 write ``""`` and 9 ``"``.
    - periods inside the text are split by a rule and a list of abbreviations, not by the Punkt model.

    Measured on SNLI: no sentence of the subset's train file or of the dev file changes when its tokens are joined by
    spaces and split again. Of the dev file's 12,981 sentences, 4 differ from ``text.split()`` otherwise than by the
    form of a quote: each has a period or quote that the file's own tokenizer left glued. In general this is not
    guaranteed: NLTK splits ``cannot`` and ``gonna``, but a tokenized text may keep them whole.

    Raises
    ------
    UserError
        NLTK is not installed.
    """
    nltk_words = _nltk_tokenizer()  # first, so that without NLTK no text passes
    if not text.isascii():
        text = unicodedata.normalize("NFC", _plain_quotes(text))
    if not _NEEDS_NLTK.search(text) and not _NLTK_CONTRACTION.search(text):
        return _plain_nltk_tokens(text)
    text = _DOUBLE_QUOTES.sub('"', text)
    text = _INNER_PERIOD.sub(_split_period, text)
    tokens = nltk_words(text)
    return ['"' if token in ("``", "''") else token for token in tokens]


def nltk_lower_tokens(text: str) -> list[str]:
    """Split as `nltk_tokens` does, then lower the case: the esim coursework's tokens."""
    return [token.lower() for token in nltk_tokens(text)]


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "word": word_tokens,
    "coursework": coursework_tokens,
    "unicode": unicode_tokens,
    "nltk": nltk_tokens,
    "nltk_lower": nltk_lower_tokens,
    "review": review_tokens,
    "space": space_tokens,
}


def tokenizer(name: str) -> Callable[[str], list[str]]:
    """Return the tokenizer of that name.

    Raises
    ------
    UserError
        No tokenizer has this name.
    """
    if name in TOKENIZERS:
        return TOKENIZERS[name]
    near = difflib.get_close_matches(name, TOKENIZERS, n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    raise UserError(
        f'There is no tokenizer "{name}". Expected one of: {", ".join(TOKENIZERS)}.{hint}'
    )


def has_phrases(tokens: Iterable[str]) -> bool:
    """Tell whether text in Chinese, Japanese, Thai or the like has been taken for words as long as phrases.

    Those scripts have no spaces, so that a tokenizer that splits at them gives a token for each stretch between marks.
    False for text in other scripts, with a phrase here and there, or split into words already.

    Parameters
    ----------
    tokens : iterable of str
        Tokens of a text, or the words of its vocabulary.
    """
    tokens = list(tokens)
    unspaced = [token for token in tokens if not token.isascii() and has_unspaced(token)]
    phrases = sum(_has_phrase(token) is not None for token in unspaced)
    return 10 * len(unspaced) > len(tokens) and 2 * phrases > len(unspaced)


def _plain_quotes(text: str) -> str:
    """Replace typographic apostrophes and quotation marks by those of a keyboard."""
    return text if text.isascii() else text.translate(_TYPOGRAPHIC)


def _lower_nfc(text: str) -> str:
    """Lower the case and compose letters with their marks, so that both spellings of é are one token."""
    return unicodedata.normalize("NFC", text.lower())


def _plain_nltk_tokens(text: str) -> list[str]:
    """Do for text without `_NEEDS_NLTK` and contractions what NLTK would."""
    tokens = text.replace(",", " , ").split()
    if tokens and len(tokens[-1]) > 1 and tokens[-1][-1] == ".":
        tokens[-1:] = [tokens[-1][:-1], "."]
    return tokens


def _split_period(match: re.Match[str]) -> str:
    word = match.group(1)
    return match.group(0) if word.lower() in _ABBREVIATIONS else f"{word} ."


@cache
def _nltk_tokenizer() -> Callable[[str], list[str]]:
    try:
        from nltk.tokenize.destructive import NLTKWordTokenizer  # about 1 s, hence not at the top
    except ImportError as error:
        raise UserError(
            "The nltk tokenizers need NLTK, which is not installed. Run: "
            + install_command("dltasks-shared", "nltk")
        ) from error
    return NLTKWordTokenizer().tokenize
