"""Generating text: sampling word by word, greedy decoding, or beam search.

The prompt is read once. After that each word is one step from the state (hidden state, or cached keys and values), so
its cost does not grow with the text.

Shapes: V words of the vocabulary, K candidate words, B beams.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from shared.torch.evaluation import evaluating
from word_lm.data.dataset import UNKNOWN
from word_lm.data.prompt import Prompt, read_prompt
from word_lm.data.wording import detokenize
from word_lm.model.base import LanguageModel, as_tokens, each_tensor

PENALTY_WINDOW = 64
"""Last words that the repetition penalty applies to. Over the whole text it would apply to `the` nearly always."""

_PIECE = 256
"""Words of a prompt that are read at once."""

# Numbers of words to sort before sorting all: mostly enough, and sorting 33,000 takes longer than a small model.
_NUCLEUS_FIRST = (1024, 8192)


@dataclass(frozen=True)
class Generated:
    """A generated text."""

    tokens: tuple[str, ...]
    """Its words, without the prompt."""
    log_prob: float
    """Log-probability of these words given the prompt, by the model alone: without bans, penalty and temperature."""
    prompt: Prompt

    def __str__(self) -> str:
        """Return the plain text, the prompt included."""
        return detokenize((*self.prompt.tokens, *self.tokens))


def generate(
    model: LanguageModel,
    vocabulary: Vocabulary,
    prompt: str | Prompt,
    words: int,
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
    """Generate a text.

    Parameters
    ----------
    model : LanguageModel
    vocabulary : Vocabulary
    prompt : str or Prompt
        Words that the vocabulary lacks become `<unk>`, with a `UserWarning`; `read_prompt` lists them before.
    words : int
        Number of words to generate, including `<eos>`, >= 0.
    seed : int
        Seed of the sampling; torch's global generator is not used.
    temperature : float
        Divides log-probabilities, >= 0; 0: greedy decoding.
    top_k : int, optional
        Sample from this many most probable words, >= 1.
    top_p : float, optional
        Sample from the nucleus of those: the fewest words with this total probability, 0 < top_p <= 1.
    repetition_penalty : float
        The log-probability of each of the last 64 words is multiplied by this before sampling, >= 1.
    ban : str or sequence of str
        A word, or words, that are never generated. Words that the vocabulary lacks are ignored.
    beams : int
        2 or more: beam search with this many beams for the text with the highest log-probability; temperature, top_k,
        top_p and repetition_penalty must have their defaults.
    on_word : callable, optional
        Called with each word as soon as it is fixed: at once, or, with beams, at the end.

    Returns
    -------
    Generated

    Raises
    ------
    UserError
        A setting is out of range, or all words are banned.

    References
    ----------
    Holtzman et al. 2019, arXiv 1904.09751 (nucleus sampling); Keskar et al. 2019, arXiv 1909.05858, section 4.1
    (penalized sampling; there the penalty divides scores, here it multiplies log-probabilities, which are below 0).
    """
    _check(words, temperature, top_k, top_p, repetition_penalty, beams)
    if isinstance(prompt, str):
        prompt = read_prompt(vocabulary, prompt)
        if prompt.notice:
            warnings.warn(prompt.notice, stacklevel=2)
    words_banned = (ban,) if isinstance(ban, str) else ban
    banned = torch.tensor(
        [vocabulary.id(word) for word in words_banned if word in vocabulary], dtype=torch.int64
    )
    if len(set(banned.tolist())) >= len(vocabulary):
        raise UserError("All words of the vocabulary are banned. Allow at least one.")

    with evaluating(model), torch.inference_mode():
        inputs = as_tokens(model, torch.tensor(prompt.ids))[:, None]  # (T, 1)
        hidden, state = _read_prompt(model, inputs)
        if beams > 1:
            ids, log_prob = _beam_search(model, hidden[-1], state, words, beams, banned)
            tokens = tuple(vocabulary.tokens[word] for word in ids)
            for token in tokens if on_word else ():
                on_word(token)  # type: ignore[misc]
            return Generated(tokens, log_prob, prompt)

        generator = torch.Generator().manual_seed(seed)
        recent = deque(prompt.ids, maxlen=PENALTY_WINDOW)
        tokens_so_far: list[str] = []
        total = 0.0
        for position in range(words):
            log_probs = model.log_probs(hidden[-1])[0].cpu().double()
            scores = log_probs.clone()
            scores[banned] = -torch.inf
            if repetition_penalty != 1:
                seen = torch.tensor(sorted(set(recent)))
                scores[seen] *= repetition_penalty
            word = _sample(scores, temperature, top_k, top_p, generator)
            recent.append(word)
            total += float(log_probs[word])
            tokens_so_far.append(vocabulary.tokens[word])
            if on_word:
                on_word(tokens_so_far[-1])
            if position + 1 < words:
                hidden, state = model(inputs.new_tensor([[word]]), state)
    return Generated(tuple(tokens_so_far), total, prompt)


def next_words(
    model: LanguageModel, vocabulary: Vocabulary, prompt: Prompt, count: int
) -> list[tuple[str, float]]:
    """Return the most probable next words after a prompt, with their probabilities, falling."""
    if count < 0:
        raise UserError(f"count is {count}. Expected 0 or more.")
    with evaluating(model), torch.inference_mode():
        hidden, _ = _read_prompt(model, as_tokens(model, torch.tensor(prompt.ids))[:, None])
        log_probs = model.log_probs(hidden[-1])[0].cpu().double()
    best, ids = log_probs.topk(min(count, len(vocabulary)))
    words = [vocabulary.tokens[word] for word in ids.tolist()]
    return list(zip(words, best.exp().tolist(), strict=True))


def store_by_columns(model: LanguageModel) -> None:
    """Store the output weights of a model on a CPU column by column, in place; generating is up to twice as fast.

    The scores of a word are a matrix-vector product, which is three times as fast for a matrix stored by columns.
    """
    for weight in model.head.parameters():
        if weight.ndim == 2 and weight.device.type == "cpu":
            weight.data = weight.data.t().contiguous().t()


def _read_prompt(model: LanguageModel, inputs: Tensor) -> tuple[Tensor, Any]:
    """Read a prompt (T, 1) in pieces: they fit a Transformer's memory, and some models take T * T numbers."""
    memory = getattr(model, "memory", _PIECE)
    hidden, state = inputs, model.init_state(1)
    for part in inputs.split(memory if len(inputs) <= memory else max(1, memory // 2)):
        hidden, state = model(part, state)
    return hidden, state


def choices(
    scores: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return the candidate words and their probabilities.

    Parameters
    ----------
    scores : float tensor (V,)
        Log-probabilities, up to a constant.
    temperature : float
        > 0.
    top_k, top_p
        See `generate`. Temperature is applied first, then top_k, then top_p.

    Returns
    -------
    words : int64 tensor (K,)
    probabilities : float64 tensor (K,)
        Their sum is 1; 0 where the score is -inf. Falling, if top_k or top_p is given.
    """
    # Less the highest, so that dividing by a small temperature overflows for the other words only.
    scores = (scores.cpu().double() - scores.max().cpu()) / temperature
    words = torch.arange(len(scores))
    if top_k is not None:
        scores, words = scores.topk(min(top_k, len(scores)))
    probabilities = torch.softmax(scores, dim=0)
    if top_p is not None:
        probabilities, order = _nucleus(probabilities, top_p)
        words = words[order]
    return words, probabilities / probabilities.sum()


def _nucleus(probabilities: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Return the fewest largest probabilities with a sum of `top_p` or more, falling, and their indices."""
    for count in (*_NUCLEUS_FIRST, len(probabilities)):
        largest, order = probabilities.topk(min(count, len(probabilities)))
        before = largest.cumsum(0) - largest  # sum of the larger ones
        kept = int((before < top_p).sum())
        if kept < len(largest):
            break
    return largest[:kept], order[:kept]


def _sample(
    scores: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator,
) -> int:
    if temperature == 0:
        return int(scores.argmax())
    words, probabilities = choices(scores, temperature, top_k, top_p)
    # Inverse transform sampling: one uniform number per word, whatever the number of candidates.
    uniform = torch.rand((), generator=generator, dtype=torch.float64)
    index = int(torch.searchsorted(probabilities.cumsum(0), uniform, right=True))
    if index == len(words):  # the sum may be a rounding error below 1
        index = int(probabilities.argmax())
    return int(words[index])


def _beam_search(
    model: LanguageModel, hidden: Tensor, state: Any, words: int, beams: int, banned: Tensor
) -> tuple[list[int], float]:
    """Return the most probable text of the beam, as ids, and its log-probability.

    All texts have the same length, so log-probabilities need no length normalization.
    """
    totals = torch.zeros(1, 1, dtype=torch.float64)  # one beam at first; then (B, 1)
    steps: list[tuple[Tensor, Tensor]] = []  # parent of each beam, and its word, both (B,)
    for position in range(words):
        scores = model.log_probs(hidden).cpu().double()  # (B, V)
        scores[:, banned] = -torch.inf
        scores += totals
        best, flat = scores.flatten().topk(min(beams, scores.numel()))
        best, flat = best[best > -torch.inf], flat[best > -torch.inf]
        parents, chosen = flat // scores.shape[1], flat % scores.shape[1]
        totals = best[:, None]
        steps.append((parents, chosen))
        if position + 1 < words:
            order = parents.to(hidden.device)
            state = each_tensor(state, partial(torch.index_select, dim=1, index=order))
            hidden, state = model(chosen[None].to(hidden.device), state)
            hidden = hidden[-1]
    beam, ids = 0, []  # topk returns the best first
    for parents, chosen in reversed(steps):
        ids.append(int(chosen[beam]))
        beam = int(parents[beam])
    return ids[::-1], float(totals[0, 0])


def _check(
    words: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    repetition_penalty: float,
    beams: int,
) -> None:
    for is_right, name, value, expected in (
        (words >= 0, "words", words, "0 or more"),
        (0 <= temperature < float("inf"), "temperature", temperature, "0 or more"),
        (top_k is None or top_k >= 1, "top_k", top_k, "1 or more"),
        (top_p is None or 0 < top_p <= 1, "top_p", top_p, "above 0, at most 1"),
        (1 <= repetition_penalty < float("inf"), "repetition_penalty", repetition_penalty, "1 or more"),
        (beams >= 1, "beams", beams, "1 or more"),
    ):  # fmt: skip
        if not is_right:
            raise UserError(f"{name} is {value}. Expected {expected}.")
    is_sampled = (
        temperature != 1 or top_k is not None or top_p is not None or repetition_penalty != 1
    )
    if beams > 1 and is_sampled:
        raise UserError(
            "Beam search does not sample. Leave out temperature, top_k, top_p and repetition_penalty, or beams."
        )
