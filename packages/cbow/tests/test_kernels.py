"""The compiled engines take the same steps as the numpy reference, from any stopping point."""

from __future__ import annotations

import heapq
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from cbow.kernels import LOSS, NEXT, SAMPLES, STOP, WORDS, Engine, stream_key
from cbow.kernels.arithmetic import compiled, exp32, is_cached
from cbow.kernels.lines import keep_probability, split_at_lines
from cbow.kernels.logistic import alias_table
from cbow.model import reference
from cbow.model.huffman import build_huffman
from cbow.model.subwords import find_subwords

SIZE, DIMENSION, WINDOW, RATE, KEY = 11, 6, 3, 0.1, 12345
OBJECTIVES = ("softmax", "negative", "hierarchical")
MASK = 2**64 - 1
ENGINES = {"batches": {"objective": "negative", "batch_size": 4}}
"""Engines that are tested beside those of the objectives."""
SUBWORDS = find_subwords(
    "<unk> walk walks walked talk talks talked a aa banana bananas".split(), 2, 4
)
INPUTS = {
    "positions": {"positions": True},
    "subwords": {"subwords": SUBWORDS},
    "both": {"positions": True, "subwords": SUBWORDS},
}


def make_text(lines=12, size=SIZE, seed=1):
    """Lines of 1 to 13 ids with many repeats, and the block they make."""
    generator = np.random.default_rng(seed)
    text = [generator.integers(0, size, generator.integers(1, 14)).tolist() for _ in range(lines)]
    text += [[4], [], [2, 2, 2, 2, 5]]
    return text, np.array([i for line in text for i in [*line, -1]], dtype=np.int32)


def make_weights(size=SIZE, dimension=DIMENSION, seed=0, spread=1.0, inputs=None):
    generator = np.random.default_rng(seed)
    U = generator.uniform(-spread, spread, (inputs or size, dimension)).astype(np.float32)
    V = generator.uniform(-spread, spread, (dimension, size)).astype(np.float32)
    return U, V


def make_engine(size=SIZE, dimension=DIMENSION, **options):
    options.setdefault("window", WINDOW)
    subwords = options.get("subwords")
    inputs = size if subwords is None else subwords.size
    if options.get("positions"):
        inputs *= 2 * options["window"]
    weights = make_weights(size, dimension, inputs=inputs)
    return Engine(np.arange(size, 0, -1), *weights, **options)


def train(engine, ids, rate=RATE, rate_slope=0.0, key=KEY):
    control, stats = engine.new_control(ids), engine.new_stats()
    outcome = engine.run(ids, control, stats, rate, rate_slope=rate_slope, key=key)
    return outcome, stats.sum(axis=0)


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def draw(position, number, key=KEY):
    """The documented draw, in Python integers."""
    stream = mix((key + 0x9E3779B97F4A7C15 * (position + 1)) & MASK)
    return mix((stream + 0x9E3779B97F4A7C15 * (number + 1)) & MASK)


def negative_words(engine, position, first, number):
    words = []
    for k in range(first, first + number):
        x = draw(position, 2 + k)
        slot = ((x >> 32) * len(engine.alias)) >> 32
        words.append(slot if (x & 0xFFFFFFFF) < engine.threshold[slot] else engine.alias[slot])
    return words


def row_sums(engine):
    """Matrix (T V, T R) of zeros and ones: which rows make up each word of each table."""
    size = len(engine.counts)
    one = np.eye(size)
    if engine.rows > size:
        one = np.zeros((size, engine.rows))
        for word in range(size):
            one[word, SUBWORDS.of(word)] = 1
    return np.kron(np.eye(engine.tables), one)


