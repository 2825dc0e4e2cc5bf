"""Plain text to WikiText's tokens and back, and how repetitive a text is.

WikiText has spaces around punctuation, splits `doesn't` into `doesn` and `'t`, and marks hyphens, commas and points
inside a word or number: `well @-@ known`, `1 @,@ 000`, `3 @.@ 5`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import regex

from shared.text.tokenizers import has_unspaced, tokenizer
from word_lm.data.dataset import END_OF_LINE, UNKNOWN

_JOINTS = {"@-@": "-", "@,@": ",", "@.@": "."}
_CLOSING = frozenset([*",.;:!?)]}%", "'", "’", "”", "n't", "..."])
_OPENING = frozenset("([{$£€“")
# `\w` of `regex` has the combining marks too, with which Hindi and a decomposed é are written, but not ² and ½.
_JOINT = regex.compile(r"(?<=[\w\p{N}])-(?=[\w\p{N}])|(?<=\d)[.,](?=\d)")
_PIECES = regex.compile(r"@.@|'?[\w\p{N}]+|[^\w\s]\p{M}*")


class Detokenizer:
    """Turn WikiText's tokens back into plain text, one at a time.

    Straight quotation marks open and close in turn, from the start of each line. Whether a single quotation mark opens
    or closes cannot be known: it is joined to the word before it (`the players' choice`). No space comes between two
    letters of Chinese, Thai and the like.
    """

    def __init__(self) -> None:
        self._is_joined = True  # the next token follows without a space
        self._is_quoting = False
        self._is_unspaced = False  # the token before ends in a letter of a script without spaces

    def feed(self, token: str) -> str:
        """Return the text that this token adds, the space before it included."""
        if token == END_OF_LINE:
            self._is_joined, self._is_quoting = True, False
            return "\n"
        if token in _JOINTS:
            self._is_joined = True
            return _JOINTS[token]
        is_suffix = token.startswith("'") and len(token) > 1
        closes = token in _CLOSING or is_suffix
        opens = token in _OPENING
        if token == '"':
            opens, closes = not self._is_quoting, self._is_quoting
            self._is_quoting = not self._is_quoting
        is_inner = self._is_unspaced and has_unspaced(token[:1])
        space = "" if self._is_joined or closes or is_inner else " "
        self._is_joined = opens
        self._is_unspaced = bool(has_unspaced(token[-1:]))
        return space + token


def detokenize(tokens: Sequence[str]) -> str:
    """Return WikiText's tokens as plain text."""
    shown = Detokenizer()
    return "".join(shown.feed(token) for token in tokens)


def prompt_tokens(text: str, known: Container[str], tokenizer_name: str = "space") -> list[str]:
    """Split a prompt into tokens.

    Parameters
    ----------
    text : str
        Line ends become `<eos>`.
    known : container of str
        The vocabulary.
    tokenizer_name : str
        With `space`, a word that the vocabulary lacks is split as WikiText does: `1,000` becomes `1 @,@ 000`. A word
        that it has stays whole.

    Returns
    -------
    list of str
    """
    tokens: list[str] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            tokens.append(END_OF_LINE)
        for piece in tokenizer(tokenizer_name)(line):
            if piece in known or tokenizer_name != "space" or piece == UNKNOWN:
                tokens.append(piece)
            else:
                tokens += _PIECES.findall(_JOINT.sub(r" @\g<0>@ ", piece))
    return tokens


@dataclass(frozen=True)
class Quality:
    """How repetitive a text is; fractions from 0 to 1."""

    distinct_1: float
    """Distinct words over all words."""
    distinct_2: float
    """Distinct bigrams over all bigrams."""
    repeated_4: float
    """4-grams that occurred before, over all 4-grams."""
    repetition: float
    """Words that are among the 32 words before them, over all words."""
    unknown: float
    """Words that are `<unk>`, over all words."""


def quality(tokens: Sequence[str]) -> Quality:
    """Return the repetition figures of a text."""
    return Quality(
        distinct_1=distinct_n(tokens, 1),
        distinct_2=distinct_n(tokens, 2),
        repeated_4=1 - distinct_n(tokens, 4),
        repetition=repetition_rate(tokens),
        unknown=sum(token == UNKNOWN for token in tokens) / max(1, len(tokens)),
    )


def distinct_n(tokens: Sequence[str], n: int) -> float:
    """Return the number of distinct n-grams over that of all n-grams; 1 if the text has none.

    References
    ----------
    Li et al. 2016, arXiv 1510.03055 (distinct-1 and distinct-2). 1 - distinct_n is the seq-rep-n of Welleck et al.
    2019, arXiv 1908.04319.
    """
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def repetition_rate(tokens: Sequence[str], window: int = 32) -> float:
    """Return the fraction of words that are among the `window` words before them; 0 for an empty text."""
    repeated = sum(token in tokens[max(0, i - window) : i] for i, token in enumerate(tokens))
    return repeated / max(1, len(tokens))
