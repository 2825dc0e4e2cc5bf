"""One training step of word2vec in plain numpy: what every other engine is held to.

Written to be read. Everything is float64 and dense, and one call handles one sample.

Shapes: V vocabulary size, D embedding size, C context words, K negative words, L code length.
`U` (V, D) holds one row per input word, `V` (D, V) one column per output word. For hierarchical
softmax a column of `V` is an inner node of the Huffman tree (the last column stays unused).

Skip-gram needs no code of its own: it is CBOW with the center word as the only context word and
one sample per word to predict (see `pairs`).

References
----------
Rong 2014, "word2vec Parameter Learning Explained", arXiv 1411.2738: the equations.
Mikolov et al. 2013, arXiv 1301.3781 (CBOW, skip-gram) and 1310.4546 (the two fast objectives).
Irsoy et al. 2020, arXiv 2012.15332: word2vec forgets to divide the CBOW gradient by C.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
Ids = Sequence[int] | npt.NDArray[np.integer]

GRADIENTS = ("true", "word2vec", "coursework")
"""`true` divides the gradient of a context row by C, as the mean demands; `word2vec` does not divide; `coursework`
divides, but a word that occurs twice in the context gets its gradient once, as numpy's `U[context] -= ...` does."""


def one_hot(size: int, index: int) -> FloatArray:
    """Vector (size,) of zeros with a one at `index`.

    Raises
    ------
    IndexError
        `index` is not in 0 .. size - 1.
    """
    if not 0 <= index < size:
        raise IndexError(f"index {index} is outside 0 .. {size - 1}")
    vector = np.zeros(size)
    vector[index] = 1.0
    return vector


def softmax(scores: npt.ArrayLike) -> FloatArray:
    """Probabilities (V,) of scores (V,). The argument is left as it is.

    The largest score is subtracted first, so that exp cannot overflow.
    """
    array = np.asarray(scores, dtype=np.float64)
    exponentials = np.exp(array - array.max())
    return exponentials / exponentials.sum()  # eq. 3


def windows(line: Ids, window: int) -> Iterator[tuple[list[int], int]]:
    """Yield the CBOW samples of one line: up to `window` ids on each side, and the id in the middle.

    A line of fewer than two tokens has no samples.
    """
    ids = [int(word) for word in line]
    if len(ids) < 2:
        return
    for position, target in enumerate(ids):
        left = ids[max(0, position - window) : position]
        right = ids[position + 1 : position + 1 + window]
        yield left + right, target


def pairs(line: Ids, window: int) -> Iterator[tuple[list[int], int]]:
    """Yield the skip-gram samples of one line, in order: ([center], word of its window)."""
    for context, center in windows(line, window):
        for word in context:
            yield [center], word


def forward(U: FloatArray, V: FloatArray, context: Ids) -> tuple[FloatArray, FloatArray]:
    """Hidden layer (D,), the mean of the context rows (eq. 17-18), and scores (V,) = hidden V."""
    hidden = U[np.asarray(context)].mean(axis=0)  # (D,), eq. 18
    return hidden, hidden @ V  # (V,), eq. 2


def loss(scores: FloatArray, target: int) -> float:
    """Cross entropy in nats: log sum exp(scores) - scores[target] (eq. 19-21), without overflow."""
    largest = scores.max()
    return float(largest + np.log(np.exp(scores - largest).sum()) - scores[target])


def gradients(
    U: FloatArray, V: FloatArray, context: Ids, target: int, *, gradient: str = "true"
) -> tuple[float, FloatArray, FloatArray]:
    """Loss of one sample under the full softmax, and its gradients dU (V, D) and dV (D, V).

    Parameters
    ----------
    U, V : float arrays (V, D) and (D, V)
    context : ids (C,)
        C >= 1. An id that occurs twice counts twice.
    target : int
    gradient : {"true", "word2vec", "coursework"}
        See `GRADIENTS`; only dU depends on it.

    References
    ----------
    Rong 2014, equations 22 (dV) and 23 (dU).
    """
    hidden, scores = forward(U, V, context)
    error = softmax(scores) - one_hot(len(scores), target)  # (V,), eq. 8
    d_V = np.outer(hidden, error)  # (D, V), eq. 22
    d_U = _context_gradient(U, context, V @ error, gradient)  # (V, D), eq. 12 and 23
    return loss(scores, target), d_U, d_V


