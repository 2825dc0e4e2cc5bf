"""A prompt as the model reads it: ids, and which of its words the vocabulary lacks."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from word_lm.data.dataset import END_OF_LINE, UNKNOWN
from word_lm.data.wording import prompt_tokens


@dataclass(frozen=True)
class Prompt:
    """The words that a generated text continues."""

    ids: tuple[int, ...]
    """`<eos>`, if the vocabulary has it, then the words: a text starts on a new line."""
    tokens: tuple[str, ...]
    """The words as the model reads them."""
    unknown: tuple[str, ...]
    """Words that the vocabulary lacks, read as `<unk>`."""
    written: tuple[str, ...] = ()
    """The words as they were given."""

    @property
    def notice(self) -> str | None:
        """One line about the words that the vocabulary lacks, or None."""
        if not self.unknown:
            return None
        words = ", ".join(f'"{word}"' for word in self.unknown)
        return f"The vocabulary lacks {words} of the prompt; read as {UNKNOWN}."


def read_prompt(vocabulary: Vocabulary, prompt: str, *, tokenizer_name: str = "space") -> Prompt:
    """Turn the words of a prompt into ids.

    Parameters
    ----------
    vocabulary : Vocabulary
    prompt : str
        Plain text, or tokenized as WikiText is; line ends become `<eos>`. May be empty.
    tokenizer_name : str
        The tokenizer of the training text.

    Returns
    -------
    Prompt
        Words that the vocabulary lacks become `<unk>`, and `notice` names them.

    Raises
    ------
    UserError
        The vocabulary lacks a word and has no `<unk>`; or the prompt is empty and there is no `<eos>`.
    """
    tokens = prompt_tokens(prompt, vocabulary, tokenizer_name)
    unknown = tuple(dict.fromkeys(token for token in tokens if token not in vocabulary))
    if unknown and vocabulary.unknown_id is None:
        words = ", ".join(f'"{word}"' for word in unknown)
        raise UserError(f"The prompt has {words}, which the vocabulary lacks. Use other words.")
    ids = [vocabulary.id(token) for token in tokens]
    if END_OF_LINE in vocabulary:
        ids = [vocabulary.id(END_OF_LINE), *ids]
    if not ids:
        raise UserError(
            f"The prompt is empty and the vocabulary has no {END_OF_LINE}. Give a prompt."
        )
    read = tuple(token if token in vocabulary else UNKNOWN for token in tokens)
    return Prompt(tuple(ids), read, unknown, tuple(tokens))
