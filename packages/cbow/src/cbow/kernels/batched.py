"""Negative sampling of several words in one step: CBOW as small matrix products, for speed.

The words of a line are cut into batches of B neighbors. The input rows of a batch are updated together, once the
gradients of all its words are known. Its words are taken in groups of four that are far apart in the line; a group
shares its K negatives (the idea of Ji et al. 2016, arXiv 1604.04661, who share them within a window), and its output
rows are updated before the next group. So the step of each matrix is a sum of gradients at the weights before it. That
saves most of the memory traffic of word-by-word training:

1. The contexts of neighbors overlap. With running sums S_j of the line's input rows, the sum over the window of word i
   is S_{i + reach + 1} - S_{i - reach} - row_i: three rows, whatever the window. Gradients go back in the same way:
   each is added where its window begins and subtracted behind its end, and a running sum gives what each row gets. So
   a row of U is read and written once a batch, and not once for each window that it is in.
2. A negative's row is read for four words at once, and written once.

As in `logistic.py`, rows are handled in pieces, here of 8 numbers, and two pieces at a time where a sum waits for its
last addition; equation numbers in comments are Rong's (arXiv 1411.2738).

Letters: V vocabulary size, D embedding size padded with zeros to a multiple of 16, C = D / 8 pieces, K negatives, B
words of a batch, G = B / 4 groups, L words of the batch and its windows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cbow.kernels.arithmetic import (
    FAST,
    compiled,
    draw,
    exp32,
    load,
    multiply_add,
    multiply_fold,
    spread,
    store,
    stream_at,
    sum_lanes,
)
from cbow.kernels.lines import (
    DIVERGED,
    END,
    FIRST_FREE_DRAW,
    LOSS,
    NEXT,
    SAMPLES,
    STATUS,
    STOP,
    WORDS,
    keep_words,
    line_bounds,
    window_reach,
)
from cbow.kernels.logistic import draw_word

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_INFINITY = np.float32(np.inf)
WIDTH = 8
"""Numbers in a piece of a row: a group's rows, gradients and steps then fit into the 16 registers of AVX2."""
PAIR = 16
"""Numbers in two pieces."""
GROUP = 4
"""Words that share their negatives."""
_BLOCK = 32
"""Scores that become steps at once: a loop of known length, which the compiler makes a few vectors of."""


