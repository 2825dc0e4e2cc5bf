"""Negative sampling and hierarchical softmax: a few logistic regressions per sample.

Both objectives are binary classifications of the hidden layer h by rows of the output matrix: in negative sampling the
target (label 1) and K drawn words (label 0), in hierarchical softmax the inner nodes on the path to the target (label
1: turn 0). So one step serves both. It follows the true gradient: all scores before any update; a negative drawn twice
is one row that counts twice.

h is the sum of some rows of U over the number of context words. Usually a word has one row. With subwords it has
several, its own and those of its n-grams, which are added. With positions U holds 2 x window tables, one for each
position in the window, and a word's rows come from the table of its position. Every row of the sum gets the same
gradient; one that occurs twice, twice.

References: Mikolov et al. 2013, arXiv 1310.4546, equations 3 (hierarchical softmax) and 4 (negative sampling); equation
numbers in comments are Rong's (arXiv 1411.2738).

A row is handled in pieces of 16 numbers, each one vector variable (`load`, `multiply_add`, `store`), so that the sums
over rows stay in registers.

Letters: V vocabulary size, D embedding size padded with zeros to a multiple of 16, K negatives, T input tables (2 x
window with positions, else 1), R rows of a table (V + n-grams; else V). Row r of table t is U[t R + r].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

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
    gather_context,
    keep_words,
    line_bounds,
    window_reach,
)

LANES = 16
CHECK_EVERY = 64  # words of a line between two checks of the stop request
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_LOW_32 = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def alias_table(
    counts: npt.ArrayLike, power: float = 0.75
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32]]:
    """Return tables (V,) to draw words with probability proportional to count^power in constant time.

    Slot w, drawn uniformly, gives w if 32 random bits are below threshold[w], else alias[w]
    (Walker 1977; Vose 1991). The 0.75 is from Mikolov et al. 2013, arXiv 1310.4546, section 2.2.
    """
    weights = np.asarray(counts, dtype=np.float64) ** power
    return _build_alias(weights * (len(weights) / weights.sum()))


@compiled()
def _build_alias(weights: Any) -> Any:
    """Return alias tables for weights (V,) of mean 1."""
    size = len(weights)
    threshold = np.full(size, 0xFFFFFFFF, dtype=np.uint32)
    alias = np.arange(size).astype(np.int32)
    left = weights.copy()
    small = np.empty(size, dtype=np.int64)
    large = np.empty(size, dtype=np.int64)
    smalls = larges = 0
    for word in range(size):
        if left[word] < 1.0:
            small[smalls] = word
            smalls += 1
        else:
            large[larges] = word
            larges += 1
    while smalls > 0 and larges > 0:
        smalls -= 1
        low, high = small[smalls], large[larges - 1]
        threshold[low] = np.uint32(left[low] * 4294967295.0)
        alias[low] = high
        left[high] -= 1.0 - left[low]
        if left[high] < 1.0:
            larges -= 1
            small[smalls] = high
            smalls += 1
    return threshold, alias


@compiled()
def draw_word(x: Any, threshold: Any, alias: Any) -> Any:
    """Return the word drawn from alias tables by the random uint64 `x`."""
    slot = np.int64(((x >> _32) * np.uint64(len(alias))) >> _32)
    if (x & _LOW_32) < np.uint64(threshold[slot]):
        return slot
    return np.int64(alias[slot])


@compiled(inline=False)
def train_logistic(
    ids: Any,
    control: Any,
    stats: Any,
    U: Any,
    outputs: Any,
    chunks: Any,
    negatives: Any,
    threshold: Any,
    alias: Any,
    codes: Any,
    points: Any,
    offsets: Any,
    stride: Any,
    subwords: Any,
    subword_offsets: Any,
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
    U, outputs : float32 (T R C, 16) and (V C, 16)
        Input rows, and the output matrix with one row per word or inner node, each row in C pieces.
    chunks : int
        C, D / 16.
    negatives : int
        K; 0 means hierarchical softmax.
    threshold, alias : uint32 (V,), int32 (V,)
        See `alias_table`.
    codes, points, offsets : int8, int32, int64 (V + 1,)
        See `huffman.HuffmanCodes`.
    stride : int
        R with positions, the distance of two tables in U; 0 without.
    subwords, subword_offsets : int32 (N,), int64 (V + 1,)
        `rows` and `offsets` of `subwords.Subwords`; empty without.
    ids, control, stats, window, skip_gram, divide, shrink, keep, key, rate, rate_slope
        As for `train_softmax`.
    """
    longest = max(negatives + 1, _longest(offsets))
    rows = np.zeros(longest, dtype=np.int64)
    signs = np.zeros(longest, dtype=np.float32)
    times = np.zeros(longest, dtype=np.float32)
    steps = np.zeros(longest, dtype=np.float32)
    hidden = np.zeros((chunks, LANES), dtype=np.float32)
    context = np.zeros(2 * window, dtype=np.int64)
    center = np.zeros(1, dtype=np.int64)
    inputs = np.zeros(2 * window * max(1, _longest(subword_offsets)), dtype=np.int64)
    kept = np.zeros(1024, dtype=np.int64)
    tally = np.array([0.0, 1.0])  # loss, product of probabilities
    position = control[NEXT]
    while position < control[END]:
        start, stop = line_bounds(ids, position, control[END])
        if stop - start > len(kept):
            kept = np.zeros(stop - start, dtype=np.int64)
        kept_words = keep_words(ids, start, stop, keep, key, kept)
        index = 0
        while index < kept_words and kept[index] < position:
            index += 1
        while index < kept_words and kept_words > 1:
            here = kept[index]
            if index % CHECK_EVERY == 0:
                control[NEXT] = here
                if control[STOP] != 0:
                    return
            learning_rate = np.float32(rate + rate_slope * here)
            stream = stream_at(key, here)
            drawn = FIRST_FREE_DRAW
            reach = window_reach(window, shrink, key, here)
            words = gather_context(ids, kept, kept_words, index, reach, context)
            center[0] = ids[here]
            samples = words if skip_gram else 1
            averaged = 1 if skip_gram else words
            size = _gather_rows(
                center if skip_gram else context[:words],
                window - min(index, reach),
                stride,
                subwords,
                subword_offsets,
                inputs,
            )
            for sample in range(samples):
                target = context[sample] if skip_gram else center[0]
                if negatives > 0:
                    count = _negative_rows(
                        target, stream, drawn, negatives, threshold, alias, rows, signs, times
                    )
                    drawn += negatives
                else:
                    count = _path_rows(target, codes, points, offsets, rows, signs, times)
                _train_sample(
                    inputs[:size],
                    averaged,
                    count,
                    rows,
                    signs,
                    times,
                    steps,
                    learning_rate,
                    divide,
                    U,
                    outputs,
                    hidden,
                    tally,
                )
            stats[SAMPLES] += samples
            stats[WORDS] += 1.0
            index += 1
            if index % CHECK_EVERY == 0 or index == kept_words:
                loss = tally[0] - math.log(tally[1])
                tally[0], tally[1] = 0.0, 1.0
                if not math.isfinite(loss):
                    control[NEXT] = here
                    control[STATUS] = DIVERGED
                    return
                stats[LOSS] += loss
        position = stop + 1
        control[NEXT] = min(position, control[END])
        if control[STOP] != 0:
            return


