"""Text from a model: drawn word by word, always the likeliest word, or the likeliest text by beam search.

The prompt is read once. After that each word costs one step from the state (hidden state, or cached keys and values),
however long the text is.

Shapes: V words of the vocabulary, K words to choose among, B beams.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from shared.torch.evaluation import evaluating
from word_lm.data.dataset import UNKNOWN
from word_lm.data.prompt import Prompt, read_prompt
from word_lm.measures.protocols import as_tokens
from word_lm.model.base import LanguageModel

RECENT = 64
"""Words before the present one that a repetition penalty looks at. Over the whole text it would end up on `the`."""

# Words sorted at first, and then, before all are: mostly enough, and sorting 33,000 costs more than a small model.
_NUCLEUS_FIRST = (1024, 8192)


@dataclass(frozen=True)
class Generated:
    """A text that a model wrote."""

    tokens: tuple[str, ...]
    """Its words, without the prompt."""
    log_prob: float
    """Log-probability of these words after the prompt, by the model itself: before bans, penalties, temperature."""
    prompt: Prompt


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
    ban: Sequence[str] = (UNKNOWN,),
    beams: int = 1,
    on_word: Callable[[str], object] | None = None,
) -> Generated:
    """Write a text.

    Parameters
    ----------
    model : LanguageModel
    vocabulary : Vocabulary
    prompt : str or Prompt
        Words it lacks become `<unk>`, with a `UserWarning` that lists them; to see them first, call `read_prompt`.
    words : int
        How many to write, `<eos>` counted, >= 0.
    seed : int
        Of a generator of its own: the same seed gives the same text.
    temperature : float
        Divides log-probabilities, >= 0; 0: the likeliest word each time (greedy).
    top_k : int, optional
        Choose among this many likeliest words, >= 1.
    top_p : float, optional
        Of those, choose among the fewest likeliest words that have this probability together, 0 < top_p <= 1.
    repetition_penalty : float
        A word of the last 64 has its probability raised to this power before words are weighed against each other,
        >= 1.
    ban : sequence of str
        Words never written. Those that the vocabulary lacks are no matter.
    beams : int
        2 or more: beam search with so many texts at a time. It looks for the text of highest log-probability, so
        temperature, top_k, top_p and repetition_penalty must be left as they are.
    on_word : callable, optional
        Given each word as soon as it is settled: at once, or, with beams, at the end.

    Returns
    -------
    Generated

    Raises
    ------
    UserError
        A setting is out of range, or all words are banned.

    References
    ----------
    Holtzman et al. 2019, arXiv 1904.09751 (top_p, the nucleus); Keskar et al. 2019, arXiv 1909.05858, section 4.1
    (penalised sampling; there the penalty divides scores, which have no fixed zero, here it multiplies
    log-probabilities).
    """
    _check(words, temperature, top_k, top_p, repetition_penalty, beams)
    if isinstance(prompt, str):
        prompt = read_prompt(vocabulary, prompt)
        if prompt.notice:
            warnings.warn(prompt.notice, stacklevel=2)
    banned = torch.tensor(
        [vocabulary.id(word) for word in ban if word in vocabulary], dtype=torch.int64
    )
    if len(set(banned.tolist())) >= len(vocabulary):
        raise UserError("All words are banned. Leave one that can be written.")

    with evaluating(model), torch.inference_mode():
        inputs = as_tokens(model, torch.tensor(prompt.ids))[:, None]  # (T, 1)
        hidden, state = _read(model, inputs)
        if beams > 1:
            ids, log_prob = _beam_search(model, hidden[-1], state, words, beams, banned)
            tokens = tuple(vocabulary.tokens[word] for word in ids)
            for token in tokens if on_word else ():
                on_word(token)  # type: ignore[misc]
            return Generated(tokens, log_prob, prompt)

        generator = torch.Generator().manual_seed(seed)
        recent = deque(prompt.ids, maxlen=RECENT)
        written: list[str] = []
        total = 0.0
        for position in range(words):
            log_probs = model.log_probs(hidden[-1])[0].cpu().double()
            scores = log_probs.clone()
            scores[banned] = -torch.inf
            if repetition_penalty != 1:
                seen = torch.tensor(sorted(set(recent)))
                scores[seen] *= repetition_penalty
            word = _draw(scores, temperature, top_k, top_p, generator)
            recent.append(word)
            total += float(log_probs[word])
            written.append(vocabulary.tokens[word])
            if on_word:
                on_word(written[-1])
            if position + 1 < words:
                hidden, state = model(inputs.new_tensor([[word]]), state)
    return Generated(tuple(written), total, prompt)


def lay_out_for_writing(model: LanguageModel) -> None:
    """Store the output rows of a model on a CPU by columns, in place; words then come up to twice as fast.

    A word's scores are all rows times one vector, and row by row that is only a third as fast as column by column.
    """
    for weight in model.head.parameters():
        if weight.ndim == 2 and weight.device.type == "cpu":
            weight.data = weight.data.t().contiguous().t()


def _read(model: LanguageModel, inputs: Tensor) -> tuple[Tensor, Any]:
    """Read a prompt (T, 1): in pieces, where it is longer than what the model learned to see at once."""
    memory = getattr(model, "memory", len(inputs))
    hidden, state = inputs, model.init_state(1)
    for part in inputs.split(memory if len(inputs) <= memory else max(1, memory // 2)):
        hidden, state = model(part, state)
    return hidden, state


def choices(
    scores: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return the words to choose among, and the probability of each.

    Parameters
    ----------
    scores : float tensor (V,)
        Log-probabilities, up to a constant.
    temperature : float
        > 0.
    top_k, top_p
        See `generate`. Temperature comes first, then top_k, then top_p of what is left.

    Returns
    -------
    words : int64 tensor (K,)
    probabilities : float64 tensor (K,)
        Sum 1; 0 where the score is -inf. Falling, if top_k or top_p is given.
    """
    # Less the highest, so that dividing by a tiny temperature overflows for the others only.
    scores = (scores.double() - scores.max()) / temperature
    words = torch.arange(len(scores))
    if top_k is not None:
        scores, words = scores.topk(min(top_k, len(scores)))
    probabilities = torch.softmax(scores, dim=0)
    if top_p is not None:
        probabilities, order = _nucleus(probabilities, top_p)
        words = words[order]
    return words, probabilities / probabilities.sum()


