from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.dataset import read_split
from imdb_sentiment.data.reviews import Data, task_classes
from imdb_sentiment.data.splits import folds_of
from imdb_sentiment.measure import measure
from imdb_sentiment.model import linear
from imdb_sentiment.model.linear import (
    LinearClassifier,
    Weights,
    fit,
    group_sums,
    make_counter,
    scale_of,
    term_frequency,
    unit,
)
from imdb_sentiment.model.ngrams import FeatureCounter, NgramCounter, Tokens, document_frequency
from imdb_sentiment.model.trained import load
from imdb_sentiment.train_linear import fit_and_validate
from shared.errors import UserError

TEXTS = ["a b a b c", "b c d", "", "a b c d e a b", "c", "d e f", "a b"]


def fitted(
    config: TrainConfig,
    counter: FeatureCounter,
    counts: Any,
    targets: np.ndarray,
    classes: int = 2,
    folds: np.ndarray | None = None,
) -> Weights:
    """Fit; by default the reviews are dealt to three folds."""
    folds = np.arange(len(targets)) % 3 if folds is None else folds
    return fit(config, counts, targets, classes, kinds=counter.kinds, folds=folds)


@pytest.mark.parametrize("longest", [1, 2, 3, 4])
@pytest.mark.parametrize("least", [1, 2])
def test_ngrams_are_those_of_scikit_learn(longest: int, least: int) -> None:
    counter = NgramCounter(longest, least)
    ours = counter.fit(Tokens.of(map(str.split, TEXTS))).toarray()
    theirs = CountVectorizer(
        tokenizer=str.split,
        token_pattern=None,
        ngram_range=(1, longest),
        min_df=least,
        binary=False,
    )
    expected = theirs.fit_transform(TEXTS).toarray()
    names = [counter.name_of(column) for column in range(counter.features)]
    order = [names.index(name) for name in theirs.get_feature_names_out()]
    assert len(names) == expected.shape[1]
    assert np.array_equal(ours[:, order], expected)


def test_ngrams_of_reviews_are_those_of_scikit_learn(sample_folder: Path) -> None:
    texts = read_split(sample_folder, "train").texts
    counter = make_counter(TrainConfig(model="nbsvm", tokenizer="review"))
    ours = counter.fit(texts[:500])
    theirs = CountVectorizer(
        tokenizer=counter.tokenize, token_pattern=None, ngram_range=(1, 3), min_df=2, binary=False
    )
    expected = theirs.fit_transform(texts[:500])
    assert ours.shape == expected.shape
    assert (ours.sum(1) == expected.sum(1)).all()
    assert (counter.transform(texts[500:]).sum(1) == theirs.transform(texts[500:]).sum(1)).all()
    assert (counter.transform(texts[:500]) != ours).nnz == 0


def test_no_ngram_crosses_the_end_of_a_review() -> None:
    counter = NgramCounter(2, 1)
    counter.fit(Tokens.of([["x", "y"], ["z", "x"], ["y", "z"]]))
    assert sorted(counter.name_of(i) for i in range(counter.features)) == [
        "x",
        "x y",
        "y",
        "y z",
        "z",
        "z x",
    ]


def test_prefixes_are_features_beside_the_words() -> None:
    counter = FeatureCounter(str.split, 3, 1, prefix_letters=5)
    counts = counter.fit(["very disappointing !", "disappointed fans"]).toarray()
    names = [counter.name_of(column) for column in range(counter.features)]
    assert counter.parts["words"].features == 5 + 3 + 1
    assert names[9:] == ["very", "disap-", "fans", "very disap-", "disap- fans"]
    assert counts[:, names.index("disap-")].tolist() == [1, 1]