@compiled()
def _longest(offsets: Any) -> Any:
    """Return the largest distance of two neighboring offsets; 0 if there is none."""
    longest = 0
    for word in range(len(offsets) - 1):
        longest = max(longest, offsets[word + 1] - offsets[word])
    return longest


@compiled()
def _gather_rows(
    words: Any, table: Any, stride: Any, subwords: Any, offsets: Any, inputs: Any
) -> Any:
    """Write the input rows of `words` to `inputs`; return their number. The first word is at position `table`.

    The positions of a window have no gap at its center: -1 is followed by +1.
    """
    size = 0
    for k in range(len(words)):
        start = (table + k) * stride
        if len(offsets) == 0:
            inputs[size] = start + words[k]
            size += 1
        else:
            for entry in range(offsets[words[k]], offsets[words[k] + 1]):
                inputs[size] = start + subwords[entry]
                size += 1
    return size


@compiled()
def _negative_rows(
    target: Any,
    stream: Any,
    drawn: Any,
    negatives: Any,
    threshold: Any,
    alias: Any,
    rows: Any,
    signs: Any,
    times: Any,
) -> Any:
    """Set rows, labels as signs, and counts of negative sampling; return their number.

    A negative equal to the target is skipped, as in word2vec.
    """
    rows[0], signs[0], times[0] = target, _ONE, _ONE
    number = 1
    for k in range(negatives):
        word = draw_word(draw(stream, drawn + k), threshold, alias)
        known = 0
        while known < number and rows[known] != word:
            known += 1
        if known == number:
            rows[number], signs[number], times[number] = word, -_ONE, _ONE
            number += 1
        elif known > 0:
            times[known] += _ONE
    return number


