"""Starting from trained weights: what is taken over, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cbow.config import TrainConfig
from cbow.model.trained import load, load_weights
from cbow.model.vectors import WordVectors
from cbow.model.warm_start import set_trained_weights
from cbow.model.weights import first_weights, subwords_of
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("no_page")]

Caller = Callable[..., tuple[int, str, str]]

TEXT = "we walk to the old sea\nwe talk of the old town\n" * 4
MORE = "they walked to the new town\nthey talked of the sea\n" * 4
NGRAMS = ("--objective", "negative", "--positions", "--subword-max", 4, "--subword-min", 2)


@pytest.fixture
def train(cbow: Caller, tmp_path: Path) -> Callable[..., Path]:
    """Return a function: text, name of the run, options -> the run."""

    def train(text: str, out: str, *words: object) -> Path:
        (tmp_path / f"{out}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / f"{out}.txt").write_text(text)
        settings = ("--dimension", 4, "--window", 2, "--epochs", 2, "--quiet")
        code, _, error = cbow("train", "--data", f"{out}.txt", "--out", out, *settings, *words)
        assert (code, error) == (0, "")
        return tmp_path / out

    return train


@pytest.mark.parametrize("words", [(), NGRAMS], ids=["softmax", "positions and n-grams"])
def test_words_and_ngrams_of_a_run_keep_their_rows(
    words: tuple[object, ...], train: Callable[..., Path]
) -> None:
    old = load_weights(train(TEXT, "old", *words))
    new = load_weights(train(MORE, "new", *words, "--init", "old", "--learning-rate", 1e-30))
    assert new.vocabulary.tokens[: len(old.vocabulary)] == old.vocabulary.tokens
    assert {"they", "walked", "new"} <= set(new.vocabulary.tokens)
    tables = 4 if words else 1
    size = len(old.vocabulary)
    theirs, ours = old.U.reshape(tables, -1, 4), new.U.reshape(tables, -1, 4)
    np.testing.assert_array_equal(ours[:, :size], theirs[:, :size])
    np.testing.assert_array_equal(new.V[:, :size], old.V)
    if words:
        names = [subwords_of(w.config, w.vocabulary).ngrams for w in (old, new)]  # type: ignore[union-attr]
        common = [name for name in names[0] if name in names[1]]
        assert len(common) > 3
        for name in common:
            row, own = size + names[0].index(name), len(new.vocabulary) + names[1].index(name)
            np.testing.assert_array_equal(ours[:, own], theirs[:, row])


def test_more_epochs_after_the_end_are_one_long_training(train: Callable[..., Path]) -> None:
    whole = load_weights(train(TEXT, "whole", "--epochs", 4))
    train(TEXT, "first")
    second = load_weights(train(TEXT, "second", "--init", "first"))
    assert second.U.tobytes() == whole.U.tobytes()
    assert second.V.tobytes() == whole.V.tobytes()


@pytest.mark.parametrize("form", ["npz", "safetensors", "word2vec-text", "word2vec-binary"])
def test_words_start_from_the_vectors_of_a_file(
    form: str, train: Callable[..., Path], tmp_path: Path
) -> None:
    rows = np.arange(1, 13).reshape(3, 4)
    name = f"v.{form}"
    WordVectors(["sea", "absent", "old"], rows).export(tmp_path / name, form)
    vectors = load(train(TEXT, "run", "--init", name, "--learning-rate", 1e-30))
    np.testing.assert_array_equal(vectors["sea"], rows[0])
    np.testing.assert_array_equal(vectors["old"], rows[2])
    assert "absent" not in vectors and "town" in vectors


def test_glove_text_starts_a_training(train: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("sea 1 2 3 4\nold 5 6 7 8\n")
    vectors = load(train(TEXT, "run", "--init", "glove.txt", "--learning-rate", 1e-30))
    assert vectors["sea"].tolist() == [1, 2, 3, 4]


def test_line_tells_how_many_words_are_known(tmp_path: Path) -> None:
    WordVectors(["a", "b"], np.eye(2)).save(tmp_path / "v.npz")
    config = TrainConfig(dimension=2, init=str(tmp_path / "v.npz"))
    vocabulary = Vocabulary(["<unk>", "b", "c"], [1, 1, 1])
    U, V = first_weights(config, vocabulary, None)
    line = set_trained_weights(config, vocabulary, None, U, V)
    assert line.endswith("v.npz: 1 of 3 words have trained vectors")
    np.testing.assert_array_equal(U[1], [0, 1])


def test_run_that_a_folder_of_runs_stands_for_is_named(
    train: Callable[..., Path], tmp_path: Path
) -> None:
    train(TEXT, "runs/one")
    new = train(TEXT, "runs/two", "--init", "runs")
    assert "started from runs/one: 10 of 10" in (new / "log.txt").read_text().replace("\\", "/")


def test_weights_of_another_size_are_refused(train: Callable[..., Path], tmp_path: Path) -> None:
    train(TEXT, "old")
    vocabulary = Vocabulary(["<unk>", "sea"], [1, 1])
    WordVectors(["sea"], np.eye(1)).save(tmp_path / "v.npz")
    (tmp_path / "glove.txt").write_text("sea 1\n")
    for init, message in (
        ("old", "was trained with --dimension 4, now it is 2"),
        ("v.npz", "vectors of 1 numbers, but --dimension is 2"),
        ("glove.txt", "Expected a token and 2"),
        ("nowhere", "no such file"),
    ):
        config = TrainConfig(dimension=2, init=init)
        U, V = first_weights(config, vocabulary, None)
        with pytest.raises(UserError, match=message):
            set_trained_weights(config, vocabulary, None, U, V)


def test_what_cannot_start_a_training_is_refused_before_a_folder_is_made(
    train: Callable[..., Path], cbow: Caller, tmp_path: Path
) -> None:
    train(TEXT, "old")
    WordVectors(["sea"], np.eye(1)).save(tmp_path / "v.npz")
    (tmp_path / "glove.txt").write_text("sea 1\n")
    for init in ("old", "v.npz", "glove.txt", "nowhere"):
        code, _, error = cbow(
            "train", "--data", "old.txt", "--init", init, "--dimension", 5, "--out", "new"
        )
        assert (code, error.count("\n")) == (2, 1), error
        assert init in error
        assert not (tmp_path / "new").exists()


def test_run_of_two_models_is_refused(train: Callable[..., Path]) -> None:
    run = train(TEXT, "both", *NGRAMS, "--twin")
    with pytest.raises(UserError, match="two models"):
        load_weights(run)