@compiled(inline=False)
def train_batches(
    ids: Any,
    control: Any,
    stats: Any,
    U: Any,
    outputs: Any,
    chunks: Any,
    negatives: Any,
    batch_size: Any,
    threshold: Any,
    alias: Any,
    window: Any,
    divide: Any,
    shrink: Any,
    keep: Any,
    key: Any,
    rate: Any,
    rate_slope: Any,
) -> None:
    """Train on ids[control[NEXT] : control[END]], until the end or until control[STOP] is set.

    The kept words of a line are cut into as few batches of at most `batch_size` as possible, of about equal size.

    Parameters
    ----------
    batch_size : int
        Words of a batch, B at most.
    ids, control, stats, window, divide, shrink, keep, key, rate, rate_slope
        As for `train_softmax`.
    U, outputs, chunks
        As for `train_logistic`, but in pieces of 8 numbers.
    negatives, threshold, alias
        As for `train_logistic`.
    """
    longest = batch_size + 2 * window  # L
    words = np.zeros(longest, dtype=np.int64)
    lows = np.zeros(batch_size, dtype=np.int64)
    highs = np.zeros(batch_size, dtype=np.int64)
    inverses = np.zeros(batch_size, dtype=np.float32)
    rates = np.zeros(batch_size, dtype=np.float32)
    places = GROUP * -(-batch_size // GROUP)
    work = (
        np.zeros(negatives, dtype=np.int64),
        np.zeros(batch_size, dtype=np.int64),
        np.zeros(_BLOCK * -(-GROUP * (negatives + 1) // _BLOCK), dtype=np.float32),
        np.zeros((places * chunks, WIDTH), dtype=np.float32),
        np.zeros((places * chunks, WIDTH), dtype=np.float32),
        np.zeros((longest + 1, PAIR), dtype=np.float32),
        np.zeros((longest + 1, PAIR), dtype=np.float32),
    )
    kept = np.zeros(1024, dtype=np.int64)
    position = control[NEXT]
    while position < control[END]:
        start, stop = line_bounds(ids, position, control[END])
        if stop - start > len(kept):
            kept = np.zeros(stop - start, dtype=np.int64)
        number = keep_words(ids, start, stop, keep, key, kept)
        batches = -(-number // batch_size) if number > 1 else 0
        for batch in range(batches):
            first, end = batch * number // batches, (batch + 1) * number // batches
            here = kept[first]
            if here < position:
                continue
            control[NEXT] = here
            if control[STOP] != 0:
                return
            left = max(0, first - window)
            right = min(number, end + window)
            for j in range(left, right):
                words[j - left] = ids[kept[j]]
            for index in range(first, end):
                reach = window_reach(window, shrink, key, kept[index])
                low, high = max(0, index - reach), min(number, index + reach + 1)
                lows[index - first], highs[index - first] = low - left, high - left
                inverses[index - first] = np.float32(1.0 / (high - low - 1))
                rates[index - first] = np.float32(rate + rate_slope * kept[index])
            loss = _train_batch(
                words[: right - left],
                first - left,
                end - first,
                lows,
                highs,
                inverses,
                rates,
                divide,
                stream_at(key, here),
                negatives,
                threshold,
                alias,
                chunks,
                U,
                outputs,
                work,
            )
            if not math.isfinite(loss):
                control[STATUS] = DIVERGED
                return
            stats[LOSS] += loss
            stats[SAMPLES] += end - first
            stats[WORDS] += end - first
        position = stop + 1
        control[NEXT] = min(position, control[END])


@compiled(FAST)
def _train_batch(
    words: Any,
    first: Any,
    count: Any,
    lows: Any,
    highs: Any,
    inverses: Any,
    rates: Any,
    divide: Any,
    stream: Any,
    negatives: Any,
    threshold: Any,
    alias: Any,
    chunks: Any,
    U: Any,
    outputs: Any,
    work: Any,
) -> Any:
    """Take one step of SGD on words[first : first + count]; return the loss.

    The context of word first + b is words[lows[b] : highs[b]] without itself, 1 / inverses[b] words. Word b is in group
    b % G; `hidden` and `d_hidden` (4 G C, 8) hold the rows of a group side by side, with gaps where a group has fewer
    words: word b's pieces begin at slots[b].
    """
    rows, slots, scores, hidden, d_hidden, sums, changes = work
    groups = -(-count // GROUP)
    # Here and not where they are used: a division takes as long as many products.
    for b in range(count):
        slots[b] = (b % groups * GROUP + b // groups) * chunks
    for c in range(0, chunks, 2):
        total = spread(_ZERO, PAIR)
        for j in range(len(words)):
            total = multiply_add(_ONE, load(U, words[j] * chunks + c, PAIR), total)
            store(total, sums, j + 1)
        for b in range(count):
            own = load(U, words[first + b] * chunks + c, PAIR)
            h = multiply_add(-_ONE, own, load(sums, highs[b], PAIR))
            h = multiply_add(-_ONE, load(sums, lows[b], PAIR), h)
            h = multiply_add(inverses[b], h, spread(_ZERO, PAIR))  # eq. 18
            store(h, hidden, slots[b] + c)

    loss = 0.0
    for group in range(groups):
        for k in range(negatives):
            x = draw(stream, FIRST_FREE_DRAW + group * negatives + k)
            rows[k] = draw_word(x, threshold, alias)
        loss += _train_group(
            words[first : first + count],
            group,
            groups,
            rates,
            rows,
            negatives,
            chunks,
            outputs,
            scores,
            hidden,
            d_hidden,
        )

    for c in range(0, chunks, 2):
        for b in range(count):
            factor = inverses[b] if divide else _ONE
            at = slots[b] + c
            d = multiply_add(factor, load(d_hidden, at, PAIR), spread(_ZERO, PAIR))
            store(d, d_hidden, at)
            store(multiply_add(_ONE, d, load(changes, lows[b], PAIR)), changes, lows[b])
            store(multiply_add(-_ONE, d, load(changes, highs[b], PAIR)), changes, highs[b])
        total = spread(_ZERO, PAIR)
        for j in range(len(words)):
            total = multiply_add(_ONE, load(changes, j, PAIR), total)
            store(spread(_ZERO, PAIR), changes, j)
            at = words[j] * chunks + c
            row = multiply_add(_ONE, load(U, at, PAIR), total)
            if first <= j < first + count:  # a word is not in its own context
                own = load(d_hidden, slots[j - first] + c, PAIR)
                row = multiply_add(-_ONE, own, row)
            store(row, U, at)  # eq. 23
        store(spread(_ZERO, PAIR), changes, len(words))
    return loss


@compiled(FAST)
def _train_group(
    words: Any,
    group: Any,
    groups: Any,
    rates: Any,
    rows: Any,
    negatives: Any,
    chunks: Any,
    outputs: Any,
    scores: Any,
    hidden: Any,
    d_hidden: Any,
) -> Any:
    """Update the output rows for the words group, group + G, ... of a batch; set their `d_hidden`; return the loss.

    `scores` (1 + K, 4), padded: each negative's, and the targets' in the last row, signed so that large is right.
    """
    last = len(words) - 1
    b0, b1, b2, b3 = group, group + groups, group + 2 * groups, group + 3 * groups
    t0, t1, t2, t3 = words[b0], words[min(b1, last)], words[min(b2, last)], words[min(b3, last)]
    at = GROUP * group * chunks
    h0, h1, h2, h3 = at, at + chunks, at + 2 * chunks, at + 3 * chunks
    scores[:] = _INFINITY
    for k in range(negatives):
        row = rows[k] * chunks
        p0 = p1 = p2 = p3 = spread(_ZERO, PAIR)
        for c in range(0, chunks, 2):
            piece = load(outputs, row + c, PAIR)
            p0 = multiply_fold(load(hidden, h0 + c, PAIR), piece, p0)
            p1 = multiply_fold(load(hidden, h1 + c, PAIR), piece, p1)
            p2 = multiply_fold(load(hidden, h2 + c, PAIR), piece, p2)
            p3 = multiply_fold(load(hidden, h3 + c, PAIR), piece, p3)
        # v' . h. A negative that is the target itself is skipped, as in word2vec, and so are words that are not there:
        # an infinite score has neither loss nor gradient.
        scores[4 * k] = _INFINITY if rows[k] == t0 else -sum_lanes(p0)
        scores[4 * k + 1] = _INFINITY if rows[k] == t1 or b1 > last else -sum_lanes(p1)
        scores[4 * k + 2] = _INFINITY if rows[k] == t2 or b2 > last else -sum_lanes(p2)
        scores[4 * k + 3] = _INFINITY if rows[k] == t3 or b3 > last else -sum_lanes(p3)
    p0 = p1 = p2 = p3 = spread(_ZERO, PAIR)
    for c in range(0, chunks, 2):
        p0 = multiply_fold(load(hidden, h0 + c, PAIR), load(outputs, t0 * chunks + c, PAIR), p0)
        p1 = multiply_fold(load(hidden, h1 + c, PAIR), load(outputs, t1 * chunks + c, PAIR), p1)
        p2 = multiply_fold(load(hidden, h2 + c, PAIR), load(outputs, t2 * chunks + c, PAIR), p2)
        p3 = multiply_fold(load(hidden, h3 + c, PAIR), load(outputs, t3 * chunks + c, PAIR), p3)
    of_targets = 4 * negatives
    scores[of_targets] = sum_lanes(p0)
    scores[of_targets + 1] = _INFINITY if b1 > last else sum_lanes(p1)
    scores[of_targets + 2] = _INFINITY if b2 > last else sum_lanes(p2)
    scores[of_targets + 3] = _INFINITY if b3 > last else sum_lanes(p3)
    loss = _errors(scores)

    # eq. 56-57: steps, -rate x (s - label). A row drawn several times becomes one.
    r0, r1, r2, r3 = rates[b0], rates[min(b1, last)], rates[min(b2, last)], rates[min(b3, last)]
    distinct = 0
    for k in range(negatives):
        s0, s1, s2, s3 = (
            -r0 * scores[4 * k],
            -r1 * scores[4 * k + 1],
            -r2 * scores[4 * k + 2],
            -r3 * scores[4 * k + 3],
        )
        known = 0
        while known < distinct and rows[known] != rows[k]:
            known += 1
        if known == distinct:
            rows[distinct] = rows[k]
            distinct += 1
        else:
            s0 += scores[4 * known]
            s1 += scores[4 * known + 1]
            s2 += scores[4 * known + 2]
            s3 += scores[4 * known + 3]
        scores[4 * known], scores[4 * known + 1], scores[4 * known + 2], scores[4 * known + 3] = (
            s0,
            s1,
            s2,
            s3,
        )
    e0, e1, e2, e3 = (
        r0 * scores[of_targets],
        r1 * scores[of_targets + 1],
        r2 * scores[of_targets + 2],
        r3 * scores[of_targets + 3],
    )
    for c in range(chunks):
        x0, x1, x2, x3 = (
            load(hidden, h0 + c, WIDTH),
            load(hidden, h1 + c, WIDTH),
            load(hidden, h2 + c, WIDTH),
            load(hidden, h3 + c, WIDTH),
        )
        d0 = multiply_add(e0, load(outputs, t0 * chunks + c, WIDTH), spread(_ZERO, WIDTH))
        d1 = multiply_add(e1, load(outputs, t1 * chunks + c, WIDTH), spread(_ZERO, WIDTH))
        d2 = multiply_add(e2, load(outputs, t2 * chunks + c, WIDTH), spread(_ZERO, WIDTH))
        d3 = multiply_add(e3, load(outputs, t3 * chunks + c, WIDTH), spread(_ZERO, WIDTH))
        for k in range(distinct):
            s0, s1, s2, s3 = scores[4 * k], scores[4 * k + 1], scores[4 * k + 2], scores[4 * k + 3]
            row = load(outputs, rows[k] * chunks + c, WIDTH)
            d0 = multiply_add(s0, row, d0)  # eq. 61
            d1 = multiply_add(s1, row, d1)
            d2 = multiply_add(s2, row, d2)
            d3 = multiply_add(s3, row, d3)
            row = multiply_add(s1, x1, multiply_add(s0, x0, row))  # eq. 59
            row = multiply_add(s3, x3, multiply_add(s2, x2, row))
            store(row, outputs, rows[k] * chunks + c)
        # One after the other: two of the words, or a word and a negative, may be the same.
        store(multiply_add(e0, x0, load(outputs, t0 * chunks + c, WIDTH)), outputs, t0 * chunks + c)
        store(multiply_add(e1, x1, load(outputs, t1 * chunks + c, WIDTH)), outputs, t1 * chunks + c)
        store(multiply_add(e2, x2, load(outputs, t2 * chunks + c, WIDTH)), outputs, t2 * chunks + c)
        store(multiply_add(e3, x3, load(outputs, t3 * chunks + c, WIDTH)), outputs, t3 * chunks + c)
        store(d0, d_hidden, h0 + c)
        store(d1, d_hidden, h1 + c)
        store(d2, d_hidden, h2 + c)
        store(d3, d_hidden, h3 + c)
    return loss


@compiled(FAST)
def _errors(scores: Any) -> Any:
    """Turn signed scores x into s(-x), in place; return the loss, the sum of -log s(x). s is the sigmoid, eq. 55-57."""
    loss: Any = 0.0
    for start in range(0, len(scores), _BLOCK):
        block = scores[start : start + _BLOCK]
        linear, product = _ZERO, _ONE
        for j in range(_BLOCK):
            x = block[j]
            small = exp32(-abs(x))
            linear += _ZERO if x > _ZERO else -x
            product *= _ONE + small  # -log s(x) = max(-x, 0) + log(1 + exp(-|x|))
            block[j] = (_ONE if x < _ZERO else small) / (_ONE + small)
        loss += linear + math.log(product)
    return loss
