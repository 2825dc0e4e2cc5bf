"""A trained model in Python: `load(RUN)`, then generate, score, surprisal, next words, perplexity.

    >>> from word_lm import load
    >>> model = load("runs/word_lm/laptop")
    >>> print(model.generate("the captain", words=20))
    >>> model.score(["the captain crossed the storm .", "storm the crossed captain the ."])

The figures are those of the command line: the same tokens, protocols and seeds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from shared.torch.device import choose_device
from shared.torch.evaluation import evaluating
from word_lm.config import TrainConfig
from word_lm.data.dataset import END_OF_LINE, UNKNOWN
from word_lm.data.prompt import Prompt, read_prompt
from word_lm.generate import Generated, generate, next_words, store_by_columns
from word_lm.measures.protocols import Evaluation, nll_of_texts, perplexity
from word_lm.measures.surprisal import Surprise, surprisal
from word_lm.measures.training import evaluate
from word_lm.model.base import LanguageModel
from word_lm.model.trained import TrainedModel, load_run


@dataclass(frozen=True)
class Score:
    """How probable a text is to a model."""

    tokens: tuple[str, ...]
    """Its tokens as the model reads them, `<unk>` for words that the vocabulary lacks."""
    log_prob: float
    """Log-probability of the tokens after the start of a line, in nats."""

    @property
    def perplexity(self) -> float:
        """exp(-log_prob / number of tokens)."""
        return perplexity(-self.log_prob, len(self.tokens))

    @property
    def unknown(self) -> float:
        """Fraction of the tokens that are `<unk>`."""
        return self.tokens.count(UNKNOWN) / len(self.tokens)


class LoadedModel:
    """A trained language model with its vocabulary.

    Attributes
    ----------
    model : LanguageModel
        The torch module, in evaluation mode.
    vocabulary : Vocabulary
    config : TrainConfig
        The settings it was trained with.
    path : Path
        The run's folder.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self._trained = trained
        self.model: LanguageModel = trained.model
        self.vocabulary: Vocabulary = trained.vocabulary
        self.config: TrainConfig = trained.config
        self.path: Path = trained.path
        store_by_columns(self.model)

    def __repr__(self) -> str:
        weights = sum(weight.numel() for weight in self.model.parameters())
        return (
            f"LoadedModel({self.config.model}, {weights:,} parameters, vocabulary of {len(self.vocabulary):,}, "
            f"{str(self.path)!r})"
        )

    def generate(
        self,
        prompt: str = "",
        words: int = 100,
        *,
        seed: int = 1,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        ban: str | Sequence[str] = (UNKNOWN,),
        beams: int = 1,
        on_word: Callable[[str], object] | None = None,
    ) -> Generated:
        """Generate a text that continues a prompt; see `word_lm.generate.generate` for the parameters.

        Returns
        -------
        Generated
            `str` of it is the plain text, the prompt included; `tokens` and `log_prob` are those of the new words.
        """
        return generate(
            self.model,
            self.vocabulary,
            self._prompt(prompt),
            words,
            seed=seed,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            ban=ban,
            beams=beams,
            on_word=on_word,
        )

    def next_words(self, prompt: str = "", count: int = 10) -> list[tuple[str, float]]:
        """Return the most probable next words after a prompt, with their probabilities, falling.

        Words of the prompt that the vocabulary lacks become `<unk>`, with a `UserWarning`.
        """
        return next_words(self.model, self.vocabulary, self._prompt(prompt), count)

    @overload
    def score(self, texts: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    def score(self, texts: Sequence[str]) -> list[Score]: ...
    def score(self, texts: str | Sequence[str]) -> Score | list[Score]:
        """Return how probable a text is, or each of several texts, as the start of a line.

        Parameters
        ----------
        texts : str or sequence of str
            Plain text, or tokenized as WikiText is; line ends become `<eos>`.

        Raises
        ------
        UserError
            A text has no word.
        """
        if isinstance(texts, str):
            return self.score([texts])[0]
        tokens = [self._tokens(text) for text in texts]
        with evaluating(self.model):
            parts = nll_of_texts(
                self.model,
                [self.vocabulary.ids([END_OF_LINE, *own]) for own in tokens],
                segment=self.config.bptt,
                is_state_carried=self.config.carry,
            )
        return [Score(own, -float(nll.sum())) for own, nll in zip(tokens, parts, strict=True)]

    def surprisal(self, text: str) -> list[Surprise]:
        """Return each token of a text with its surprisal in bits and the model's own prediction."""
        read = read_prompt(self.vocabulary, text, tokenizer_name=self.config.tokenizer)
        return surprisal(
            self.model,
            self.vocabulary,
            read.written,
            segment=self.config.bptt,
            is_state_carried=self.config.carry,
        )

    def evaluate(self, split: str = "test") -> Evaluation:
        """Return the perplexity of a split of the run's own data, by the protocol of training."""
        splits = self._trained.text().splits
        if split not in splits:
            raise UserError(f"The split is {split!r}. Expected one of: {', '.join(splits)}.")
        return evaluate(self.model, self.config, splits[split], self.vocabulary)

    def _prompt(self, prompt: str) -> Prompt:
        read = read_prompt(self.vocabulary, prompt, tokenizer_name=self.config.tokenizer)
        if read.notice:
            warnings.warn(read.notice, stacklevel=3)
        return read

    def _tokens(self, text: str) -> tuple[str, ...]:
        tokens = read_prompt(self.vocabulary, text, tokenizer_name=self.config.tokenizer).tokens
        if not tokens:
            raise UserError("A text to score is empty. Give at least one word.")
        return tokens


def load(run: str | Path, *, device: str = "auto") -> LoadedModel:
    """Read the best model of a run.

    Parameters
    ----------
    run : str or Path
        A folder that `word-lm train` wrote.
    device : {"auto", "cpu", "cuda", "mps"}

    Raises
    ------
    UserError
        The folder is no run, holds no undamaged checkpoint, or its files do not fit together.
    """
    return LoadedModel(load_run(run, device=choose_device(device)))
