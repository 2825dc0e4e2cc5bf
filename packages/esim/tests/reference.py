"""ESIM word by word: no batches, no padding, no masks, plain loops. What the fast one must equal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def esim(weights: Mapping[str, Array], premise: list[int], hypothesis: list[int]) -> Array:
    """Return the scores of one pair (3,), by the equations of arXiv 1609.06038.

    Parameters
    ----------
    weights : mapping of str to float64 array
        The model's state by name.
    premise, hypothesis : list of int
        Ids, one or more.
    """
    table = weights["encoding.embedding.weight"]
    a = bilstm(weights, "encoding", [table[word] for word in premise])  # eq. 1
    b = bilstm(weights, "encoding", [table[word] for word in hypothesis])  # eq. 2
    pooled: list[Array] = []
    for own, other in ((a, b), (b, a)):
        states = []
        for state in own:
            scores = [
                sum(x * y for x, y in zip(state, peer, strict=True)) for peer in other
            ]  # eq. 11
            shares = softmax(scores)
            aligned = np.zeros_like(state)
            for share, peer in zip(shares, other, strict=True):  # eq. 12, 13
                aligned = aligned + share * peer
            enhanced = np.concatenate(
                [state, aligned, state - aligned, state * aligned]
            )  # eq. 14, 15
            states.append(np.maximum(linear(weights, "composition.projection", enhanced), 0))
        composed = bilstm(weights, "composition", states)  # eq. 16, 17
        mean, most = np.zeros_like(composed[0]), np.full_like(composed[0], -np.inf)
        for state in composed:
            mean = mean + state / len(composed)  # eq. 18
            most = np.maximum(most, state)  # eq. 19
        pooled += [mean, most]  # eq. 20
    hidden = np.tanh(linear(weights, "classifier.layers.1", np.concatenate(pooled)))
    return linear(weights, "classifier.layers.4", hidden)


def bilstm(weights: Mapping[str, Array], part: str, inputs: list[Array]) -> list[Array]:
    """Return the states of both directions for each word."""
    forward = lstm(weights, f"{part}.bilstm.lstm", "", inputs)
    backward = lstm(weights, f"{part}.bilstm.lstm", "_reverse", inputs[::-1])[::-1]
    return [np.concatenate(pair) for pair in zip(forward, backward, strict=True)]


def lstm(weights: Mapping[str, Array], part: str, side: str, inputs: list[Array]) -> list[Array]:
    w_in, w_state = (weights[f"{part}.weight_{kind}_l0{side}"] for kind in ("ih", "hh"))
    bias = weights[f"{part}.bias_ih_l0{side}"] + weights[f"{part}.bias_hh_l0{side}"]
    size = w_state.shape[1]
    state, cell, states = np.zeros(size), np.zeros(size), []
    for given in inputs:
        rows = range(4 * size)
        gates = [bias[row] + w_in[row] @ given + w_state[row] @ state for row in rows]
        i, f, g, o = (np.array(gates[k * size : (k + 1) * size]) for k in range(4))
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        state = sigmoid(o) * np.tanh(cell)
        states.append(state)
    return states


def linear(weights: Mapping[str, Array], part: str, given: Array) -> Array:
    return weights[f"{part}.weight"] @ given + weights[f"{part}.bias"]


def sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def softmax(scores: list[float]) -> list[float]:
    powers = [np.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]