def test_words_with_the_same_neighbors_are_a_cluster_and_its_ngrams_are_features() -> None:
    # Four kinds of words, each between its own neighbors; the first of each kind is the most frequent.
    kinds = [[f"{kind}{i}" for i in range(5)] for kind in "abcd"]
    a, b, c, d = ([kind[0], *kind] for kind in kinds)
    texts = [f"{a[i % 6]} {b[i // 6 % 6]} rare{i} {c[i % 6]} {d[i // 6 % 6]}" for i in range(216)]
    counter = FeatureCounter(str.split, 2, 1, word_clusters=4)
    counts = counter.fit(texts)
    words = counter.parts["words"].words.tokens
    cluster_of = {word: words[i] for word, i in zip(words, counter.cluster_of, strict=True)}
    for kind in kinds:
        assert {cluster_of[word] for word in kind} == {cluster_of[kind[0]]} <= set(kind)
    assert cluster_of["rare7"] == "rare7"
    names = [counter.name_of(column) for column in range(counter.features)]
    pair = f"[{cluster_of['a0']} {cluster_of['b0']}]"
    assert (counts[:, names.index(pair)].toarray() == 1).all()  # every review has a word of each
    with pytest.raises(IndexError):
        counter.name_of(counter.features)


def test_fewer_words_than_make_a_cluster_stay_alone() -> None:
    counter = FeatureCounter(str.split, 1, 1, word_clusters=100)
    counter.fit(["one two three"] * 9)
    assert counter.cluster_of.tolist() == [0, 1, 2]


def test_strongest_ngrams_have_a_row_each_with_the_sum_of_their_columns() -> None:
    config = TrainConfig(model="tfidf", ngrams=2, min_reviews=1, prefix_letters=4, tokenizer="word")
    counter = make_counter(config)
    texts = ["bad plot", "fun film", "bad acting", "fun acting", "fun plot"]
    counts = counter.fit(texts)
    weights = fitted(config, counter, counts, np.array([0, 1, 0, 1, 1]))
    model = LinearClassifier(config, ("neg", "pos"), counter, weights)
    against, towards = model.strongest(3)
    effects = dict(against) | dict(towards)
    columns = [counter.name_of(column) for column in range(counter.features)]
    assert columns.count("bad") == columns.count("fun") == 2
    for part in (against, towards):
        names = [name for name, _ in part]
        assert len(set(names)) == len(names) == 3
    assert against[0][0] == "bad" and towards[0][0] == "fun"
    single = weights.scales[-1] * weights.weights[-1]
    expected = sum(float(single[i]) for i, name in enumerate(columns) if name == "fun")
    assert effects["fun"] == pytest.approx(expected)


def test_ratio_is_naive_bayes() -> None:
    config = TrainConfig(model="nbsvm", ngrams=1, smoothing=1.0)
    counter = FeatureCounter(str.split, 1, 1)
    counts = counter.fit(["good film", "good plot", "bad film"])
    ratios = scale_of(config, counts, np.array([True, True, False]))
    words = dict(zip(counter.parts["words"].words.tokens, ratios.tolist(), strict=True))
    # positive: 4 tokens + 4 words' smoothing; negative: 2 + 4
    assert words["good"] == pytest.approx(np.log((3 / 8) / (1 / 6)))
    assert words["bad"] == pytest.approx(np.log((1 / 8) / (2 / 6)))


def test_group_sums_are_of_ratios_of_the_other_folds() -> None:
    config = TrainConfig(model="nbsvm", smoothing=0.5)
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(0.4, (60, 9)).astype(np.float32))
    is_positive, folds = rng.random(60) < 0.4, rng.integers(0, 4, 60)
    groups = np.array([0, 1, 2, 0, 1, 2, 2, 2, 0])
    sums = group_sums(config, counts, is_positive, groups, folds)
    has = counts.toarray() > 0
    for i in range(60):
        others = folds != folds[i]
        p, q = (0.5 + has[others & (is_positive == sign)].sum(0) for sign in (True, False))
        inputs = has[i] * np.log((p / p.sum()) / (q / q.sum()))
        inputs /= np.linalg.norm(inputs) or 1
        assert sums[i] == pytest.approx(np.bincount(groups, weights=inputs), abs=1e-5)
    # The labels of a fold do not tell themselves.
    flipped = np.where(folds == 1, ~is_positive, is_positive)
    again = group_sums(config, counts, flipped, groups, folds)
    assert np.allclose(again[folds == 1], sums[folds == 1])
    assert not np.allclose(again[folds != 1], sums[folds != 1])


