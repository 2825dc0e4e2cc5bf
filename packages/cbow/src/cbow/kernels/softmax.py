"""The exact engine: batch-1 SGD with the full softmax, one sample after the other.

Same algorithm as `reference.step`, rearranged for speed; equations are Rong's (arXiv 1411.2738). Four ideas:

1. `V` is cut into tiles of TILE words, each (D, TILE), so small (10 KB for D = 20) that two fit
   the fastest cache. A tile is read once per sample: scores, exp, and its part of the gradient of
   the hidden layer are computed while it is cached. The largest score so far is subtracted; when
   a tile has a larger one, the sums so far are scaled down (online softmax, Milakov & Gimelshein
   2018, arXiv 1805.02867), so nothing overflows.
2. The update of `V` is deferred. After sample s, V = V0 - sum_s hidden_s x step_s, a sum of outer
   products (step_s is learning rate x probabilities), so the scores of the next sample are V0's
   minus (hidden_s . hidden) step_s: one row per pending sample instead of a pass that rewrites the
   matrix. After PENDING samples, at the end of a line, and for skip-gram after each center word,
   `_apply_pending` writes them all. That is the same sequential SGD up to rounding. The target's
   own column changes immediately.
3. A row of a tile is one vector variable (`load`, `multiply_add`, `store`): TILE scores accumulate
   in registers row by row, and sums over words stay in lanes until all words have been read. exp
   is a polynomial, which the compiler vectorizes by itself.
4. Reading `V` from the second-level cache takes as long as the arithmetic, so the next tile is
   prefetched while this one is used.

Letters: V vocabulary size, D embedding size, T tiles. `probs` (T, PENDING, TILE) holds exp(score - largest) of the
pending samples, a softmax before its division; `scale` (T, PENDING) turns it into a step.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cbow.kernels.arithmetic import (
    FAST,
    aligned_zeros,
    bits_to_float,
    compiled,
    exp32,
    float_to_bits,
    load,
    multiply_add,
    multiply_fold,
    prefetch,
    spread,
    store,
)
from cbow.kernels.lines import (
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

TILE = 128
PENDING = 5
_LANES = 16  # of a sum over words; also the floats in a cache line
_HALF = TILE // 2
_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)
_MINUS_INFINITY = np.float32(-np.inf)
_SMALLEST_INT = np.int32(-(2**31))
_SIGN_SHIFT = np.int32(31)
_ALL_BUT_SIGN = np.int32(2**31 - 1)


def to_tiles(V: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Output matrix (D, V) as tiles (T, D, TILE), float32, zeros where there is no word."""
    dimension, size = V.shape
    tiles = aligned_zeros(-(-size // TILE), dimension, TILE)
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
    ids: Any,
    control: Any,
    stats: Any,
    U: Any,
    tiles: Any,
    probs: Any,
    size: Any,
    once: Any,
    window: Any,
    skip_gram: Any,
    divide: Any,
    shrink: Any,
    keep: Any,
    key: Any,
    rate: Any,
    rate_slope: Any,
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
    probs : float32 (T, PENDING, TILE)
        Working memory: exp(scores) of the pending samples, see above.
    size : int
        V.
    once : bool
        A word that occurs twice in the context is updated once (gradient "coursework").
    window, skip_gram, divide, shrink, keep, key
        See `Engine`.
    rate, rate_slope : float
        The learning rate at position p is rate + rate_slope p.
    """
    dimension = tiles.shape[1]
    hidden = np.zeros((PENDING, dimension), dtype=np.float32)
    # scale[t, s] makes probs[t, s] comparable between tiles, whatever was subtracted; once the
    # sample is done, their product is learning rate x probability.
    scale = np.zeros((tiles.shape[0], PENDING), dtype=np.float32)
    work = (
        np.zeros(dimension, dtype=np.float32),
        np.zeros(PENDING, dtype=np.float32),
        np.zeros(PENDING, dtype=np.float32),
        np.zeros(PENDING, dtype=np.float32),
        np.zeros((dimension, _LANES), dtype=np.float32),
        np.zeros((PENDING, _LANES), dtype=np.float32),
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
                    inputs,
                    target,
                    learning_rate,
                    divide,
                    once,
                    pending,
                    size,
                    U,
                    tiles,
                    probs,
                    scale,
                    hidden,
                    work,
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
                    _apply_pending(tiles, probs, scale, hidden, pending)
                    pending = 0
            stats[WORDS] += 1.0
            index += 1
        position = stop + 1
        control[NEXT] = min(position, control[END])


@compiled(frozenset({"contract"}))
def _train_sample(
    inputs: Any,
    target: Any,
    learning_rate: Any,
    divide: Any,
    once: Any,
    pending: Any,
    size: Any,
    U: Any,
    tiles: Any,
    probs: Any,
    scale: Any,
    hidden: Any,
    work: Any,
) -> Any:
    """Take one step of SGD while the last `pending` updates of V are not written yet; return the loss."""
    d_hidden, overlap, weights, d_pending, sums, pending_sums = work
    count, dimension, _ = tiles.shape
    h = hidden[pending]
    h[:] = _ZERO
    inverse = np.float32(1.0 / len(inputs))
    for word in inputs:
        row = U[word]
        for d in range(dimension):
            h[d] += row[d] * inverse  # eq. 18: the mean of the context rows
    for s in range(pending):
        overlap[s] = _dot(hidden[s], h)  # how far pending update s changes this sample's scores

    sums[:] = _ZERO  # of prob x tile and of prob x pending rows, in lanes
    pending_sums[:] = _ZERO
    largest = _MINUS_INFINITY
    total = np.float64(0.0)
    for t in range(count):
        for s in range(pending):
            weights[s] = -overlap[s] * scale[t, s]
        _score(tiles[t], h, probs[t], weights, pending)  # u = h V
        prob = probs[t, pending]  # still scores
        if t == count - 1:  # columns that are no words
            for j in range(size - t * TILE, TILE):
                prob[j] = _MINUS_INFINITY
        tile_largest = _largest(prob)
        if not tile_largest <= largest:  # larger, or NaN
            shrinkage = np.float32(math.exp(largest - tile_largest))
            total *= shrinkage
            for d in range(dimension):
                for lane in range(_LANES):
                    sums[d, lane] *= shrinkage
            for s in range(pending):
                for lane in range(_LANES):
                    pending_sums[s, lane] *= shrinkage
            for earlier in range(t):
                scale[earlier, pending] *= shrinkage
            largest = tile_largest
        total += _exponentiate(prob, largest)  # the sum in eq. 3, softmax
        scale[t, pending] = _ONE
        _weigh(tiles, probs, scale, t, pending, sums, pending_sums)

    # From sums of exponentials to gradients; the target's column is V0's plus what is pending.
    inverse_total = np.float32(1.0 / total)
    tile_index, column = target // TILE, target % TILE
    tile = tiles[tile_index]
    target_score = 0.0
    for d in range(dimension):
        target_score += tile[d, column] * h[d]
        d_hidden[d] = (
            _sum(sums[d]) * inverse_total - tile[d, column]
        )  # eq. 12: V e, e = p - one-hot
    for s in range(pending):
        prob_of_target = scale[tile_index, s] * probs[tile_index, s, column]
        target_score -= prob_of_target * overlap[s]
        d_pending[s] = prob_of_target - _sum(pending_sums[s]) * inverse_total
        for d in range(dimension):
            d_hidden[d] += d_pending[s] * hidden[s, d]
    loss = math.log(total) + largest - target_score  # eq. 19-21: -log p[target]
    if not math.isfinite(loss):
        return loss

    for d in range(dimension):
        tile[d, column] += learning_rate * h[d]  # eq. 11 and 22: the one-hot part of e
    for t in range(count):
        scale[t, pending] *= learning_rate * inverse_total  # the rest of eq. 22, deferred
    step = learning_rate * inverse if divide else learning_rate
    for c in range(len(inputs)):
        if once and _is_among(inputs[:c], inputs[c]):
            continue  # as numpy's `U[context] -= g`, which keeps the last of several writes
        row = U[inputs[c]]
        for d in range(dimension):
            row[d] -= step * d_hidden[d]  # eq. 23, a repeated word every time
    return loss


@compiled()
def _is_among(words: Any, word: Any) -> Any:
    for other in words:  # noqa: SIM110, Numba has no generators in any()
        if other == word:
            return True
    return False


@compiled(FAST)
def _dot(a: Any, b: Any) -> Any:
    total = _ZERO
    for d in range(len(a)):
        total += a[d] * b[d]
    return total


@compiled(FAST)
def _sum(lanes: Any) -> Any:
    total = _ZERO
    for lane in range(_LANES):
        total += lanes[lane]
    return total


@compiled()
def _score(tile: Any, h: Any, rows: Any, weights: Any, pending: Any) -> None:
    """Set rows[pending] to h tile + weights rows[:pending], for a tile (D, TILE)."""
    for half in range(2):  # so that all scores stay in registers: AVX2 has 16 of 8 numbers
        part, others = _half(tile, half), _half(rows, half)
        scores = spread(_ZERO, _HALF)
        for d in range(len(tile)):
            scores = multiply_add(h[d], load(part, d, _HALF), scores)
        for s in range(pending):
            scores = multiply_add(weights[s], load(others, s, _HALF), scores)
        store(scores, others, pending)


@compiled()
def _weigh(
    tiles: Any, probs: Any, scale: Any, t: Any, pending: Any, sums: Any, pending_sums: Any
) -> None:
    """Add tile t, weighted by the newest `probs`, to `sums`, and the pending rows to `pending_sums`."""
    following = tiles[t + 1 if t + 1 < len(tiles) else 0]
    for half in range(2):
        tile, rows, coming = _half(tiles[t], half), _half(probs[t], half), _half(following, half)
        prob = load(rows, pending, _HALF)
        for d in range(len(sums)):
            store(multiply_fold(prob, load(tile, d, _HALF), load(sums, d, _LANES)), sums, d)
            prefetch(coming, d, _HALF)
        for s in range(pending):
            products = multiply_fold(prob, load(rows, s, _HALF), spread(_ZERO, _LANES))
            row = multiply_add(scale[t, s], products, load(pending_sums, s, _LANES))
            store(row, pending_sums, s)


@compiled()
def _largest(scores: Any) -> Any:
    """Return the largest score, NaN if there is one: compared as integers, which vectorizes."""
    largest = _SMALLEST_INT
    for j in range(TILE):
        bits = float_to_bits(scores[j])
        # As integers, negative floats have the reverse order; flipping all but the sign restores it.
        largest = max(largest, np.int32(bits ^ ((bits >> _SIGN_SHIFT) & _ALL_BUT_SIGN)))
    return bits_to_float(np.int32(largest ^ ((largest >> _SIGN_SHIFT) & _ALL_BUT_SIGN)))


@compiled(FAST)
def _exponentiate(prob: Any, largest: Any) -> Any:
    """Turn scores into exp(scores - largest), in place; return their sum."""
    total = _ZERO
    for j in range(TILE):
        value = exp32(prob[j] - largest)
        prob[j] = value
        total += value
    return total


@compiled()
def _apply_pending(tiles: Any, probs: Any, scale: Any, hidden: Any, pending: Any) -> None:
    """V -= sum over pending samples s of hidden_s x (scale_s probs_s): eq. 22, several samples at once."""
    for s in range(pending, PENDING):  # a group that is not full: old rows must not count
        hidden[s, :] = _ZERO
        scale[:, s] = _ZERO
    for t in range(len(tiles)):
        c0, c1, c2, c3, c4 = (-scale[t, 0], -scale[t, 1], -scale[t, 2], -scale[t, 3], -scale[t, 4])
        # Half a row at a time: 5 x 4 registers of 16 numbers, so nothing is spilled to memory.
        for half in range(2):
            rows = _half(probs[t], half)
            tile = _half(tiles[t], half)
            r0, r1, r2, r3, r4 = (
                load(rows, 0, _HALF),
                load(rows, 1, _HALF),
                load(rows, 2, _HALF),
                load(rows, 3, _HALF),
                load(rows, 4, _HALF),
            )
            for d in range(len(tile)):
                row = load(tile, d, _HALF)
                row = multiply_add(c0 * hidden[0, d], r0, row)
                row = multiply_add(c1 * hidden[1, d], r1, row)
                row = multiply_add(c2 * hidden[2, d], r2, row)
                row = multiply_add(c3 * hidden[3, d], r3, row)
                row = multiply_add(c4 * hidden[4, d], r4, row)
                store(row, tile, d)


@compiled()
def _half(rows: Any, half: Any) -> Any:
    return rows[:, half * _HALF : (half + 1) * _HALF]
