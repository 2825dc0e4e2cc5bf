"""Copying a recent word: a pointer network beside the softmax.

A name that a text has used once comes again, however rare it is elsewhere. The softmax has hardly learned such a word;
a pointer only has to find where it stood.

Shapes: T time, B columns, N predictions, H size of the hidden state, L words of the window, V words of the vocabulary.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_COPY_PROBABILITY = 0.1
"""Probability of copying before training, once the window is full and while all dot products are near 0."""
_SCALE = 0.3
"""Scale of the dot products before training; the best one of a cache is near it."""

_ROWS = 128
"""Predictions whose words are compared at once: they fit a CPU's cache."""


class Copies(NamedTuple):
    """What a pointer adds to a segment's predictions."""

    mass: Tensor
    """Probability of copying each word, a, float32 (B, T, L + T), and in one more column that of copying none."""
    words: Tensor
    """These words, int64 (B, L + T); -1: none."""


class Pointer(nn.Module):
    """A distribution over the last L words of the text, mixed with that of the softmax.

        p(w) = g_t * p_softmax(w) + sum of a_ti over the i with w_i = w, t - L < i <= t
        (a_t, g_t) = softmax of (Q h_t . h_{i-1} + u . h_i for these i; v . h_t + c)

    A word is found by the hidden state before it, which is like the present one where the text is about to repeat
    itself. The last term is the sentinel's, with which all words of the window compete, so little is copied where there
    are few. Each h_t is the state after dropout, h_{i-1} and h_i are before it.

    Parameters
    ----------
    size : int
        H.
    window : int
        L.

    References
    ----------
    Merity et al. 2016, arXiv 1609.07843, section 2 (pointer sentinel mixture model); Grave et al. 2016, arXiv
    1612.04426 (keys from before the word).
    """

    def __init__(self, size: int, window: int) -> None:
        super().__init__()
        self.size, self.window = size, window
        self.query = nn.Linear(size, size, bias=False)  # Q
        self.word = nn.Linear(size, 1, bias=False)  # u
        self.sentinel = nn.Linear(size, 1)  # v and c
        with torch.no_grad():
            nn.init.eye_(self.query.weight).mul_(_SCALE)
        nn.init.zeros_(self.word.weight)
        nn.init.zeros_(self.sentinel.weight)
        nn.init.constant_(self.sentinel.bias, math.log(window * (1 / _COPY_PROBABILITY - 1)))

    def init_state(self, batch: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return an empty memory, all zeros.

        Returns
        -------
        keys : float tensor (L + 1, B, H)
            Hidden states before each of the last words, and the last one.
        scores : float tensor (L, B)
            u . h_i of these words.
        words : int64 tensor (L, B)
            Their ids, plus 1; 0: none.
        """
        weight = self.query.weight
        keys = weight.new_zeros(self.window + 1, batch, self.size)
        words = torch.zeros(self.window, batch, dtype=torch.int64, device=weight.device)
        return keys, weight.new_zeros(self.window, batch), words

    def forward(
        self, hidden: Tensor, raw: Tensor, ids: Tensor, memory: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Copies, tuple[Tensor, Tensor, Tensor]]:
        """Look for words to copy.

        Parameters
        ----------
        hidden, raw : float tensors (T, B, H)
            After and before the last dropout: h of the query, and of the keys.
        ids : int64 tensor (T, B)
        memory : tuple of tensors
            See `init_state`.

        Returns
        -------
        Copies
        memory : tuple of tensors
            After these words.
        """
        old_keys, old_scores, old_words = memory
        time, window = len(ids), self.window
        keys = torch.cat([old_keys[-1:].to(raw.dtype), raw[:-1]])  # (T, B, H)
        scores = torch.cat([old_scores, self.word(raw)[..., 0].float()])  # u . h_i, (L + T, B)
        words = torch.cat([old_words, ids + 1])
        query = self.query(hidden).transpose(0, 1)  # (B, T, H)
        # Two products, since the memory's keys need no gradient; then the sentinel, which competes with all words.
        dots = [
            torch.bmm(query, part.to(query.dtype).permute(1, 2, 0))
            for part in (old_keys[:-1], keys)
        ]
        total = torch.cat([*dots, self.sentinel(hidden).transpose(0, 1)], dim=2).float()
        index = torch.arange(window + time, device=ids.device)
        present = window + torch.arange(time, device=ids.device)[:, None]
        is_near = (index <= present) & (index > present - window)  # (T, L + T)
        own = F.pad(scores.masked_fill(words == 0, -torch.inf).t()[:, None], (0, 1))
        is_out = F.pad(~is_near, (0, 1))
        mass = total.add_(own).masked_fill_(is_out, -torch.inf).softmax(2)  # (B, T, L + T + 1)
        return (
            Copies(mass, words.t() - 1),
            (
                torch.cat([old_keys[time:].to(raw.dtype), raw[-window - 1 :]]),
                scores[-window:].clone(),  # a view would be saved with all that it is a part of
                words[-window:].clone(),
            ),
        )

    def nll(self, nll: Tensor, copies: Copies, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood of each target by the mixture, float32 (T * B,).

        Parameters
        ----------
        nll : float32 tensor (T * B,)
            By the softmax.
        copies : Copies
        targets : int64 tensor (T, B)
        """
        is_target = copies.words[:, None] == targets.t()[..., None]  # (B, T, L + T)
        copied = (copies.mass[..., :-1] * is_target).sum(2).t()  # (T, B)
        return _mixed(nll, copies.mass[..., -1].t().flatten(), copied.flatten())

    def join(self, hidden: Tensor, copies: Copies) -> Tensor:
        """Return hidden states with all that a prediction needs, float32 (T, B, H + 1 + 2 L).

        They are the state, the probabilities of copying no word, and each word of the window, and the words' ids.
        """
        time, window = len(hidden), self.window
        # Word t of the segment sees entries t + 1 to t + L, which begin one further in each row.
        near = copies.mass[..., :-1].flatten(1)[:, 1:]
        near = F.pad(near, (0, time + 1)).view(-1, time, window + time + 1)[..., :window]
        words = copies.words.float().unfold(1, window, 1)[:, 1:]  # (B, T, L)
        pointing = torch.cat([copies.mass[..., -1:], near, words], dim=2)
        return torch.cat([hidden.float(), pointing.transpose(0, 1)], dim=2)

    def joined_nll(self, nll: Tensor, joined: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood of each target by the mixture, float32 (N,).

        Parameters
        ----------
        nll : float32 tensor (N,)
            By the softmax.
        joined : float32 tensor (N, H + 1 + 2 L)
        targets : int64 tensor (N,)
        """
        copied = []
        for some, own in zip(joined.split(_ROWS), targets.split(_ROWS), strict=True):
            _, mass, words = self._parts(some)
            copied.append(mass.masked_fill(words != own[:, None], 0).sum(1))
        return _mixed(nll, joined[:, self.size], torch.cat(copied))

    def joined_log_probs(self, log_probs: Tensor, joined: Tensor) -> Tensor:
        """Return the mixture's log-probability of every word, float32 (N, V), for those of the softmax."""
        kept, mass, words = self._parts(joined)
        copied = torch.zeros_like(log_probs).scatter_add(1, words.long().clamp(min=0), mass)
        return -_mixed(-log_probs, kept[:, None], copied)

    def _parts(self, joined: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the probabilities of copying none (N,) and each word (N, L), and the words (N, L), floats."""
        _, kept, mass, words = joined.split([self.size, 1, self.window, self.window], dim=1)
        return kept[:, 0], mass, words


def _mixed(nll: Tensor, kept: Tensor, copied: Tensor) -> Tensor:
    """Return - log(kept * exp(-nll) + copied), elementwise."""
    own = kept.clamp(min=torch.finfo(kept.dtype).tiny).log() - nll
    # 0 has no logarithm, and a tiny number in its place would hide the gradient of the softmax.
    is_copied = copied > 0
    both = torch.logaddexp(own, torch.where(is_copied, copied, 1).log())
    return -torch.where(is_copied, both, own)