def reference_training(
    engine, text, gradient="true", rate=RATE, rate_slope=0.0, shrink=False, keep=None
):
    """Train in float64 with `reference` alone; U, V, losses.

    A word of a table is the sum of its rows, so by the chain rule a row's gradient is the sum over
    the words that it is part of.
    """
    U, V = (np.asarray(matrix, dtype=np.float64) for matrix in engine.weights())
    sums, size = row_sums(engine), len(engine.counts)
    losses, offset = [], 0
    for line in text:
        kept = [
            i
            for i in range(len(line))
            if keep is None or (draw(offset + i, 0) >> 11) / 2**53 < keep[line[i]]
        ]
        words = [line[i] for i in kept]
        for index, place in enumerate(kept if len(kept) > 1 else []):
            position = offset + place
            reach = draw(position, 1) % engine.window + 1 if shrink else engine.window
            around = words[max(0, index - reach) : index] + words[index + 1 : index + 1 + reach]
            if engine.tables > 1:
                places = [
                    other - index + engine.window - (other > index)
                    for other in range(len(words))
                    if 0 < abs(other - index) <= reach
                ]
                around = [place * size + word for place, word in zip(places, around, strict=True)]
            samples = (
                [([words[index]], word) for word in around]
                if engine.skip_gram
                else [(around, words[index])]
            )
            for number, (inputs, target) in enumerate(samples):
                table = sums @ U
                if engine.objective == "softmax":
                    result = reference.gradients(table, V, inputs, target, gradient=gradient)
                elif engine.objective == "negative":
                    negatives = negative_words(
                        engine, position, number * engine.negatives, engine.negatives
                    )
                    result = reference.negative_sampling_gradients(
                        table, V, inputs, target, negatives, gradient=gradient
                    )
                else:
                    result = reference.hierarchical_gradients(
                        table, V, inputs, *engine.huffman.of(target), gradient=gradient
                    )
                losses.append(result[0])
                d_U = sums.T @ result[1]
                reference.update(U, V, d_U, result[2], rate + rate_slope * position)
        offset += len(line) + 1
    return U, V, losses


def assert_same_weights(engine, U, V, atol=2e-5):
    own_U, own_V = engine.weights()
    np.testing.assert_allclose(own_U, U, atol=atol)
    np.testing.assert_allclose(own_V, V, atol=atol)


@pytest.mark.parametrize(
    ("objective", "gradient"),
    [(o, g) for o in OBJECTIVES for g in ("true", "word2vec")] + [("softmax", "coursework")],
)
@pytest.mark.parametrize("architecture", ["cbow", "skipgram"])
def test_kernel_takes_the_steps_of_the_reference(objective, architecture, gradient):
    text, ids = make_text()
    engine = make_engine(
        objective=objective, architecture=architecture, gradient=gradient, negatives=12
    )  # more negatives than words: repeats and targets occur
    U, V, losses = reference_training(engine, text, gradient)
    outcome, stats = train(engine, ids)
    assert outcome == "done"
    assert_same_weights(engine, U, V)
    assert stats[SAMPLES] == len(losses)
    assert stats[LOSS] == pytest.approx(sum(losses), rel=1e-5)
    assert stats[WORDS] == sum(len(line) for line in text if len(line) > 1)


