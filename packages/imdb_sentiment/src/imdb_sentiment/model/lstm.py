"""An LSTM written out from its equations: several layers, one or both directions, reviews of different lengths.

Shapes: B batch, T time in tokens, D input size, H hidden size, W ways (1: forward; 2: forward and backward).

For each token x of a review, with the state h, c before it (Hochreiter and Schmidhuber 1997; Gers et al. 2000)::

    i = sigmoid(W_i x + U_i h + b_i)        what is written into the cell
    f = sigmoid(W_f x + U_f h + b_f)        what is kept of it
    g = tanh(W_g x + U_g h + b_g)           the new content
    o = sigmoid(W_o x + U_o h + b_o)        what of the cell is shown
    c = f * c + i * g
    h = o * tanh(c)

The backward way reads a review's own tokens from the last to the first. So it meets padding only after it has read
all of the review, as the forward way does, and both ways are computed side by side in one loop.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from shared.torch.masking import mask_from_lengths


class HandwrittenLSTM(nn.Module):
    """What `nn.LSTM` is, written out.

    Weights have `nn.LSTM`'s names, shapes and order of gates (i, f, g, o), so that either can load the other's
    `state_dict`.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    num_layers : int
    bidirectional : bool
    dropout : float
        Share of features dropped between layers.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.ways = 2 if bidirectional else 1
        self.dropout = nn.Dropout(dropout)
        bound = 1 / math.sqrt(hidden_size)
        for layer in range(num_layers):
            size = input_size if layer == 0 else self.ways * hidden_size
            for way in range(self.ways):
                for kind, shape in (
                    ("weight_ih", (4 * hidden_size, size)),
                    ("weight_hh", (4 * hidden_size, hidden_size)),
                    ("bias_ih", (4 * hidden_size,)),
                    ("bias_hh", (4 * hidden_size,)),
                ):
                    weight = torch.empty(shape).uniform_(-bound, bound)
                    self.register_parameter(_name(kind, layer, way), nn.Parameter(weight))

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read reviews.

        Parameters
        ----------
        inputs : float tensor (B, T, D)
        lengths : int tensor (B,)
            Tokens of each review, 1 <= length <= T.

        Returns
        -------
        outputs : float tensor (B, T, W H)
            0 where there is padding.
        final : (h, c), each a float tensor (layers W, B, H)
            After the last token that each way has read, never after padding.
        """
        is_real = mask_from_lengths(lengths, inputs.shape[1])[:, :, None]  # (B, T, 1)
        mirrored = reversed_places(lengths, inputs.shape[1])
        final_h, final_c = [], []
        outputs = inputs
        for layer in range(self.num_layers):
            outputs = self.dropout(outputs) if layer else outputs
            read = [outputs, by_place(outputs, mirrored)][: self.ways]
            projected = torch.stack([self._projected(x, layer, w) for w, x in enumerate(read)])
            recurrent = torch.stack(
                [self._weight("weight_hh", layer, way).T for way in range(self.ways)]
            )
            states, cells = Recurrence.apply(projected, recurrent)  # (T, W, B, H) each
            last = (lengths - 1).to(inputs.device)
            rows = torch.arange(len(lengths), device=inputs.device)
            final_h.append(states[last, :, rows].transpose(0, 1))  # (W, B, H)
            final_c.append(cells[last, :, rows].transpose(0, 1))
            ways = states.permute(1, 2, 0, 3)  # (W, B, T, H)
            forward_and_back = [ways[0], *(by_place(way, mirrored) for way in ways[1:])]
            outputs = torch.cat(forward_and_back, -1).masked_fill(~is_real, 0.0)
        return outputs, (torch.cat(final_h), torch.cat(final_c))

    def _projected(self, inputs: Tensor, layer: int, way: int) -> Tensor:
        """Return W x + b of all tokens at once, time first: (T, B, 4H)."""
        bias = self._weight("bias_ih", layer, way) + self._weight("bias_hh", layer, way)
        weight = self._weight("weight_ih", layer, way)
        return nn.functional.linear(inputs.transpose(0, 1), weight, bias)

    def _weight(self, kind: str, layer: int, way: int) -> Tensor:
        return self.get_parameter(_name(kind, layer, way))


class Recurrence(torch.autograd.Function):
    """The loop over time, with its gradient by hand.

    autograd would note each of the ten operations of each token; written out, the gradient is one loop back, and the
    gradient of U one product for all tokens.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, recurrent: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the states from what the inputs contribute.

        Parameters
        ----------
        projected : float tensor (W, T, B, 4H)
            W x + b for every token.
        recurrent : float tensor (W, H, 4H)
            U, transposed.

        Returns
        -------
        h, c : float tensors (T, W, B, H)
            After every token; both begin as 0. Cells are float32 at least: in bf16 a long sum loses its small terms.
        """
        ways, time, batch, size = projected.shape
        recurrent = recurrent.to(projected.dtype)
        # (T, W, B, 4H), a copy, since it becomes i, f, g, o.
        gates = projected.transpose(0, 1).clone(memory_format=torch.contiguous_format)
        states = gates.new_empty(time, ways, batch, size // 4)
        cells = torch.empty_like(states, dtype=torch.promote_types(gates.dtype, torch.float32))
        h, c = torch.zeros_like(states[0]), torch.zeros_like(cells[0])
        for t in range(time):
            gate = gates[t]
            if t:
                gate.baddbmm_(h, recurrent)  # + U h
            i, f, g, o = gate.chunk(4, -1)
            gate[..., : size // 2].sigmoid_()  # i and f
            g.tanh_()
            o.sigmoid_()
            c = torch.addcmul(i * g, f, c, out=cells[t])
            h = torch.mul(o, c.tanh(), out=states[t])
        ctx.save_for_backward(gates, states, cells, recurrent)
        return states, cells

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of `projected` and `recurrent`, by the chain rule from the last token back."""
        gates, states, cells, recurrent = ctx.saved_tensors
        of_states, of_cells = gradients
        time, ways, _, size = states.shape
        before_gates = torch.empty_like(gates)
        back = recurrent.transpose(1, 2)
        zero = torch.zeros_like(cells[0])
        dh, dc = torch.zeros_like(states[0]), zero
        for t in reversed(range(time)):
            i, f, g, o = gates[t].chunk(4, -1)
            shown = cells[t].tanh()
            dh = dh + of_states[t]
            dc = dc + of_cells[t] + dh * o * (1 - shown * shown)
            earlier = cells[t - 1] if t else zero
            out = before_gates[t]
            torch.mul(dc * g, i * (1 - i), out=out[..., :size])
            torch.mul(dc * earlier, f * (1 - f), out=out[..., size : 2 * size])
            torch.mul(dc * i, 1 - g * g, out=out[..., 2 * size : 3 * size])
            torch.mul(dh * shown, o * (1 - o), out=out[..., 3 * size :])
            dc = dc * f
            dh = out @ back
        # h of the token before met U; the first token met none.
        past = states[:-1].transpose(0, 1).reshape(ways, -1, size)  # (W, (T-1) B, H)
        later = before_gates[1:].transpose(0, 1).reshape(ways, -1, 4 * size)
        return before_gates.transpose(0, 1), past.transpose(1, 2) @ later


def reversed_places(lengths: Tensor, size: int) -> Tensor:
    """Return, for each place of a reversed review, the place it had: int64 (B, T); padding stays where it is."""
    places = torch.arange(size, device=lengths.device)
    mirrored = lengths[:, None] - 1 - places
    return torch.where(mirrored >= 0, mirrored, places)


def by_place(values: Tensor, places: Tensor) -> Tensor:
    """Return values (B, T, H) in the order of `places` (B, any)."""
    # Whole rows are copied; `gather` would look up each number by itself.
    first = torch.arange(values.shape[0], device=values.device)[:, None] * values.shape[1]
    rows = values.flatten(0, 1).index_select(0, (places + first).flatten())
    return rows.view(*places.shape, values.shape[-1])


def _name(kind: str, layer: int, way: int) -> str:
    return f"{kind}_l{layer}{'_reverse' if way else ''}"