@compiled()
def _path_rows(
    target: Any, codes: Any, points: Any, offsets: Any, rows: Any, signs: Any, times: Any
) -> Any:
    """Set rows, labels as signs, and counts of hierarchical softmax; return their number. Turn 0 is the label 1."""
    first = offsets[target]
    number = offsets[target + 1] - first
    for k in range(number):
        rows[k] = points[first + k]
        signs[k] = _ONE if codes[first + k] == 0 else -_ONE
        times[k] = _ONE
    return number


@compiled(FAST)
def _train_sample(
    inputs: Any,
    averaged: Any,
    number: Any,
    rows: Any,
    signs: Any,
    times: Any,
    steps: Any,
    learning_rate: Any,
    divide: Any,
    U: Any,
    outputs: Any,
    hidden: Any,
    tally: Any,
) -> None:
    """Take one step of SGD; add the loss to `tally`. `inputs` are the rows of `averaged` words."""
    chunks = len(hidden)
    inverse = np.float32(1.0 / averaged)
    for c in range(chunks):
        total = spread(_ZERO, LANES)
        for i in range(len(inputs)):
            total = multiply_add(_ONE, load(U, inputs[i] * chunks + c, LANES), total)
        total = multiply_add(inverse, total, spread(_ZERO, LANES))
        store(total, hidden, c)  # eq. 18: the mean over the context words

    for k in range(number):
        products = spread(_ZERO, LANES)
        for c in range(chunks):
            row = load(outputs, rows[k] * chunks + c, LANES)
            products = multiply_fold(load(hidden, c, LANES), row, products)
        steps[k] = sum_lanes(products)  # v' . h
    for k in range(number):
        signed = signs[k] * steps[k]
        # s(x) and s(-x) from one exp of a negative number; s is the sigmoid.
        small = exp32(-abs(signed))
        likely = _ONE / (_ONE + small)
        unlikely = small * likely
        right, wrong = (unlikely, likely) if signed < _ZERO else (likely, unlikely)
        steps[k] = learning_rate * times[k] * signs[k] * wrong  # eq. 56-57: -rate x (s - label)
        _add_loss(signed, right, times[k], tally)

    factor = inverse if divide else _ONE
    for c in range(chunks):
        h = load(hidden, c, LANES)
        d_hidden = spread(_ZERO, LANES)
        for k in range(number):  # no row occurs twice
            at = rows[k] * chunks + c
            row = load(outputs, at, LANES)
            d_hidden = multiply_add(steps[k], row, d_hidden)  # eq. 61
            store(multiply_add(steps[k], h, row), outputs, at)  # eq. 59
        d_hidden = multiply_add(factor, d_hidden, spread(_ZERO, LANES))
        for i in range(len(inputs)):
            at = inputs[i] * chunks + c
            store(multiply_add(_ONE, load(U, at, LANES), d_hidden), U, at)  # eq. 23


@compiled()
def _add_loss(signed: Any, probability: Any, times: Any, tally: Any) -> None:
    """Add -times log(probability), eq. 55: as a product, whose logarithm is taken only when it gets small."""
    if signed < -80.0:  # too unlikely for float32; there log s(x) = x
        tally[0] -= times * signed
        return
    for _ in range(int(times)):
        tally[1] *= probability
        if tally[1] < 1e-200:  # before it underflows
            tally[0] -= math.log(tally[1])
            tally[1] = 1.0