def test_shared_weights_are_those_of_a_regression_that_also_has_the_sums_of_groups() -> None:
    config = TrainConfig(model="nbsvm", shared_weights=True, penalty_inverse=3.0, seed=1)
    rng = np.random.default_rng(1)
    frequency = np.array([0.05, 0.06, 0.4, 0.5, 0.45, 0.06])
    counts = sparse.csr_matrix((rng.random((200, 6)) < frequency).astype(np.float32))
    targets, folds = rng.integers(0, 2, 200), rng.integers(0, 5, 200)
    kinds = np.array([0, 0, 0, 0, 1, 1])
    assert document_frequency(counts).tolist() == [10, 11, 85, 99, 84, 13]
    groups = np.array([0, 0, 1, 1, 2, 3])  # 8 to 15 and 64 to 127 reviews, of two kinds
    weights = fit(config, counts, targets, 2, kinds=kinds, folds=folds)
    sums = group_sums(config, counts, targets == 1, groups, folds)
    inputs = unit(counts, weights.scales[0]).toarray()
    regression = LogisticRegression(C=3.0, solver="liblinear", dual=True, tol=0.1, random_state=1)
    regression.fit(np.hstack([inputs, linear.SHARED_SCALE * sums]), targets)
    grouped = np.stack([inputs[:, groups == g].sum(1) for g in range(4)], axis=1)
    expected = regression.decision_function(np.hstack([inputs, linear.SHARED_SCALE * grouped]))
    assert inputs @ weights.weights[0] + weights.biases[0] == pytest.approx(expected, abs=1e-5)


def test_rows_have_length_one_and_empty_ones_stay_empty() -> None:
    counter = FeatureCounter(str.split, 2, 1)
    counts = counter.fit(TEXTS)
    rows = unit(counts, np.linspace(0.5, 2, counter.features).astype(np.float32)).toarray()
    lengths = np.sqrt((rows**2).sum(1))
    assert lengths == pytest.approx([1, 1, 0, 1, 1, 1, 1])
    last_empty = unit(counter.transform(["a", ""]), np.ones(counter.features, np.float32)).toarray()
    assert not last_empty[1].any() and last_empty[0].any()


def test_saved_model_judges_as_before(tmp_path: Path, sample_folder: Path) -> None:
    config = TrainConfig(model="nbsvm", prefix_letters=5, word_clusters=20, shared_weights=True)
    reviews = read_split(sample_folder, "train")
    counter = make_counter(config)
    weights = fitted(config, counter, counter.fit(reviews.texts), reviews.labels)
    model = LinearClassifier(config, ("bad", "good"), counter, weights)
    model.save(tmp_path)
    again = LinearClassifier.load(config, ("bad", "good"), tmp_path)
    texts = ["a clever film", "", "?!", "zzz", reviews.texts[0]]
    assert np.array_equal(model.probabilities(texts), again.probabilities(texts))
    (tmp_path / linear.FILE).write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        LinearClassifier.load(config, ("bad", "good"), tmp_path)


def test_probabilities_do_not_depend_on_how_many_are_asked_for(
    linear_run: Path, sample_folder: Path
) -> None:
    model = load(linear_run).classifier
    texts = read_split(sample_folder, "test").texts[:40]
    together = model.probabilities(texts)
    assert np.allclose(together, np.concatenate([model.probabilities([text]) for text in texts]))
    assert model.probabilities([]).shape == (0, 2)


