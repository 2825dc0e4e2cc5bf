"""The exact engine: batch-1 SGD with the full softmax, one sample after the other.

Same algorithm as `reference.step`, rearranged for speed. Three ideas:

1. `V` is cut into tiles of TILE words, each (D, TILE), small enough for the fastest cache. A tile
   is read once per sample: scores, exp, and its part of the gradient of the hidden layer come
   while it is there. The largest score so far is subtracted; when a tile has a larger one, what
   was summed before is scaled down ("online softmax"), so nothing overflows.
2. The update of `V` is put off. After sample s, V = V0 - sum_s hidden_s x share_s, a sum of outer
   products, so the scores of the next sample are V0's minus (hidden_s . hidden) share_s: one row
   per pending sample instead of a pass that rewrites the matrix. After PENDING samples, at the end
   of a line, and for skip-gram after each center word, `_apply_pending` writes them all at once.
   That is the same sequential SGD up to rounding. The target's own column changes at once.
3. Loops run over words (TILE long, aligned), five rows at a time, and exp is a polynomial, so the
   compiler turns all of it into vector instructions.

Letters: V vocabulary size, D embedding size padded with zeros to a multiple of 5, T tiles.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .arithmetic import FAST, aligned_zeros, bits_to_float, compiled, exp32, float_to_bits
from .lines import (
    DIVERGED,
    END,
    LOSS,
    NEXT,
    SAMPLES,
    STATUS,
    STOP,
    WORDS,
    gather_context,
    keep_words,
    line_bounds,
    window_reach,
)

TILE = 256
PENDING = 5
_ROWS = 5  # rows handled in one loop; PENDING is one such group
_ZERO = np.float32(0.0)
_MINUS_INFINITY = np.float32(-np.inf)
_SMALLEST_INT = np.int32(-(2**31))
_SIGN_SHIFT = np.int32(31)
_ALL_BUT_SIGN = np.int32(2**31 - 1)


def to_tiles(V: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Output matrix (D, V) as tiles (T, D padded, TILE), float32, zeros where there is no word."""
    dimension, size = V.shape
    tiles = aligned_zeros(-(-size // TILE), -(-dimension // _ROWS) * _ROWS, TILE)
    for number, tile in enumerate(tiles):
        part = V[:, number * TILE : (number + 1) * TILE]
        tile[:dimension, : part.shape[1]] = part
    return tiles


def from_tiles(
    tiles: npt.NDArray[np.float32], dimension: int, size: int
) -> npt.NDArray[np.float32]:
    """Back to the output matrix (D, V), a copy."""
    return np.ascontiguousarray(
        tiles.transpose(1, 0, 2).reshape(tiles.shape[1], -1)[:dimension, :size]
    )


@compiled(inline=False)
def train_softmax(
    ids: Any, control: Any, stats: Any, U: Any, tiles: Any, shares: Any,
    scores: Any, size: Any, window: Any, skip_gram: Any, divide: Any, shrink: Any, keep: Any,
    key: Any, rate: Any, rate_slope: Any,
) -> None:
    """Train on ids[control[NEXT] : control[END]], until the end or until control[STOP] is set.

    Parameters
    ----------
    ids : int32 (N,)
        Token ids, -1 after each line.
    control : int64 (4,)
        Next position, end, stop request, status. Between calls the weights are complete.
    stats : float64 (3,)
        Loss, samples and words are added to it.
    U : float32 (V, D)
    tiles : float32 (T, D, TILE)
    shares : float32 (T, PENDING, TILE)
        Working memory: exp(scores) of the pending samples.
    scores : float32 (TILE,)
        Working memory.
    size : int
        V.
    window, skip_gram, divide, shrink, keep, key
        See `Engine`.
    rate, rate_slope : float
        The learning rate at position p is rate + rate_slope p.
    """
    dimension = tiles.shape[1]
    hidden = np.zeros((PENDING, dimension), dtype=np.float32)
    # scale[t, s]: largest score seen up to tile t; once the sample is done, the factor that turns
    # shares[t, s] into learning rate x probability.
    scale = np.zeros((tiles.shape[0], PENDING), dtype=np.float32)
    work = (
        scores, np.zeros(dimension, dtype=np.float32),
        np.zeros(PENDING, dtype=np.float32), np.zeros(PENDING, dtype=np.float32),
        np.zeros(PENDING, dtype=np.float32), np.zeros(PENDING, dtype=np.float32),
    )
    context = np.zeros(2 * window, dtype=np.int64)
    center = np.zeros(1, dtype=np.int64)
    kept = np.zeros(1024, dtype=np.int64)
    pending = 0
    position = control[NEXT]
    while position < control[END]:
        start, stop = line_bounds(ids, position, control[END])
        if stop - start > len(kept):
            kept = np.zeros(stop - start, dtype=np.int64)
        number = keep_words(ids, start, stop, keep, key, kept)
        index = 0
        while index < number and kept[index] < position:
            index += 1
        while index < number and number > 1:
            if pending == 0:  # a clean point: V is complete
                control[NEXT] = kept[index]
                if control[STOP] != 0:
                    return
            here = kept[index]
            learning_rate = np.float32(rate + rate_slope * here)
            reach = window_reach(window, shrink, key, here)
            words = gather_context(ids, kept, number, index, reach, context)
            center[0] = ids[here]
            for sample in range(words if skip_gram else 1):
                inputs = center if skip_gram else context[:words]
                target = context[sample] if skip_gram else center[0]
                loss = _train_sample(
                    inputs, target, learning_rate, divide, pending, size,
                    U, tiles, shares, scale, hidden, work,
                )
                if not math.isfinite(loss):
                    control[NEXT] = here
                    control[STATUS] = DIVERGED
                    return
                stats[LOSS] += loss
                stats[SAMPLES] += 1.0
                pending += 1
                last = index == number - 1 or skip_gram
                if pending == PENDING or (last and (not skip_gram or sample == words - 1)):
                    _apply_pending(tiles, shares, scale, hidden, pending)
                    pending = 0
            stats[WORDS] += 1.0
            index += 1
        position = stop + 1
        control[NEXT] = min(position, control[END])


@compiled(frozenset({"contract"}))
def _train_sample(
    inputs: Any, target: Any, learning_rate: Any, divide: Any, pending: Any, size: Any,
    U: Any, tiles: Any, shares: Any, scale: Any, hidden: Any, work: Any,
) -> Any:
    """One step of SGD with the last `pending` updates of V still to be written; the loss."""
    scores, d_hidden, overlap, weights, sums, d_pending = work
    count, dimension, _ = tiles.shape
    h = hidden[pending]
    h[:] = _ZERO
    inverse = np.float32(1.0 / len(inputs))
    for word in inputs:
        row = U[word]
        for d in range(dimension):
            h[d] += row[d] * inverse
    overlap[:] = _ZERO
    d_pending[:] = _ZERO
    for s in range(pending):
        overlap[s] = _dot(hidden[s], h)

    d_hidden[:] = _ZERO
    largest = _MINUS_INFINITY
    total = np.float64(0.0)
    for t in range(count):
        tile = tiles[t]
        _score(tile, h, scores)
        if pending > 0:
            for s in range(pending):
                weights[s] = -overlap[s] * scale[t, s]
            for s in range(pending, PENDING):
                weights[s] = _ZERO
            _add_rows(shares[t], weights, scores)
        if t == count - 1:  # columns that are no words
            for j in range(size - t * TILE, TILE):
                scores[j] = _MINUS_INFINITY
        tile_largest = _largest(scores)
        if not tile_largest <= largest:  # larger, or NaN
            shrinkage = np.float32(math.exp(largest - tile_largest))
            total *= shrinkage
            for d in range(dimension):
                d_hidden[d] *= shrinkage
            for s in range(pending):
                d_pending[s] *= shrinkage
            largest = tile_largest
        share = shares[t, pending]
        total += _exponentiate(scores, largest, share)
        _weigh_rows(tile, share, d_hidden)
        if pending > 0:
            sums[:] = _ZERO
            _weigh_rows(shares[t], share, sums)
            for s in range(pending):
                d_pending[s] += scale[t, s] * sums[s]
        scale[t, pending] = largest

    # From sums of exponentials to gradients; the target's column is V0's plus what is pending.
    inverse_total = np.float32(1.0 / total)
    tile_index, column = target // TILE, target % TILE
    tile = tiles[tile_index]
    target_score = 0.0
    for d in range(dimension):
        output = tile[d, column]
        gradient = d_hidden[d] * inverse_total
        for s in range(pending):
            output -= scale[tile_index, s] * shares[tile_index, s, column] * hidden[s, d]
            gradient -= d_pending[s] * inverse_total * hidden[s, d]
        target_score += output * h[d]
        d_hidden[d] = gradient - output
    loss = math.log(total) + largest - target_score
    if not math.isfinite(loss):
        return loss

    for d in range(dimension):
        tile[d, column] += learning_rate * h[d]
    for t in range(count):
        scale[t, pending] = learning_rate * inverse_total * exp32(scale[t, pending] - largest)
    step = learning_rate * inverse if divide else learning_rate
    for word in inputs:
        row = U[word]
        for d in range(dimension):
            row[d] -= step * d_hidden[d]
    return loss


@compiled(FAST)
def _dot(a: Any, b: Any) -> Any:
    total = _ZERO
    for d in range(len(a)):
        total += a[d] * b[d]
    return total


@compiled(FAST)
def _score(tile: Any, h: Any, scores: Any) -> None:
    """Set scores to h tile, for a tile (D, TILE)."""
    h0, h1, h2, h3, h4 = h[0], h[1], h[2], h[3], h[4]
    r0, r1, r2, r3, r4 = tile[0], tile[1], tile[2], tile[3], tile[4]
    for j in range(TILE):
        scores[j] = h0 * r0[j] + h1 * r1[j] + h2 * r2[j] + h3 * r3[j] + h4 * r4[j]
    if len(h) > _ROWS:
        _add_rows(tile[_ROWS:], h[_ROWS:], scores)


@compiled(FAST)
def _add_rows(rows: Any, weights: Any, scores: Any) -> None:
    """Add weights rows to scores, for rows (a multiple of 5, TILE)."""
    for k in range(0, len(weights), _ROWS):
        w0, w1, w2, w3, w4 = (
            weights[k], weights[k + 1], weights[k + 2], weights[k + 3], weights[k + 4]
        )
        r0, r1, r2, r3, r4 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3], rows[k + 4]
        for j in range(TILE):
            scores[j] += w0 * r0[j] + w1 * r1[j] + w2 * r2[j] + w3 * r3[j] + w4 * r4[j]


@compiled(FAST)
def _weigh_rows(rows: Any, share: Any, sums: Any) -> None:
    """Add rows share to sums, for rows (a multiple of 5, TILE)."""
    for k in range(0, len(sums), _ROWS):
        r0, r1, r2, r3, r4 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3], rows[k + 4]
        s0 = s1 = s2 = s3 = s4 = _ZERO
        for j in range(TILE):
            x = share[j]
            s0 += x * r0[j]
            s1 += x * r1[j]
            s2 += x * r2[j]
            s3 += x * r3[j]
            s4 += x * r4[j]
        sums[k] += s0
        sums[k + 1] += s1
        sums[k + 2] += s2
        sums[k + 3] += s3
        sums[k + 4] += s4


