"""Log-count ratios of n-grams as inputs of networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.data.dataset import load_data
from imdb_sentiment.data.reviews import Reviews
from imdb_sentiment.data.splits import folds_of
from imdb_sentiment.model.log_count_ratios import LogCountRatios
from imdb_sentiment.model.trained import NetworkClassifier, load
from shared.errors import UserError

Caller = Callable[..., tuple[int, str, str]]
V, N, FOLDS, LONGEST = 12, 120, 4, 3
LSTM = (
    "--model", "lstm", "--log-count-ratios", 2, "--embedding-size", 8, "--hidden-size", 8, "--steps", 2,
)  # fmt: skip


def reviews(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, V, rng.integers(1, 12)).astype(np.int32) for _ in range(N)]


def counted(targets: np.ndarray, classes: int, folds: np.ndarray) -> LogCountRatios:
    words = [f"word{i}" for i in range(V)]
    return LogCountRatios.count(
        reviews(), targets, folds, longest=LONGEST, vocabulary=words, classes=classes
    )


def has(review: np.ndarray, ngram: tuple[int, ...]) -> bool:
    starts = range(len(review) - len(ngram) + 1)
    return any(tuple(review[i : i + len(ngram)]) == ngram for i in starts)


def ngrams(review: np.ndarray) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    for start in range(len(review)):
        for n in range(1, min(LONGEST, len(review) - start) + 1):
            yield start, n, tuple(review[start : start + n])


@pytest.mark.parametrize("classes", [2, 3])
def test_ratios_are_those_of_reviews_that_have_the_ngram_and_in_training_of_other_folds(
    classes: int,
) -> None:
    rng = np.random.default_rng(1)
    targets, folds = rng.integers(0, classes, N), rng.integers(0, FOLDS, N)
    module = counted(targets, classes, folds)
    kinds = [1] if classes == 2 else list(range(classes))

    def ratio(ngram: tuple[int, ...], kind: int, fold: int | None) -> float:
        if sum(has(review, ngram) for review in reviews()) < 2:
            return 0.0
        others = [i for i in range(N) if fold is None or folds[i] != fold]
        found = [i for i in others if has(reviews_[i], ngram)]
        own = sum(targets[i] == kind for i in found)
        chance = (sum(targets[i] == kind for i in others) + 1) / (len(others) + 2)
        odds = (own + 2 * chance) / (len(found) - own + 2 * (1 - chance))
        return math.log(odds * (1 - chance) / chance)

    reviews_ = reviews()
    for number in (0, 7, 8):
        review = reviews_[number]
        ids = torch.from_numpy(review)[None].long()
        in_training = module(ids, torch.from_numpy(folds[[number]]))
        for fold, inputs in ((None, module(ids)), (int(folds[number]), in_training)):
            assert inputs.shape == (1, len(review), LONGEST * len(kinds))
            found = inputs[0].view(len(review), LONGEST, len(kinds))
            for start, n, ngram in ngrams(review):
                expected = [ratio(ngram, kind, fold) for kind in kinds]
                assert found[start, n - 1].tolist() == pytest.approx(expected, abs=1e-5)
            assert not found[-1, 1:].any()  # no n-gram ends beyond the review


def test_label_of_a_review_and_of_its_fold_does_not_tell_itself() -> None:
    rng = np.random.default_rng(2)
    targets, folds = rng.integers(0, 2, N), np.arange(N) % FOLDS
    other = np.where(folds == 1, 1 - targets, targets)
    of_fold = torch.ones(1, dtype=torch.int64)
    before, after = (counted(labels, 2, folds) for labels in (targets, other))
    for number in np.flatnonzero(folds == 1)[:5]:
        ids = torch.from_numpy(reviews()[number])[None].long()
        assert torch.equal(before(ids, of_fold), after(ids, of_fold))
        assert not torch.equal(before(ids), after(ids))


def test_ngram_that_one_review_has_is_unknown_and_one_of_no_class_alone_is_even() -> None:
    sequences = [np.array(words, dtype=np.int32) for words in ([1, 2], [1, 2], [1, 3], [1])]
    module = LogCountRatios.count(
        sequences, np.array([0, 1, 1, 0]), np.arange(4), longest=2, vocabulary="abcd", classes=2
    )
    assert module(torch.tensor([[1, 2], [1, 3]]))[..., 1].abs().max() == 0
    assert module.sizes == (2, 1)  # words 1 and 2, and both together


def test_reviews_without_a_word_in_common_are_refused() -> None:
    sequences = [np.array([word], dtype=np.int32) for word in (1, 2, 3)]
    with pytest.raises(UserError, match="in 2 of the 3 training reviews.*--log-count-ratios null"):
        LogCountRatios.count(
            sequences, np.array([0, 1, 1]), np.arange(3), longest=2, vocabulary="abcd", classes=2
        )


def test_folds_keep_films_and_equal_texts_together() -> None:
    films = [f"film {i % 30}" for i in range(300)]
    zeros = np.zeros(300, dtype=np.int64)
    by_film = folds_of(Reviews([""] * 300, zeros, zeros, films, [""] * 300), 4)
    assert all(len(set(by_film[i::30].tolist())) == 1 for i in range(30))
    assert set(by_film.tolist()) == set(range(4))
    texts = [f"Text  {i % 30}" if i < 150 else f"text {i % 30}" for i in range(300)]
    by_text = folds_of(Reviews(texts, zeros, zeros, [""] * 300, [""] * 300), 4)
    assert all(len(set(by_text[i::30].tolist())) == 1 for i in range(30))


def test_run_keeps_its_ratios_and_starts_another(
    imdb: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("train", "--data", sample_folder, "--device", "cpu", *LSTM)
    assert imdb(*words, "--out", "run")[0] == 0
    first = load(tmp_path / "run").classifier
    assert isinstance(first, NetworkClassifier)
    data = load_data(TrainConfig(data=str(sample_folder)))
    whole = first.codec.whole(data.train.texts)()  # type: ignore[attr-defined]
    expected = LogCountRatios.count(
        whole,
        data.train.labels,
        np.zeros(len(whole), dtype=np.int64),
        longest=2,
        vocabulary=first.codec.vocabulary.tokens,  # type: ignore[attr-defined]
        classes=2,
    )
    ids = first.network.batch(whole[:5])[0]
    assert torch.equal(first.network.vectors(ids)[..., 8:], expected(ids))
    assert expected(ids).abs().max() > 1
    code, printed, error = imdb(*words, "--init", "run", "--limit", 100, "--out", "next")
    assert (code, error) == (0, "") and "its head" in printed
    again = load(tmp_path / "next").classifier
    assert isinstance(again, NetworkClassifier)
    assert not torch.equal(again.network.vectors(ids)[..., 8:], expected(ids))  # of 100 reviews


@pytest.mark.parametrize("family", [(), ("--model", "cnn", "--pooling", "max")])
def test_onnx_has_the_ratios(
    family: tuple[str, ...], imdb: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    words = ("train", "--data", sample_folder, "--device", "cpu", *LSTM, "--log-count-ratios", 4)
    assert imdb(*words, *family, "--out", "run")[0] == 0
    assert imdb("export", "run", "--out", "onnx")[0] == 0
    session = onnxruntime.InferenceSession(
        str(tmp_path / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    classifier = load(tmp_path / "run").classifier
    assert isinstance(classifier, NetworkClassifier)
    long = ["The story is superb . " * 9, "It is not superb", "word"]
    for texts in (long, ["boring and dull"], ["superb"]):
        ids, lengths = classifier.network.batch(classifier.codec.encode(texts))
        (found,) = session.run(None, {"ids": ids.numpy(), "lengths": lengths.numpy()})
        assert np.abs(found - classifier.probabilities(texts)).max() < 1e-5


def test_classes_of_another_number_are_refused(
    imdb: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("--device", "cpu", *LSTM)
    assert imdb("train", "--data", sample_folder, *words, "--out", "run")[0] == 0
    rows = [f"text {i},{('a', 'b', 'c')[i % 3]}" for i in range(60)]
    (tmp_path / "own.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    code, _, error = imdb("train", "--data", "own.csv", "--init", "run", *words, "--out", "next")
    assert code == 2 and "has --log-count-ratios of 2 classes, not of 3" in error
    assert imdb("train", "--data", "own.csv", *words, "--out", "three")[0] == 0
    assert load(tmp_path / "three").predict("text").label in "abc"
