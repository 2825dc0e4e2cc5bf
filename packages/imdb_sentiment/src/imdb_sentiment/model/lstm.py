"""An LSTM written out from its equations: several layers, one or both directions, sequences of different lengths.

Shapes: B batch, T time in tokens, D input size, H hidden size, K directions (1: forward; 2: forward and backward).

For each token x_t, with the state h_{t-1}, c_{t-1} before it (Hochreiter and Schmidhuber 1997; with the forget gate of
Gers et al. 2000)::

    i_t = sigmoid(W_i x_t + U_i h_{t-1} + b_i)    (1) input gate
    f_t = sigmoid(W_f x_t + U_f h_{t-1} + b_f)    (2) forget gate
    g_t = tanh   (W_g x_t + U_g h_{t-1} + b_g)    (3) candidate
    o_t = sigmoid(W_o x_t + U_o h_{t-1} + b_o)    (4) output gate
    c_t = f_t * c_{t-1} + i_t * g_t               (5) cell state
    h_t = o_t * tanh(c_t)                         (6) hidden state

The backward direction reads the real tokens of a sequence from the last to the first. So it meets padding only after it
has read the whole sequence, as the forward direction does, and one loop computes both.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from shared.torch.masking import mask_from_lengths

State = tuple[Tensor, Tensor]
"""h and c, each (layers K, B, H)."""


class HandwrittenLSTM(nn.Module):
    """Long short-term memory, equations 1 to 6 above, with the interface of `nn.LSTM`.

    Weights have `nn.LSTM`'s names, shapes and order of gates (i, f, g, o), so that either can load the other's
    `state_dict`.

    Parameters
    ----------
    input_size, hidden_size : int
        D and H.
    num_layers : int
    bidirectional : bool
    dropout : float
        Dropout probability between layers.

    References
    ----------
    Hochreiter and Schmidhuber 1997, "Long short-term memory"; Gers, Schmidhuber and Cummins 2000, "Learning to forget".
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
        self.directions = 2 if bidirectional else 1
        self.dropout = nn.Dropout(dropout)
        bound = 1 / math.sqrt(hidden_size)
        for layer in range(num_layers):
            size = input_size if layer == 0 else self.directions * hidden_size
            for direction in range(self.directions):
                for name, shape in (
                    ("weight_ih", (4 * hidden_size, size)),
                    ("weight_hh", (4 * hidden_size, hidden_size)),
                    ("bias_ih", (4 * hidden_size,)),
                    ("bias_hh", (4 * hidden_size,)),
                ):
                    weight = torch.empty(shape).uniform_(-bound, bound)
                    self.register_parameter(
                        _full_name(name, layer, direction), nn.Parameter(weight)
                    )

    def forward(
        self, inputs: Tensor, lengths: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Return the hidden states of all tokens, and the final state.

        Parameters
        ----------
        inputs : float tensor (B, T, D)
        lengths : int tensor (B,)
            Number of tokens of each sequence, 1 <= length <= T.
        state : (h, c), each a float tensor (layers K, B, H), optional
            Initial state; default: zeros.

        Returns
        -------
        outputs : float tensor (B, T, K H)
            0 at padding.
        final : (h, c), each a float tensor (layers K, B, H)
            After the last token that each direction has read, never after padding.
        """
        size = inputs.shape[1]
        is_real = mask_from_lengths(lengths, size)[:, :, None]  # (B, T, 1)
        reverse = reversed_positions(lengths, size)
        last, rows = (
            (lengths - 1).to(inputs.device),
            torch.arange(len(lengths), device=inputs.device),
        )
        initial = self._split(state, inputs)
        final_h, final_c = [], []
        outputs = inputs
        for layer, (h0, c0) in enumerate(initial):
            outputs = self.dropout(outputs) if layer else outputs
            read = [outputs, take_positions(outputs, reverse)][: self.directions]
            projected = torch.stack([self._projected(x, layer, k) for k, x in enumerate(read)])
            recurrent = torch.stack(
                [self._weight("weight_hh", layer, k).T for k in range(self.directions)]
            )
            states, cells = Recurrence.apply(projected, recurrent, h0, c0)  # (T, K, B, H) each
            final_h.append(states[last, :, rows].transpose(0, 1))  # (K, B, H)
            final_c.append(cells[last, :, rows].transpose(0, 1))
            by_direction = states.permute(1, 2, 0, 3)  # (K, B, T, H)
            backward = [take_positions(own, reverse) for own in by_direction[1:]]
            outputs = torch.cat([by_direction[0], *backward], -1).masked_fill(~is_real, 0.0)
        return outputs, (torch.cat(final_h), torch.cat(final_c))

    def _split(self, state: State | None, inputs: Tensor) -> list[State]:
        """Return the initial h and c (K, B, H) of each layer."""
        if state is None:
            zeros = inputs.new_zeros(self.directions, inputs.shape[0], self.hidden_size)
            return [(zeros, zeros)] * self.num_layers
        return list(zip(*(part.split(self.directions) for part in state), strict=True))

    def _projected(self, inputs: Tensor, layer: int, direction: int) -> Tensor:
        """Return W x_t + b of all tokens at once, the part of equations 1 to 4 without h; time first, (T, B, 4H)."""
        bias = self._weight("bias_ih", layer, direction) + self._weight("bias_hh", layer, direction)
        weight = self._weight("weight_ih", layer, direction)
        return nn.functional.linear(inputs.transpose(0, 1), weight, bias)

    def _weight(self, name: str, layer: int, direction: int) -> Tensor:
        return self.get_parameter(_full_name(name, layer, direction))


class Recurrence(torch.autograd.Function):
    """The loop over time, with its gradient by hand.

    autograd would record each of the ten operations of each token; written out, the gradient is one loop back, and the
    gradient of U one product for all tokens.
    """

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, recurrent: Tensor, h0: Tensor, c0: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compute the states from what the inputs contribute.

        Parameters
        ----------
        projected : float tensor (K, T, B, 4H)
            W x_t + b of every token.
        recurrent : float tensor (K, H, 4H)
            U, transposed.
        h0, c0 : float tensors (K, B, H)
            Initial state.

        Returns
        -------
        h, c : float tensors (T, K, B, H)
            After every token. Cells are float32 at least: in bf16 a long sum loses its small terms.
        """
        directions, time, batch, size = projected.shape
        recurrent, h0 = recurrent.to(projected.dtype), h0.to(projected.dtype)
        # (T, K, B, 4H), a copy, since it becomes i, f, g, o.
        gates = projected.transpose(0, 1).clone(memory_format=torch.contiguous_format)
        states = gates.new_empty(time, directions, batch, size // 4)
        cells = torch.empty_like(states, dtype=torch.promote_types(gates.dtype, torch.float32))
        h, c = h0, c0.to(cells.dtype)
        for t in range(time):
            gate = gates[t].baddbmm_(h, recurrent)  # W x_t + b + U h_{t-1}
            i, f, g, o = gate.chunk(4, -1)
            gate[..., : size // 2].sigmoid_()  # eq. 1 and 2
            g.tanh_()  # eq. 3
            o.sigmoid_()  # eq. 4
            c = torch.addcmul(i * g, f, c, out=cells[t])  # eq. 5
            h = torch.mul(o, c.tanh(), out=states[t])  # eq. 6
        ctx.save_for_backward(gates, states, cells, recurrent, h0, c0)
        return states, cells

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the gradients of the four inputs, by the chain rule from the last token to the first."""
        gates, states, cells, recurrent, h0, c0 = ctx.saved_tensors
        states_gradient, cells_gradient = gradients
        time, directions, _, size = states.shape
        gate_gradients = torch.empty_like(gates)  # of W x_t + b + U h_{t-1}, before the activations
        transposed = recurrent.transpose(1, 2)
        dh, dc = torch.zeros_like(states[0]), torch.zeros_like(cells[0])
        for t in reversed(range(time)):
            i, f, g, o = gates[t].chunk(4, -1)
            tanh_c = cells[t].tanh()
            dh = dh + states_gradient[t]
            dc = dc + cells_gradient[t] + dh * o * (1 - tanh_c * tanh_c)  # through eq. 6
            previous = cells[t - 1] if t else c0
            out = gate_gradients[t]
            torch.mul(dc * g, i * (1 - i), out=out[..., :size])  # through eq. 5 and 1
            torch.mul(dc * previous, f * (1 - f), out=out[..., size : 2 * size])  # 5 and 2
            torch.mul(dc * i, 1 - g * g, out=out[..., 2 * size : 3 * size])  # 5 and 3
            torch.mul(dh * tanh_c, o * (1 - o), out=out[..., 3 * size :])  # 6 and 4
            dc = dc * f  # of c_{t-1}
            dh = out @ transposed  # of h_{t-1}
        before = torch.cat([h0[None], states[:-1]])  # h_{t-1}, (T, K, B, H)
        before = before.transpose(0, 1).reshape(directions, -1, size)  # (K, T B, H)
        by_direction = gate_gradients.transpose(0, 1)  # (K, T, B, 4H)
        of_recurrent = before.transpose(1, 2) @ by_direction.reshape(directions, -1, 4 * size)
        return by_direction, of_recurrent, dh, dc


def reversed_positions(lengths: Tensor, size: int) -> Tensor:
    """Return, for each position of the reversed sequence, its position before: int64 (B, T); padding stays in place."""
    positions = torch.arange(size, device=lengths.device)
    reverse = lengths[:, None] - 1 - positions
    return torch.where(reverse >= 0, reverse, positions)


def take_positions(values: Tensor, positions: Tensor) -> Tensor:
    """Return values (B, T, H) at `positions` (B, any) of each sequence."""
    # Whole rows are copied; `gather` would look up each number by itself.
    first = torch.arange(values.shape[0], device=values.device)[:, None] * values.shape[1]
    rows = values.flatten(0, 1).index_select(0, (positions + first).flatten())
    return rows.view(*positions.shape, values.shape[-1])


def _full_name(name: str, layer: int, direction: int) -> str:
    return f"{name}_l{layer}{'_reverse' if direction else ''}"