@compiled()
def _largest(scores: Any) -> Any:
    """Largest score, NaN if there is one: compared as integers, which vectorizes."""
    largest = _SMALLEST_INT
    for j in range(TILE):
        bits = float_to_bits(scores[j])
        # Negative floats order backwards as integers; flipping all but the sign mends that.
        largest = max(largest, np.int32(bits ^ ((bits >> _SIGN_SHIFT) & _ALL_BUT_SIGN)))
    return bits_to_float(np.int32(largest ^ ((largest >> _SIGN_SHIFT) & _ALL_BUT_SIGN)))


@compiled(FAST)
def _exponentiate(scores: Any, largest: Any, share: Any) -> Any:
    """Set share to exp(scores - largest); its sum."""
    total = _ZERO
    for j in range(TILE):
        value = exp32(scores[j] - largest)
        share[j] = value
        total += value
    return total


@compiled(FAST)
def _apply_pending(tiles: Any, shares: Any, scale: Any, hidden: Any, pending: Any) -> None:
    """V -= sum over pending samples s of hidden_s x (scale_s shares_s)."""
    for s in range(pending, PENDING):  # a group that is not full: old rows count nothing
        hidden[s, :] = _ZERO
        scale[:, s] = _ZERO
    for t in range(len(tiles)):
        tile = tiles[t]
        rows = shares[t]
        c0, c1, c2, c3, c4 = scale[t, 0], scale[t, 1], scale[t, 2], scale[t, 3], scale[t, 4]
        r0, r1, r2, r3, r4 = rows[0], rows[1], rows[2], rows[3], rows[4]
        for d in range(len(tile)):
            w0, w1, w2, w3, w4 = (
                c0 * hidden[0, d], c1 * hidden[1, d], c2 * hidden[2, d],
                c3 * hidden[3, d], c4 * hidden[4, d],
            )
            row = tile[d]
            for j in range(TILE):
                row[j] -= w0 * r0[j] + w1 * r1[j] + w2 * r2[j] + w3 * r3[j] + w4 * r4[j]
