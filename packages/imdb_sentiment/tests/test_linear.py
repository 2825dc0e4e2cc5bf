from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.dataset import read_split
from imdb_sentiment.model import linear
from imdb_sentiment.model.linear import LinearClassifier, fit, make_counter, scale_of, unit
from imdb_sentiment.model.ngrams import FeatureCounter, RunCounter
from imdb_sentiment.model.trained import load_run
from shared.errors import UserError

TEXTS = ["a b a b c", "b c d", "", "a b c d e a b", "c", "d e f", "a b"]


@pytest.mark.parametrize("longest", [1, 2, 3, 4])
@pytest.mark.parametrize("least", [1, 2])
def test_runs_are_those_of_scikit_learn(longest: int, least: int) -> None:
    counter = RunCounter(longest, least)
    ours = counter.fit(list(map(str.split, TEXTS))).toarray()
    theirs = CountVectorizer(
        tokenizer=str.split, token_pattern=None, ngram_range=(1, longest), min_df=least, binary=True
    )
    expected = theirs.fit_transform(TEXTS).toarray()
    names = [counter.run_of(column) for column in range(counter.features)]
    order = [names.index(name) for name in theirs.get_feature_names_out()]
    assert len(names) == expected.shape[1]
    assert np.array_equal(ours[:, order], expected)


def test_runs_of_real_text_are_those_of_scikit_learn(sample_folder: Path) -> None:
    texts = read_split(sample_folder, "train").texts
    counter = make_counter(TrainConfig(model="nbsvm", tokenizer="review"))
    ours = counter.fit(texts[:500])
    theirs = CountVectorizer(
        tokenizer=counter.tokenize, token_pattern=None, ngram_range=(1, 3), min_df=2, binary=True
    )
    expected = theirs.fit_transform(texts[:500])
    assert ours.shape == expected.shape
    assert (ours.sum(1) == expected.sum(1)).all()
    assert (counter.transform(texts[500:]).sum(1) == theirs.transform(texts[500:]).sum(1)).all()
    assert (counter.transform(texts[:500]) != ours).nnz == 0


def test_no_run_goes_from_one_review_into_the_next() -> None:
    counter = RunCounter(2, 1)
    counter.fit([["x", "y"], ["z", "x"], ["y", "z"]])
    assert sorted(counter.run_of(i) for i in range(counter.features)) == [
        "x",
        "x y",
        "y",
        "y z",
        "z",
        "z x",
    ]


def test_beginnings_of_words_are_features_beside_the_words() -> None:
    counter = FeatureCounter(str.split, 3, 1, stem_letters=5)
    counts = counter.fit(["very disappointing !", "disappointed fans"]).toarray()
    names = [counter.run_of(column) for column in range(counter.features)]
    assert counter.parts["words"].features == 5 + 3 + 1
    assert names[9:] == ["very", "disap-", "fans", "very disap-", "disap- fans"]
    assert counts[:, names.index("disap-")].tolist() == [1, 1]


def test_ratio_is_naive_bayes() -> None:
    config = TrainConfig(model="nbsvm", ngrams=1, smoothing=1.0)
    counter = FeatureCounter(str.split, 1, 1)
    counts = counter.fit(["good film", "good plot", "bad film"])
    ratios = scale_of(config, counts, np.array([True, True, False]))
    words = dict(zip(counter.parts["words"].words.tokens, ratios.tolist(), strict=True))
    # positive: 4 tokens + 4 words' smoothing; negative: 2 + 4
    assert words["good"] == pytest.approx(np.log((3 / 8) / (1 / 6)))
    assert words["bad"] == pytest.approx(np.log((1 / 8) / (2 / 6)))


def test_rows_have_length_one_and_empty_ones_stay_empty() -> None:
    counter = FeatureCounter(str.split, 2, 1)
    counts = counter.fit(TEXTS)
    rows = unit(counts, np.linspace(0.5, 2, counter.features).astype(np.float32)).toarray()
    lengths = np.sqrt((rows**2).sum(1))
    assert lengths == pytest.approx([1, 1, 0, 1, 1, 1, 1])
    last_empty = unit(counter.transform(["a", ""]), np.ones(counter.features, np.float32)).toarray()
    assert not last_empty[1].any() and last_empty[0].any()


def test_columns_too_rare_in_the_fitted_rows_have_no_weight() -> None:
    config = TrainConfig(model="nbsvm", ngrams=1, min_reviews=2)
    counter = FeatureCounter(str.split, 1, 2)
    counts = counter.fit(["good", "bad", "good", "bad", "later", "later"])
    model = fit(config, counter, counts[:4], np.array([1, 0, 1, 0]))
    later = counter.parts["words"].words.tokens.index("later")
    assert model.scales[0, later] == 0
    assert model.scales[0, counter.parts["words"].words.tokens.index("good")] > 0


def test_saved_model_judges_as_before(tmp_path: Path, sample_folder: Path) -> None:
    config = TrainConfig(model="nbsvm", stem_letters=5)
    reviews = read_split(sample_folder, "train")
    counter = make_counter(config)
    model = fit(config, counter, counter.fit(reviews.texts), reviews.labels)
    model.save(tmp_path)
    again = LinearClassifier.load(config, tmp_path)
    texts = ["a clever film", "", "?!", "zzz", reviews.texts[0]]
    assert np.array_equal(model.probabilities(texts), again.probabilities(texts))
    (tmp_path / linear.FILE).write_bytes(b"not safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        LinearClassifier.load(config, tmp_path)


def test_probabilities_do_not_depend_on_how_many_are_asked_for(
    linear_run: Path, sample_folder: Path
) -> None:
    model = load_run(linear_run).classifier
    texts = read_split(sample_folder, "test").texts[:40]
    together = model.probabilities(texts)
    assert np.allclose(together, np.concatenate([model.probabilities([text]) for text in texts]))
    assert model.probabilities([]).shape == (0, 2)


def test_ratings_give_eight_probabilities(sample_folder: Path) -> None:
    config = TrainConfig(model="tfidf", task="rating")
    reviews = read_split(sample_folder, "train")
    counter = make_counter(config)
    model = fit(config, counter, counter.fit(reviews.texts), reviews.targets("rating"))
    chances = model.probabilities(reviews.texts)
    assert chances.shape == (800, 8)
    assert np.allclose(chances.sum(1), 1)
    assert (chances.argmax(1) == reviews.targets("rating")).mean() > 0.5


def test_no_common_word_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match="No word is in 2 of the 2 training reviews"):
        RunCounter(2, 2).fit([["a", "b"], ["c", "d"]])