def test_ratings_give_eight_probabilities(sample_folder: Path) -> None:
    config = TrainConfig(model="tfidf", task="rating")
    reviews = read_split(sample_folder, "train")
    counter = make_counter(config)
    weights = fitted(config, counter, counter.fit(reviews.texts), reviews.targets("rating"), 8)
    model = LinearClassifier(config, task_classes("rating"), counter, weights)
    chances = model.probabilities(reviews.texts)
    assert chances.shape == (800, 8)
    assert np.allclose(chances.sum(1), 1)
    assert (chances.argmax(1) == reviews.targets("rating")).mean() > 0.5


def test_no_common_word_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match="No word is in 2 of the 2 training reviews"):
        NgramCounter(2, 2).fit(Tokens.of([["a", "b"], ["c", "d"]]))


@pytest.mark.parametrize("clusters, shared", [(None, False), (20, False), (20, True)])
def test_validation_is_that_of_a_model_which_has_never_seen_the_validation_reviews(
    clusters: int | None, shared: bool, sample_folder: Path
) -> None:
    """What only validation makes frequent enough must not enter the smoothing sums, nor the clusters."""
    reviews = read_split(sample_folder, "train")
    part = np.arange(800) % 20
    train, valid = reviews.take(np.flatnonzero(part < 1)), reviews.take(np.flatnonzero(part > 5))
    data = Data(train, valid, valid, True, {})
    config = TrainConfig(
        model="nbsvm",
        prefix_letters=5,
        word_clusters=clusters,
        smoothing=3.0,
        shared_weights=shared,
    )
    _, together = fit_and_validate(config, data)
    counter = make_counter(config)
    counts = counter.fit(train.texts)
    weights = fitted(config, counter, counts, train.labels, folds=folds_of(train))
    alone = LinearClassifier(config, ("negative", "positive"), counter, weights)
    expected = measure(alone.probabilities(valid.texts), valid, config)
    assert together["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert together["accuracy"] == expected["accuracy"]


@pytest.mark.parametrize("frequency, expected", [("binary", 1), ("raw", 3), ("log", 1 + np.log(3))])
def test_term_frequency_is_what_it_is_called(frequency: str, expected: float) -> None:
    config = TrainConfig(model="tfidf", term_frequency=frequency)  # type: ignore[arg-type]
    counter = FeatureCounter(str.split, 1, 1)
    terms = term_frequency(config, counter.fit(["good good good", "bad"])).toarray()
    assert terms[0, counter.parts["words"].words.id("good")] == pytest.approx(expected)


def test_tfidf_is_that_of_scikit_learn() -> None:
    config = TrainConfig(model="tfidf", term_frequency="raw")
    counter = NgramCounter(2, 1)
    counts = counter.fit(Tokens.of(map(str.split, TEXTS)))
    scales = scale_of(config, counts, np.zeros(len(TEXTS), dtype=bool))
    ours = unit(term_frequency(config, counts), scales).toarray()
    theirs = TfidfVectorizer(tokenizer=str.split, token_pattern=None, ngram_range=(1, 2))
    expected = theirs.fit_transform(TEXTS).toarray()
    names = [counter.name_of(column) for column in range(counter.features)]
    order = [names.index(name) for name in theirs.get_feature_names_out()]
    np.testing.assert_allclose(ours[:, order], expected, atol=1e-6)


def test_document_frequency_counts_reviews_not_occurrences() -> None:
    counter = FeatureCounter(str.split, 1, 1)
    counts = counter.fit(["good good good", "good bad"])
    assert document_frequency(counts).tolist() == [2, 1]


def test_certain_mistakes_cost_their_score_and_not_all_that_a_float_can_hold() -> None:
    weights = Weights(*(np.array(values, np.float32) for values in ([[1.0]], [[800.0]], [0.0])))
    for sign in (-1, 1):
        chances = weights.probabilities(sparse.csr_matrix([[float(sign)]], dtype=np.float32))
        assert np.isfinite(chances).all()
    mild = Weights(*(np.array(values, np.float32) for values in ([[1.0]], [[50.0]], [0.0])))
    chances = mild.probabilities(sparse.csr_matrix([[1.0]], dtype=np.float32))
    assert -np.log(chances[0, 0]) == pytest.approx(50)