def _nucleus(probabilities: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Return the fewest largest probabilities with a sum of `top_p` or more, falling, and their places."""
    for most in (*_NUCLEUS_FIRST, len(probabilities)):
        largest, order = probabilities.topk(min(most, len(probabilities)))
        before = largest.cumsum(0) - largest  # what the larger ones have together
        kept = int((before < top_p).sum())
        if kept < len(largest):
            break
    return largest[:kept], order[:kept]


def _draw(
    scores: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator,
) -> int:
    if temperature == 0:
        return int(scores.argmax())
    words, probabilities = choices(scores, temperature, top_k, top_p)
    # One uniform number a word, whatever the number of choices, turned over by the cumulated probabilities.
    drawn = torch.rand((), generator=generator, dtype=torch.float64)
    place = int(torch.searchsorted(probabilities.cumsum(0), drawn, right=True))
    if place == len(words):  # the sum may end a rounding error below 1
        place = int(probabilities.argmax())
    return int(words[place])


def _beam_search(
    model: LanguageModel, hidden: Tensor, state: Any, words: int, beams: int, banned: Tensor
) -> tuple[list[int], float]:
    """Return the likeliest text found, as ids, and its log-probability.

    All texts have the same length, so their log-probabilities compare as they are.
    """
    totals = torch.zeros(1, 1, dtype=torch.float64)  # one text so far; then (B, 1)
    steps: list[tuple[Tensor, Tensor]] = []  # where each beam came from, and its word, both (B,)
    for position in range(words):
        scores = model.log_probs(hidden).cpu().double()  # (B, V)
        scores[:, banned] = -torch.inf
        scores += totals
        best, places = scores.flatten().topk(min(beams, scores.numel()))
        best, places = best[best > -torch.inf], places[best > -torch.inf]
        parents, chosen = places // scores.shape[1], places % scores.shape[1]
        totals = best[:, None]
        steps.append((parents, chosen))
        if position + 1 < words:
            state = _reordered(state, parents.to(hidden.device))
            hidden, state = model(chosen[None].to(hidden.device), state)
            hidden = hidden[-1]
    place, ids = 0, []  # topk returns the best first
    for parents, chosen in reversed(steps):
        ids.append(int(chosen[place]))
        place = int(parents[place])
    return ids[::-1], float(totals[0, 0])


def _reordered(state: Any, order: Tensor) -> Any:
    """Return the state of other beams; the batch is dimension 1 of every tensor."""
    if isinstance(state, Tensor):
        return state.index_select(1, order)
    return state if state is None else tuple(_reordered(part, order) for part in state)


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
    is_drawn = temperature != 1 or top_k is not None or top_p is not None or repetition_penalty != 1
    if beams > 1 and is_drawn:
        raise UserError(
            "Beam search looks for the likeliest text. Leave temperature, top_k, top_p and repetition_penalty out, "
            "or beams."
        )
