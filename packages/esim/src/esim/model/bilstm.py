"""A bidirectional LSTM over packed tokens, fast to train on a CPU.

Shapes: N packed tokens, S sentences, T longest sentence, D inputs, H hidden size.

`torch.nn.LSTM` on packed input makes, per time step and direction, a small product for the weights' gradient that costs
as much memory traffic as the weights themselves. Here one autograd function computes forward and backward passes: the
input's part of the gates is one product over all tokens of the batch, and so is each weight's gradient; what is left
per time step is one product with the state. A sentence that has ended takes no part in later steps, so padding costs
nothing, and the reverse direction begins at each sentence's own last word. Equations and parameters are those of
`torch.nn.LSTM`; on a GPU this module calls cuDNN through it.

    i, f, o = sigmoid(W x_t + b + U h_{t-1}),   g = tanh(W x_t + b + U h_{t-1})
    c_t = f * c_{t-1} + i * g,                  h_t = o * tanh(c_t)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from esim.model.packing import Packing
from shared.torch.cpu import pad_rows


class BiLSTM(nn.Module):
    """One bidirectional layer.

    Parameters
    ----------
    inputs, hidden : int
        D and H.
    orthogonal : bool
        False: recurrent weights too are drawn by Glorot and Bengio 2010, and all biases start at 0.

    Attributes
    ----------
    lstm : nn.LSTM
        Holds the weights: gates in torch's order (input, forget, cell, output). Input weights are drawn by Glorot and
        Bengio 2010, recurrent ones are orthogonal, biases start at 0, those of the forget gate at 1.
    """

    def __init__(self, inputs: int, hidden: int, *, orthogonal: bool = True) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, bidirectional=True)
        init_weights(self.lstm, orthogonal=orthogonal)

    def forward(self, packed: Tensor, packing: Packing) -> Tensor:
        """Read sentences in both directions.

        Parameters
        ----------
        packed : float tensor (N, D)
        packing : Packing

        Returns
        -------
        float tensor (N, 2 H)
            States of the forward direction, then of the reverse one.
        """
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [
            getattr(self.lstm, f"{name}_l0{side}") for side in ("", "_reverse") for name in names
        ]
        kind, dtype = packed.device.type, packed.dtype
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        weights = [weight.to(dtype) for weight in weights]
        if kind == "cpu":
            return _BiLSTMFunction.apply(packed.to(dtype), packing.sizes, *weights)
        # Outside autocast, which computes LSTMs on a GPU in float16 whatever format was asked for.
        with torch.autocast(kind, enabled=False):
            return _torch_bilstm(
                packed.to(dtype), packing.sizes, weights, is_training=self.training
            )


def init_weights(lstm: nn.LSTM, *, orthogonal: bool) -> None:
    """Draw initial weights as `BiLSTM` describes."""
    hidden = lstm.hidden_size
    for name, weight in lstm.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(weight)
        elif name.startswith("weight_hh"):
            (nn.init.orthogonal_ if orthogonal else nn.init.xavier_uniform_)(weight)
        else:
            nn.init.zeros_(weight)
        if name.startswith("bias_hh") and orthogonal:
            nn.init.ones_(weight.data[hidden : 2 * hidden])


def _torch_bilstm(
    packed: Tensor, sizes: Sequence[int], weights: list[Tensor], *, is_training: bool
) -> Tensor:
    """Return the states (N, 2 H) that torch's own kernels compute, cuDNN's on an NVIDIA GPU."""
    zeros = packed.new_zeros(2, sizes[0], weights[1].shape[1])  # (directions, S, H)
    has_biases, layers, dropout, is_bidirectional = True, 1, 0.0, True
    options = (has_biases, layers, dropout, is_training, is_bidirectional)
    return torch.lstm(packed, torch.tensor(sizes), (zeros, zeros), weights, *options)[0]


class _BiLSTMFunction(torch.autograd.Function):
    """Both directions over packed tokens, with the gradients written out."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, sizes: tuple[int, ...], *weights: Tensor) -> Tensor:
        inputs = pad_rows(packed)
        states, saved = [], []
        for direction in (0, 1):  # forward, reverse
            w_in, w_state, b_in, b_state = weights[4 * direction : 4 * direction + 4]
            gates = torch.addmm(b_in + b_state, inputs, w_in.t())  # (N, 4 H): W x + b of all steps
            h, c, tanh_c = _forward_steps(
                gates, w_state.t().contiguous(), sizes, is_reverse=direction == 1
            )
            states.append(h)
            saved += [gates, h, c, tanh_c]
        ctx.sizes, ctx.count = sizes, len(packed)
        ctx.save_for_backward(inputs, *weights, *saved)
        return torch.cat(states, 1)[: len(packed)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *rest = ctx.saved_tensors
        weights, saved = rest[:8], rest[8:]
        d_inputs = None
        d_weights: list[Tensor] = []
        for direction, d_states in enumerate(grads[0].chunk(2, 1)):
            w_in, w_state = weights[4 * direction : 4 * direction + 2]
            gates, states, cells, tanhs = saved[4 * direction : 4 * direction + 4]
            is_reverse = direction == 1
            now, before = _previous_tokens(ctx.sizes, is_reverse=is_reverse)
            factors, to_cell = _local_gradients(gates, cells, tanhs, now, before)
            d_gates = _backward_steps(
                d_states.contiguous(), factors, to_cell, gates, w_state, ctx.sizes, is_reverse=is_reverse
            )  # fmt: skip
            d_bias = d_gates.sum(0)
            earlier = torch.zeros_like(states).index_copy_(0, now, states[before])  # h_{t-1}
            d_weights += [d_gates.t() @ inputs, d_gates.t() @ earlier, d_bias, d_bias]
            if not ctx.needs_input_grad[0]:
                continue
            d_inputs = d_gates @ w_in if d_inputs is None else torch.addmm(d_inputs, d_gates, w_in)
        return None if d_inputs is None else d_inputs[: ctx.count], None, *d_weights


def _forward_steps(
    gates: Tensor, w_state: Tensor, sizes: Sequence[int], *, is_reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one direction; return states h, cells c and tanh(c), each (N, H).

    `gates` (N, 4 H) holds W x + b and is overwritten with the gates themselves. Cells are float32 at least: in bf16 a
    long sum loses its small terms.
    """
    hidden = len(w_state)
    states = gates.new_empty(len(gates), hidden)
    tanhs = torch.empty_like(states)
    cells = torch.empty_like(states, dtype=torch.promote_types(gates.dtype, torch.float32))
    for part in (states, tanhs, cells):
        part[sum(sizes) :] = 0  # rows that only round the number of tokens up
    # All views at once: made one by one they would take as long as the arithmetic of a small model.
    i, f, g, o = gates.split(hidden, 1)
    i_f = gates[:, : 2 * hidden]
    views = [_by_step(part, sizes) for part in (gates, i, f, g, o, i_f, states, tanhs, cells)]
    steps = list(zip(*views, strict=True))
    last_state = last_cell = None
    for gate, i, f, g, o, i_f, state, tanh, cell in reversed(steps) if is_reverse else steps:
        if last_state is not None and last_cell is not None:
            # Forward, sentences end as we go; in reverse they begin: `known` of them have a state.
            known, before = len(gate), len(last_state)
            if known < before:
                last_state, last_cell = last_state[:known], last_cell[:known]
            (gate[:before] if before < known else gate).addmm_(last_state, w_state)  # + U h_{t-1}
        i_f.sigmoid_()
        o.sigmoid_()
        torch.mul(i, g.tanh_(), out=cell)  # c = i * g
        if last_state is not None and last_cell is not None:
            if before < known:
                cell[:before].addcmul_(f[:before], last_cell)
            else:
                cell.addcmul_(f, last_cell)  # + f * c_{t-1}
        torch.mul(tanh.copy_(cell).tanh_(), o, out=state)  # h = o * tanh(c)
        last_state, last_cell = state, cell
    return states, cells, tanhs


def _local_gradients(
    gates: Tensor, cells: Tensor, tanhs: Tensor, now: Tensor, before: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the derivatives within one time step, for all tokens at once.

    Returns
    -------
    factors : float tensor (N, 4, H)
        With respect to each gate's preactivation: of the cell for input, forget and cell gate, of the state for the
        output gate.
    to_cell : float tensor (N, H)
        Of the state with respect to the cell.
    """
    hidden = tanhs.shape[1]
    i, f, g, o = gates.split(hidden, 1)
    earlier = torch.zeros_like(tanhs).index_copy_(0, now, cells[before].to(tanhs.dtype))
    factors = torch.empty(len(gates), 4, hidden, dtype=gates.dtype)
    for gate, (output, other) in enumerate(((i, g), (f, earlier), (g, i), (o, tanhs))):
        if gate == 2:
            torch.ops.aten.tanh_backward.grad_input(other, output, grad_input=factors[:, gate])
        else:
            torch.ops.aten.sigmoid_backward.grad_input(other, output, grad_input=factors[:, gate])
    return factors, torch.ops.aten.tanh_backward(o, tanhs)


def _backward_steps(
    d_states: Tensor,
    factors: Tensor,
    to_cell: Tensor,
    gates: Tensor,
    w_state: Tensor,
    sizes: Sequence[int],
    *,
    is_reverse: bool,
) -> Tensor:
    """Return the gradient of the gates' preactivations, (N, 4 H), of one direction; `d_states` is overwritten."""
    hidden = to_cell.shape[1]
    d_gates = torch.empty_like(gates)
    d_gates[len(d_states) :] = 0  # rows that only round the number of tokens up
    by_gate, forget = d_gates.view(-1, 4, hidden), gates[:, hidden : 2 * hidden]
    parts = (
        d_states, to_cell, factors[:, :3], factors[:, 3], forget, d_gates, by_gate[:, :3], by_gate[:, 3]
    )  # fmt: skip
    steps = list(zip(*(_by_step(part, sizes) for part in parts), strict=True))
    d_cell = later = None  # the gradient that reaches this step's cells from the next step
    for d_state, through, factor, factor_o, f, d_gate, d_ifg, d_o in (
        steps if is_reverse else reversed(steps)
    ):
        if later is None or d_cell is None:
            d_now = d_state * through
        elif len(later) < len(d_state):
            d_state[: len(later)].addmm_(later, w_state)
            d_now = d_state * through
            d_now[: len(later)] += d_cell
        else:
            if len(d_state) < len(later):
                later, d_cell = later[: len(d_state)], d_cell[: len(d_state)]
            d_state.addmm_(later, w_state)
            d_now = torch.addcmul(d_cell, d_state, through)
        torch.mul(d_now[:, None], factor, out=d_ifg)
        torch.mul(d_state, factor_o, out=d_o)
        d_cell = d_now * f
        later = d_gate
    return d_gates


def _by_step(part: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """Return views of the rows of each time step."""
    return part[: sum(sizes)].split(list(sizes))


def _previous_tokens(sizes: tuple[int, ...], *, is_reverse: bool) -> tuple[Tensor, Tensor]:
    """Return the tokens that have a predecessor in a direction, and their predecessors."""
    starts = torch.tensor([0, *accumulate(sizes)])
    # Step t + 1 has the first sizes[t + 1] sentences of step t.
    counts = torch.tensor(sizes[1:], dtype=torch.int64)
    later = torch.arange(int(counts.sum())) + (sizes[0] if sizes else 0)
    distance = torch.repeat_interleave(starts[1 : len(counts) + 1] - starts[: len(counts)], counts)
    return (later - distance, later) if is_reverse else (later, later - distance)