def negative_sampling_gradients(
    U: FloatArray,
    V: FloatArray,
    context: Ids,
    target: int,
    negatives: Ids,
    *,
    gradient: str = "true",
) -> tuple[float, FloatArray, FloatArray]:
    """Loss of one sample under negative sampling, and its gradients dU (V, D) and dV (D, V).

    loss = -log s(v_target h) - sum over negatives of log s(-v_negative h), s the sigmoid.
    A negative equal to the target is skipped, as in word2vec; one drawn twice counts twice.

    References
    ----------
    Mikolov et al. 2013, arXiv 1310.4546, equation 4; Rong 2014, equations 55-61.
    """
    negatives = [int(word) for word in negatives if word != target]
    words = np.array([target, *negatives])  # (1 + K,)
    labels = np.array([1.0] + [0.0] * len(negatives))
    return _binary_gradients(U, V, context, words, labels, gradient)


def hierarchical_gradients(
    U: FloatArray, V: FloatArray, context: Ids, code: Ids, points: Ids, *, gradient: str = "true"
) -> tuple[float, FloatArray, FloatArray]:
    """Loss of one sample under hierarchical softmax, and its gradients dU (V, D) and dV (D, V).

    Parameters
    ----------
    U, V, context, gradient
        As for `gradients`.
    code : 0/1 (L,)
        Turns from the root of the Huffman tree to the target; 0 has probability s(v_node h).
    points : ids (L,)
        The inner node at which each turn is taken.

    References
    ----------
    Mikolov et al. 2013, arXiv 1310.4546, equation 3; Rong 2014, section 3.1.
    """
    labels = 1.0 - np.asarray(code, dtype=np.float64)
    return _binary_gradients(U, V, context, np.asarray(points, dtype=np.int64), labels, gradient)


def update(
    U: FloatArray, V: FloatArray, d_U: FloatArray, d_V: FloatArray, learning_rate: float
) -> None:
    """Plain SGD, in place. Both gradients were computed before either matrix changes."""
    U -= learning_rate * d_U
    V -= learning_rate * d_V


def step(
    U: FloatArray,
    V: FloatArray,
    context: Ids,
    target: int,
    learning_rate: float,
    *,
    gradient: str = "true",
) -> float:
    """One step of SGD under the full softmax, in place; returns the loss before it."""
    value, d_U, d_V = gradients(U, V, context, target, gradient=gradient)
    update(U, V, d_U, d_V, learning_rate)
    return value


def _binary_gradients(
    U: FloatArray,
    V: FloatArray,
    context: Ids,
    columns: npt.NDArray[np.int64],
    labels: FloatArray,
    gradient: str,
) -> tuple[float, FloatArray, FloatArray]:
    """Sum of independent logistic losses: `labels[k]` is what column `columns[k]` should say."""
    hidden = U[np.asarray(context)].mean(axis=0)
    scores = hidden @ V[:, columns]  # (K,)
    signed = np.where(labels == 1.0, scores, -scores)
    value = float(np.logaddexp(0.0, -signed).sum())  # eq. 55: -log s(signed), without overflow
    error = np.exp(-np.logaddexp(0.0, -scores)) - labels  # eq. 56-57: s(scores) - labels
    d_V = np.zeros_like(V)
    np.add.at(d_V.T, columns, np.outer(error, hidden))  # eq. 58; a repeated column adds up
    return value, _context_gradient(U, context, V[:, columns] @ error, gradient), d_V


def _context_gradient(
    U: FloatArray, context: Ids, d_hidden: FloatArray, gradient: str
) -> FloatArray:
    """Gradient dU (V, D) from d_hidden (D,): the same for every context word."""
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient is {gradient!r}, expected one of {GRADIENTS}")
    d_row = d_hidden if gradient == "word2vec" else d_hidden / len(context)  # (D,), eq. 23
    d_U = np.zeros_like(U)
    if gradient == "coursework":
        d_U[np.asarray(context)] += d_row  # several writes to a row: the last one counts
    else:
        np.add.at(d_U, np.asarray(context), d_row)  # adds up where a word is repeated
    return d_U
