"""Surprisal: how unexpected each word of a text is to a model, in bits.

The surprisal of a word is -log2 p(word | words before it). The surprisals of a text add up to its negative
log-likelihood by the `batch-1` protocol of `protocols.py`, in bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shared.text.vocabulary import Vocabulary
from shared.torch.evaluation import evaluating
from word_lm.data.dataset import END_OF_LINE, UNKNOWN
from word_lm.measures.protocols import SEGMENT, read_column
from word_lm.model.base import LanguageModel


@dataclass(frozen=True)
class Surprise:
    """One word of a text, its surprisal, and the model's own prediction."""

    token: str
    bits: float
    """Surprisal: -log2 of its probability."""
    guess: str
    """The most probable word."""
    guess_probability: float
    """Probability of the most probable word."""
    is_known: bool
    """False: the vocabulary lacks the word, and the figures are those of `<unk>`."""

    @property
    def is_unknown(self) -> bool:
        """Whether the model read the word as `<unk>`; a text may hold that very token."""
        return not self.is_known or self.token == UNKNOWN

    @property
    def probability(self) -> float:
        """Probability of the word, 0 to 1."""
        return 2.0**-self.bits


def surprisal(
    model: LanguageModel,
    vocabulary: Vocabulary,
    tokens: Sequence[str],
    *,
    segment: int = SEGMENT,
    is_state_carried: bool = True,
) -> list[Surprise]:
    """Return the surprisal of each token of a text.

    Parameters
    ----------
    model : LanguageModel
    vocabulary : Vocabulary
    tokens : sequence of str (N,)
        `<eos>` at the end of each line.
    segment : int
        Tokens read at once.
    is_state_carried : bool
        See `word_lm.measures.protocols.batch_1_perplexity`.

    Returns
    -------
    list of Surprise
        N rows: the model reads an `<eos>` before the text. With a vocabulary without `<eos>` the first token cannot be
        predicted, and there are N - 1.

    Raises
    ------
    UserError
        There is no token to predict.
    """
    ids = vocabulary.ids(tokens)
    start = vocabulary.id(END_OF_LINE) if END_OF_LINE in vocabulary else None
    predicted = iter(tokens if start is not None else tokens[1:])
    rows: list[Surprise] = []
    with evaluating(model):
        for part in read_column(
            model, ids, segment=segment, start=start, is_state_carried=is_state_carried
        ):
            best, guesses = model.log_probs(part.hidden).max(dim=1)
            columns = (part.nll.tolist(), guesses.tolist(), best.exp().tolist())
            for nats, guess, probability in zip(*columns, strict=True):
                token = next(predicted)
                word = vocabulary.tokens[guess]
                rows.append(
                    Surprise(token, nats / math.log(2), word, probability, token in vocabulary)
                )
    return rows