@pytest.mark.parametrize("architecture", ["cbow", "skipgram"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_subsampling_shrinking_windows_and_decay_follow_their_definitions(objective, architecture):
    text, ids = make_text(lines=20)
    engine = make_engine(
        objective=objective, architecture=architecture, shrink_windows=True, subsample=0.05
    )
    slope = -RATE / len(ids)
    U, V, losses = reference_training(engine, text, rate_slope=slope, shrink=True, keep=engine.keep)
    _, stats = train(engine, ids, rate_slope=slope)
    assert_same_weights(engine, U, V)
    assert stats[SAMPLES] == len(losses)
    assert 0 < stats[WORDS] < sum(len(line) for line in text if len(line) > 1)


def reference_batches(engine, text, gradient="true", rate=RATE, rate_slope=0.0, shrink=False):
    """Train in float64 with `reference` alone, several words a step; U, V, losses.

    V is updated after every group of four words, which share their negatives, and U after the whole batch.
    """
    U, V = (np.asarray(matrix, dtype=np.float64) for matrix in engine.weights())
    losses, offset = [], 0
    for line in text:
        kept = [
            i
            for i in range(len(line))
            if not len(engine.keep) or (draw(offset + i, 0) >> 11) / 2**53 < engine.keep[line[i]]
        ]
        words = [line[i] for i in kept]
        batches = -(-len(words) // engine.batch_size) if len(words) > 1 else 0
        for batch in range(batches):
            first, end = (number * len(words) // batches for number in (batch, batch + 1))
            groups, d_U = -(-(end - first) // 4), np.zeros_like(U)
            for group in range(groups):
                negatives = negative_words(
                    engine, offset + kept[first], group * engine.negatives, engine.negatives
                )
                d_V = np.zeros_like(V)
                for index in range(first + group, end, groups):
                    position = offset + kept[index]
                    reach = draw(position, 1) % engine.window + 1 if shrink else engine.window
                    left, right = words[max(0, index - reach) : index], words[index + 1 :]
                    loss, *gradients = reference.negative_sampling_gradients(
                        U, V, left + right[:reach], words[index], negatives, gradient=gradient
                    )
                    losses.append(loss)
                    d_U += (rate + rate_slope * position) * gradients[0]
                    d_V += (rate + rate_slope * position) * gradients[1]
                V -= d_V
            U -= d_U
        offset += len(line) + 1
    return U, V, losses


@pytest.mark.parametrize("gradient", ["true", "word2vec"])
@pytest.mark.parametrize(("batch_size", "window"), [(2, 1), (4, 3), (8, 2), (16, 5)])
def test_a_batch_adds_up_the_gradients_of_its_words(batch_size, window, gradient):
    text, ids = make_text(lines=30)
    engine = make_engine(
        objective="negative", gradient=gradient, negatives=12, batch_size=batch_size, window=window
    )  # more negatives than words: repeats and targets occur
    U, V, losses = reference_batches(engine, text, gradient, rate=0.02)
    outcome, stats = train(engine, ids, rate=0.02)
    assert outcome == "done"
    assert_same_weights(engine, U, V)
    assert stats[SAMPLES] == stats[WORDS] == len(losses)
    assert stats[LOSS] == pytest.approx(sum(losses), rel=1e-5)


def test_batches_follow_subsampling_shrinking_windows_and_decay():
    text, ids = make_text(lines=30)
    engine = make_engine(
        objective="negative", batch_size=4, dimension=20, shrink_windows=True, subsample=0.05
    )
    slope = -0.02 / len(ids)
    U, V, losses = reference_batches(engine, text, rate=0.02, rate_slope=slope, shrink=True)
    _, stats = train(engine, ids, rate=0.02, rate_slope=slope)
    assert_same_weights(engine, U, V)
    assert stats[SAMPLES] == len(losses)
    assert 0 < stats[WORDS] < sum(len(line) for line in text if len(line) > 1)


def test_only_cbow_with_negative_sampling_and_one_row_a_word_has_batches():
    for options in (
        {"objective": "softmax"},
        {"objective": "hierarchical"},
        {"objective": "negative", "architecture": "skipgram"},
        *({"objective": "negative", **inputs} for inputs in INPUTS.values()),
    ):
        with pytest.raises(ValueError, match="has batches"):
            make_engine(batch_size=2, **options)


@pytest.mark.parametrize("gradient", ["true", "word2vec"])
@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("objective", ["negative", "hierarchical"])
def test_positions_and_subwords_take_the_steps_of_the_reference(objective, inputs, gradient):
    text, ids = make_text()
    engine = make_engine(objective=objective, gradient=gradient, **inputs)
    # A small rate: a row that many words share moves with all of them, and large steps would
    # carry rounding too far.
    U, V, losses = reference_training(engine, text, gradient, rate=0.02)
    outcome, stats = train(engine, ids, rate=0.02)
    assert outcome == "done"
    assert_same_weights(engine, U, V)
    assert stats[SAMPLES] == len(losses)
    assert stats[LOSS] == pytest.approx(sum(losses), rel=1e-5)


@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS)
def test_places_are_counted_after_subsampling_in_windows_that_shrink(inputs):
    text, ids = make_text(lines=20)
    engine = make_engine(objective="negative", shrink_windows=True, subsample=0.05, **inputs)
    U, V, losses = reference_training(engine, text, rate=0.02, shrink=True, keep=engine.keep)
    _, stats = train(engine, ids, rate=0.02)
    assert_same_weights(engine, U, V)
    assert stats[SAMPLES] == len(losses)


@pytest.mark.parametrize("objective", ["negative", "hierarchical"])
def test_skip_gram_with_subwords_takes_the_steps_of_the_reference(objective):
    text, ids = make_text()
    engine = make_engine(objective=objective, architecture="skipgram", subwords=SUBWORDS)
    U, V, _ = reference_training(engine, text, rate=0.02)
    train(engine, ids, rate=0.02)
    assert_same_weights(engine, U, V)


def test_an_ngram_of_two_context_words_gets_the_gradient_of_both():
    walk, walks, talked = 1, 2, 6
    shared = SIZE + SUBWORDS.ngrams.index("<w")
    ids = np.array([walk, talked, walks, -1], dtype=np.int32)
    engine = make_engine(objective="negative", subwords=SUBWORDS, window=1)
    control = engine.new_control(ids)
    control[0, NEXT] = 1  # only the sample of "talked" has words with "<w" in its context
    before = engine.weights()[0]
    engine.run(ids, control, engine.new_stats(), 0.1, key=KEY)
    change = engine.weights()[0] - before
    assert np.abs(change[walk]).max() > 1e-4
    np.testing.assert_allclose(change[shared], 2 * change[walk], atol=1e-6)


def test_the_exact_engine_refuses_positions_and_subwords():
    for inputs in INPUTS.values():
        with pytest.raises(ValueError, match="neither positions nor subwords"):
            make_engine(**inputs)
    with pytest.raises(ValueError, match="no position"):
        make_engine(objective="negative", architecture="skipgram", positions=True)


def test_only_the_exact_engine_has_the_courseworks_gradient():
    for objective in ("negative", "hierarchical"):
        with pytest.raises(ValueError, match="exact engine"):
            make_engine(objective=objective, gradient="coursework")


def test_weights_that_do_not_fit_the_input_tables_are_refused():
    for inputs in INPUTS.values():
        with pytest.raises(ValueError, match="do not fit together"):
            Engine(np.ones(SIZE), *make_weights(), objective="negative", **inputs)
    with pytest.raises(ValueError, match="subwords of 11 words, not 5"):
        Engine(np.ones(5), *make_weights(5), objective="negative", subwords=SUBWORDS)


@pytest.mark.parametrize(("size", "dimension"), [(2, 1), (255, 4), (256, 5), (257, 11), (600, 20)])
def test_exact_engine_works_at_the_edges_of_its_tiles(size, dimension):
    text, _ = make_text(size=size, lines=6) if size > 200 else ([[0, 1, 1, 0, 1, 0, 0]], None)
    text.append([0, size - 1, 1, size - 1])  # the last word, in the last tile, takes part
    ids = np.array([i for line in text for i in [*line, -1]], dtype=np.int32)
    # Spread 2: scores far apart, so the largest one often comes late and rescales what was summed.
    engine = Engine(np.ones(size), *make_weights(size, dimension, spread=2.0), window=WINDOW)
    U, V, _ = reference_training(engine, text)
    train(engine, ids)
    assert_same_weights(engine, U, V)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_repeated_context_word_gets_every_gradient(objective):
    ids = np.array([1, 1, 3, 1, 2, -1], dtype=np.int32)
    engine = make_engine(objective=objective, window=4)
    U, V, _ = reference_training(engine, [[1, 1, 3, 1, 2]])
    train(engine, ids)
    assert_same_weights(engine, U, V, atol=2e-6)


KINDS = [
    (objective, architecture, {})
    for objective in OBJECTIVES
    for architecture in ("cbow", "skipgram")
]
KINDS += [("negative", "cbow", inputs) for inputs in INPUTS.values()]
KINDS += [("negative", "cbow", {"batch_size": 8})]
KIND_NAMES = ["-".join(kind[:2]) for kind in KINDS[:6]]
KIND_NAMES += [f"negative-cbow-{name}" for name in (*INPUTS, "batches")]


@pytest.mark.parametrize("objective, architecture, inputs", KINDS, ids=KIND_NAMES)
def test_cutting_a_block_at_line_ends_gives_the_same_bits(objective, architecture, inputs):
    _, ids = make_text(lines=5)
    ids = np.concatenate([ids, np.arange(150, dtype=np.int32) % SIZE, [np.int32(-1)]])
    options = {
        "objective": objective,
        "architecture": architecture,
        "shrink_windows": True,
        "subsample": 0.2,
        **inputs,
    }
    whole = make_engine(**options)
    _, stats = train(whole, ids, rate_slope=-1e-4)

    pieces = make_engine(**options)
    control, sums = pieces.new_control(ids), pieces.new_stats()
    end, stops = control[0, 1], 0
    for cut in range(1, len(ids)):
        if ids[cut - 1] == -1:
            control[0, 1] = cut
            pieces.run(ids, control, sums, RATE, rate_slope=-1e-4, key=KEY)
            pieces.set_weights(*pieces.weights())  # through the assignment's layout
            stops += 1
    control[0, 1] = end
    assert pieces.run(ids, control, sums, RATE, rate_slope=-1e-4, key=KEY) == "done"
    assert stops > 3
    for own, expected in zip(pieces.weights(), whole.weights(), strict=True):
        np.testing.assert_array_equal(own, expected)
    np.testing.assert_allclose(sums[0], stats, rtol=1e-12)


@pytest.mark.parametrize("objective, architecture, inputs", KINDS, ids=KIND_NAMES)
def test_a_stop_request_inside_a_long_line_loses_nothing(objective, architecture, inputs):
    generator = np.random.default_rng(3)
    size = SIZE if "subwords" in inputs else 2000
    options = {
        "size": size,
        "dimension": 20,
        "objective": objective,
        "architecture": architecture,
        "window": 1,
        **inputs,
    }
    # Long enough that this thread gets a core before the line ends, on a fast machine that others use too.
    words = 4_000 if objective == "softmax" else 1_000_000 if "batch_size" in inputs else 200_000
    ids = np.append(generator.integers(0, size, words), -1).astype(np.int32)
    whole = make_engine(**options)
    train(whole, ids)

    engine = make_engine(**options)
    control, stats = engine.new_control(ids), engine.new_stats()
    stops, outcome = 0, ""
    while outcome != "done":
        control[:, STOP] = 0
        before = control[0, NEXT]
        outcomes = []
        worker = threading.Thread(
            target=lambda results=outcomes: results.append(
                engine.run(ids, control, stats, RATE, key=KEY)
            )
        )
        worker.start()
        while worker.is_alive() and control[0, NEXT] == before:  # alive: it moves while we look
            time.sleep(0)
        control[:, STOP] = 1
        asked = time.perf_counter()
        worker.join()
        outcome = outcomes[0]
        if outcome == "stopped":
            stops += 1
            assert time.perf_counter() - asked < 0.5  # 50 ms wanted; tests share their machine
            assert before < control[0, NEXT] < len(ids)
            assert engine.run(ids, control, stats, RATE, key=KEY) == "stopped"  # still asked to
    assert stops > 0
    for own, expected in zip(engine.weights(), whole.weights(), strict=True):
        np.testing.assert_array_equal(own, expected)


def test_ten_epochs_like_the_assignments_first_test_match_the_reference():
    """Like debug.txt: V 21, D 8, window 3, learning rate 1.0, sentences from a small grammar.

    The text has to be learnable: on random lines this learning rate diverges, and then rounding
    alone pulls any two float32 programs apart.
    """
    text = [
        [subject, verb, 10, thing]
        for subject, verb in ((1, 4), (2, 5), (3, 5))
        for thing in (11, 12, 13)
    ] + [[14, 15, 16], [17, 18, 19, 20]]
    ids = np.array([i for line in text for i in [*line, -1]], dtype=np.int32)
    engine = make_engine(21, 8)
    U, V = (matrix.astype(np.float64) for matrix in engine.weights())
    for _ in range(10):
        losses = [
            reference.step(U, V, context, target, 1.0)
            for line in text
            for context, target in reference.windows(line, WINDOW)
        ]
        outcome, stats = train(engine, ids, rate=1.0)
        assert outcome == "done"
        assert stats[LOSS] / stats[SAMPLES] == pytest.approx(np.mean(losses), abs=1e-5)


def test_large_scores_do_not_overflow():
    ids = np.array([0, 1, 2, 3, 0, -1], dtype=np.int32)
    for sign in (1, -1):  # far above and far below zero
        for objective in (*OBJECTIVES, "batches"):
            U = np.full((300, 2), 30.0)
            V = sign * np.random.default_rng(0).uniform(20, 40, (2, 300))
            engine = Engine(np.ones(300), U, V, **ENGINES.get(objective, {"objective": objective}))
            reference_of = reference_batches if objective == "batches" else reference_training
            wanted = reference_of(engine, [[0, 1, 2, 3, 0]], rate=1e-4)
            outcome, stats = train(engine, ids, rate=1e-4)
            assert outcome == "done"
            assert stats[LOSS] == pytest.approx(sum(wanted[2]), rel=1e-3)


@pytest.mark.parametrize("objective", [*OBJECTIVES, "batches"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_the_run(objective, bad):
    _, ids = make_text()
    U, V = make_weights()
    U[2, 1] = bad
    options = ENGINES.get(objective, {"objective": objective})
    engine = Engine(np.ones(SIZE), U, V, **options)
    control = engine.new_control(ids)
    assert engine.run(ids, control, engine.new_stats(), RATE) == "diverged"
    assert control[0, NEXT] < len(ids)


@pytest.mark.parametrize("objective", [*OBJECTIVES, "batches"])
def test_two_threads_learn(objective):
    ids = np.tile(np.array([1, 2, 3, 4, -1, 5, 6, 7, 8, -1], dtype=np.int32), 200)
    options = ENGINES.get(objective, {"objective": objective})
    engine = make_engine(**options, threads=2, window=1)
    means = []
    for epoch in range(4):
        outcome, stats = train(engine, ids, key=stream_key(1, epoch))
        assert outcome == "done"
        assert stats[SAMPLES] == 1600  # each sample once, whatever the number of threads
        means.append(stats[LOSS] / stats[SAMPLES])
    assert means[-1] < 0.8 * means[0]


def test_blocks_are_cut_between_lines():
    _, ids = make_text(lines=40)
    for parts in (1, 2, 3, 7):
        bounds = split_at_lines(ids, parts)
        assert bounds[0] == 0 and bounds[-1] == len(ids) and (np.diff(bounds) >= 0).all()
        assert all(ids[bound - 1] == -1 for bound in bounds[1:-1])
    assert split_at_lines(np.array([1, 2, 3], dtype=np.int32), 2).tolist() == [0, 3, 3]


def test_lines_of_one_token_and_empty_blocks_change_nothing():
    for ids in ([], [-1], [3, -1, 4, -1, -1], [3]):
        engine = make_engine()
        before = engine.weights()
        outcome, stats = train(engine, np.array(ids, dtype=np.int32))
        assert outcome == "done" and stats.sum() == 0
        for own, expected in zip(engine.weights(), before, strict=True):
            np.testing.assert_array_equal(own, expected)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_weights_come_back_as_they_went_in(objective):
    U, V = make_weights(300, 7)
    own_U, own_V = Engine(np.ones(300), U, V, objective=objective).weights()
    np.testing.assert_array_equal(own_U, U)
    np.testing.assert_array_equal(own_V, V)


def test_ids_outside_the_vocabulary_are_refused():
    engine = make_engine()
    for bad in (SIZE, -2):
        ids = np.array([1, bad, -1], dtype=np.int32)
        with pytest.raises(ValueError, match="outside"):
            engine.run(ids, engine.new_control(ids), engine.new_stats(), RATE)
    with pytest.raises(ValueError, match="int32"):
        engine.run(np.array([1, 2]), engine.new_control(ids), engine.new_stats(), RATE)


def test_exp32_is_exp_to_float32_rounding():
    for x in np.linspace(-86.9, 0, 20_001, dtype=np.float32):
        assert exp32(x) == pytest.approx(np.exp(np.float64(x)), rel=4e-7)
    assert exp32(np.float32(-88)) == 0 and exp32(np.float32(-np.inf)) == 0
    assert exp32(np.float32(0)) == 1 and np.isnan(exp32(np.float32(np.nan)))


def test_negatives_are_drawn_by_count_to_the_three_quarters():
    counts = np.array([1, 100, 40, 7, 1, 0, 300])
    threshold, alias = alias_table(counts)
    chance = np.zeros(len(counts))
    for slot in range(len(counts)):
        own = threshold[slot] / 2**32
        chance[slot] += own / len(counts)
        chance[alias[slot]] += (1 - own) / len(counts)
    np.testing.assert_allclose(chance, counts**0.75 / (counts**0.75).sum(), atol=1e-8)


def test_the_power_of_the_counts_reaches_the_draws():
    engine = make_engine(objective="negative", negative_power=0.0)
    assert (engine.threshold == 2**32 - 1).all()  # all words alike: no slot goes to another word
    assert (make_engine(objective="negative").threshold < 2**32 - 1).any()


def test_frequent_words_are_kept_by_word2vecs_formula():
    counts = np.array([900, 90, 10])
    keep = keep_probability(counts, 0.05)
    share = counts / 1000
    expected = np.minimum((np.sqrt(share / 0.05) + 1) * 0.05 / share, 1)
    np.testing.assert_allclose(keep, expected)
    assert len(keep_probability(counts, 0)) == 0


def test_huffman_codes_are_prefix_free_and_as_short_as_possible():
    counts = np.random.default_rng(2).integers(1, 50, 40)
    tree = build_huffman(counts)
    words = ["".join(map(str, tree.of(word)[0])) for word in range(40)]
    assert not any(a != b and b.startswith(a) for a in words for b in words)
    heap = counts.tolist()
    heapq.heapify(heap)
    shortest = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        shortest += merged
        heapq.heappush(heap, merged)
    assert sum(n * len(word) for n, word in zip(counts, words, strict=True)) == shortest


def test_huffman_probabilities_of_all_words_sum_to_one():
    tree = build_huffman([5, 3, 3, 1, 9])
    U, V = make_weights(5, 3)
    U, V = U.astype(np.float64), V.astype(np.float64)
    total = sum(
        np.exp(-reference.hierarchical_gradients(U, V, [1, 2], *tree.of(word))[0])
        for word in range(5)
    )
    assert total == pytest.approx(1.0)
    assert build_huffman([7]).offsets.tolist() == [0, 0]


PROGRAM = """
import sys
import numpy as np
from cbow.kernels import Engine
r = np.random.default_rng(0)
e = Engine(np.ones(300), r.normal(size=(300, 7)), r.normal(size=(7, 300)), objective=sys.argv[1])
ids = np.append(r.integers(0, 300, 500), -1).astype(np.int32)
e.run(ids, e.new_control(ids), e.new_stats(), 0.1)
print(*(m.tobytes().hex()[:4000] for m in e.weights()))
"""


@pytest.mark.reliability
@pytest.mark.parametrize("objective", ["softmax", "negative"])
def test_fresh_and_cached_machine_code_give_the_same_bits(objective, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    fresh, cached = (
        subprocess.run(
            [sys.executable, "-c", PROGRAM, objective],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for _ in range(2)
    )
    assert list(tmp_path.rglob("*.nbc")), "nothing was cached"
    assert fresh == cached


CALLEE = """
from cbow.kernels.arithmetic import compiled

@compiled()
def callee(x):
    return x + {number}
"""
CALLER = """
from callee import callee
from cbow.kernels.arithmetic import compiled

@compiled(inline=False)
def caller(x):
    return 10 * callee(x)
"""


@pytest.mark.reliability
def test_cached_machine_code_is_not_used_after_an_edit_of_what_a_kernel_calls(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    program = "from caller import caller; print(caller(1), len(caller.stats.cache_hits))"
    (tmp_path / "caller.py").write_text(CALLER)
    printed = []
    for number in (1, 1, 2):
        (tmp_path / "callee.py").write_text(CALLEE.format(number=number))
        printed += subprocess.run(
            [sys.executable, "-B", "-c", program],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
    assert printed == ["20 0", "20 1", "30 0"]


@pytest.mark.reliability
def test_only_a_compilation_is_told_of(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "a.txt").write_text("a cat sat\na dog sat\n")
    command = [sys.executable, "-m", "cbow", "train", "--data", "a.txt", "--epochs", "1", "--out"]
    printed = [
        subprocess.run(
            [*command, out],
            cwd=tmp_path,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for out in ("first", "second")
    ]
    assert ["machine code" in text for text in printed] == [True, False]


def test_disk_that_is_full_does_not_stop_a_compilation(tmp_path, monkeypatch):
    def callee(x):
        return x + 1

    kernel = compiled()(callee)
    assert is_cached(kernel)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("numba.core.caching.FunctionCache.save_overload", full)
    assert kernel(1) == 2
    assert not is_cached(kernel)
