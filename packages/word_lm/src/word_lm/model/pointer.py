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

_SHARE = 0.1
"""Probability of copying before training."""
_SCALE = 0.3
"""Scale of the dot products before training; Grave et al. found that of a cache to lie there."""

_ROWS = 128
"""Predictions whose words are compared at once: they fit a CPU's cache."""


class Copies(NamedTuple):
    """What a pointer adds to a segment's predictions."""

    gate: Tensor
    """Log-odds of copying, v . h + c, float32 (T, B)."""
    attention: Tensor
    """Which word is copied then, a, float32 (B, T, L + T)."""
    words: Tensor
    """These words, int64 (B, L + T); -1: none."""


class Pointer(nn.Module):
    """A distribution over the last L words of the text, mixed with that of the softmax.

        p(w) = (1 - g_t) * p_softmax(w) + g_t * sum of a_ti over the i with w_i = w, t - L < i <= t
        a_t = softmax over i of (Q h_t . h_{i-1} + u . h_i)        g_t = sigmoid(v . h_t + c)

    A word is found by the hidden state before it, which is like the present one where the text is about to repeat
    itself.

    Parameters
    ----------
    size : int
        H.
    window : int
        L.

    References
    ----------
    Merity et al. 2016, arXiv 1609.07843 (pointer sentinel mixture model); See et al. 2017, arXiv 1704.04368, section
    2.2 (the gate g, in place of the sentinel); Grave et al. 2016, arXiv 1612.04426 (keys from before the word).
    """

    def __init__(self, size: int, window: int) -> None:
        super().__init__()
        self.size, self.window = size, window
        self.query = nn.Linear(size, size, bias=False)  # Q
        self.word = nn.Linear(size, 1, bias=False)  # u
        self.gate = nn.Linear(size, 1)  # v and c
        with torch.no_grad():
            nn.init.eye_(self.query.weight).mul_(_SCALE)
        nn.init.zeros_(self.word.weight)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, math.log(_SHARE / (1 - _SHARE)))

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
        # Two products, since the memory's keys need no gradient.
        dots = [
            torch.bmm(query, part.to(query.dtype).permute(1, 2, 0))
            for part in (old_keys[:-1], keys)
        ]
        index = torch.arange(window + time, device=ids.device)
        present = window + torch.arange(time, device=ids.device)[:, None]
        is_near = (index <= present) & (index > present - window)  # (T, L + T)
        own = scores.masked_fill(words == 0, -torch.inf).t()[:, None]  # (B, 1, L + T)
        total = torch.cat(dots, dim=2).float().add_(own)  # (B, T, L + T)
        attention = total.masked_fill_(~is_near, -torch.inf).softmax(2)
        return Copies(self.gate(hidden)[..., 0].float(), attention, words.t() - 1), (
            torch.cat([old_keys[time:].to(raw.dtype), raw[-window - 1 :]]),
            scores[-window:],
            words[-window:],
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
        copied = (copies.attention * is_target).sum(2).t() * copies.gate.sigmoid()  # (T, B)
        return _mixed(nll, F.logsigmoid(-copies.gate).flatten(), copied.flatten())

    def join(self, hidden: Tensor, copies: Copies) -> Tensor:
        """Return hidden states with all that a prediction needs, float32 (T, B, H + 1 + 2 L).

        They are the state, log(1 - g), the probability g a of copying each word of the window, and the words' ids.
        """
        time, window = len(hidden), self.window
        # Word t of the segment sees entries t + 1 to t + L: rows of one more column than `attention` has begin there.
        shifted = F.pad(copies.attention.flatten(1)[:, 1:], (0, time + 1))
        near = shifted.view(-1, time, window + time + 1)[..., :window].transpose(0, 1)  # (T, B, L)
        words = copies.words.float().unfold(1, window, 1)[:, 1:].transpose(0, 1)
        gate = copies.gate[..., None]
        return torch.cat([hidden.float(), F.logsigmoid(-gate), gate.sigmoid() * near, words], dim=2)

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
        log_kept, mass, words = self._parts(joined)
        copied = torch.zeros_like(log_probs).scatter_add(1, words.long().clamp(min=0), mass)
        return -_mixed(-log_probs, log_kept[:, None], copied)

    def _parts(self, joined: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log(1 - g) (N,), probabilities (N, L) and words (N, L), floats."""
        _, log_kept, mass, words = joined.split([self.size, 1, self.window, self.window], dim=1)
        return log_kept[:, 0], mass, words


def _mixed(nll: Tensor, log_kept: Tensor, copied: Tensor) -> Tensor:
    """Return - log((1 - g) * exp(-nll) + copied), elementwise."""
    # 0 has no logarithm; the smallest number changes no sum.
    return -torch.logaddexp(log_kept - nll, copied.clamp(min=torch.finfo(copied.dtype).tiny).log())
