"""Slow context beside a recurrent layer: what the last tens to hundreds of words were about.

An LSTM that is trained on segments of 35 words learns little of what came long before. Averages of the words so far
need no gradient through time to remember: they hold the topic and the names of an article whatever the layer does.

Shapes: T time, B columns, E size of a word vector, K averages, C size of an average, H size of the hidden state.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from word_lm.model.dropout import LockedDropout


class SlowContext(nn.Module):
    """Exponential moving averages of projected word vectors, one for each decay rate d, mapped to the hidden state.

        s_t = d * s_{t-1} + (1 - d) * B x_t        added to h_t: the sum over d of (1 - d^t) * P_d s_t / rms(s_t)

    The maps P start at zero, so the model starts as it would without. In training t is nearly always large; at the
    beginning of a text, where an average is that of a few words and would mislead, 1 - d^t makes it small.

    Parameters
    ----------
    size : int
        E.
    width : int
        C.
    hidden : int
        H.
    decays : sequence of float (K,)
        Each above 0 and below 1; an average reaches back over about 1 / (1 - d) words.
    dropout : float
        Variational dropout probability of the averages.

    References
    ----------
    Mikolov et al. 2014, arXiv 1412.7753, section 3 (context units of the structurally constrained recurrent network;
    d is their alpha). Several rates, the norm and 1 - d^t are not in the paper.
    """

    def __init__(
        self, size: int, width: int, hidden: int, decays: Sequence[float], dropout: float
    ) -> None:
        super().__init__()
        self.width = width
        self.decays: Tensor  # (K, 1, 1)
        self.register_buffer("decays", torch.tensor(decays)[:, None, None], persistent=False)
        self.in_proj = nn.Linear(size, width)
        self.out_proj = nn.Linear(len(decays) * width, hidden, bias=False)
        nn.init.zeros_(self.out_proj.weight)
        self.dropout = LockedDropout(dropout)

    def init_state(self, batch: int) -> Tensor:
        """Return averages of nothing, zeros (K, B, C + 1)."""
        return self.in_proj.weight.new_zeros(len(self.decays), batch, self.width + 1)

    def forward(self, vectors: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Take in words.

        Parameters
        ----------
        vectors : float tensor (T, B, E)
        state : float tensor (K, B, C + 1)
            Averages before these words; the last number is that of 1, which is 1 - d^t.

        Returns
        -------
        float tensor (T, B, H)
            What is added to the hidden states.
        state : float tensor (K, B, C + 1)
        """
        inputs = F.pad(self.in_proj(vectors), (0, 1), value=1.0)  # B x and 1, (T, B, C + 1)
        with torch.autocast(inputs.device.type, enabled=False):  # (1 - d) is lost in bfloat16
            averages = self._averages(inputs.float(), state)  # (K, T, B, C + 1)
        scaled = F.rms_norm(averages[..., :-1], (self.width,)) * averages[..., -1:]
        rows = scaled.permute(1, 2, 0, 3).flatten(2)  # (T, B, K * C)
        return self.out_proj(self.dropout(rows)), averages[:, -1].clone()

    def _averages(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Return the averages after each word: all steps of the recurrence at once, as a product of matrices."""
        step = torch.arange(len(inputs), device=inputs.device)
        lags = step[:, None] - step  # (T, T), of s_t behind x_i
        weights = ((1 - self.decays) * self.decays ** lags.clamp(min=0)).tril()  # (K, T, T)
        fresh = torch.einsum("kti,ibc->ktbc", weights, inputs)
        kept = self.decays ** (step + 1)[:, None]  # (K, T, 1)
        return fresh + kept[..., None] * state[:, None]
