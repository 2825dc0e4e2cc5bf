"""The assignment's own two tests, its published counts, and its API names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cbow import CBOW, Vocabulary
from shared.text.tokenizers import word_tokens

Caller = Callable[..., tuple[int, str, str]]


def test_test1_on_the_samples_debug_text(sample_folder: Path) -> None:
    lines = [word_tokens(line) for line in (sample_folder / "debug.txt").read_text().splitlines()]
    vocabulary = Vocabulary.build(token for line in lines for token in line)
    model = CBOW(vocabulary, dimension=8, seed=42)
    losses = model.train(lines, window=3, learning_rate=1.0, epochs=20)
    assert losses[-1] < 0.6 < 2 < losses[0]
    assert {word for word, _ in model.most_similar_tokens("i", 3)} == {"i", "we", "they"}


def test_test1(cbow: Caller, real_data: Path, tmp_path: Path) -> None:
    code, _, _ = cbow("train", "--recipe", "debug", "--data", real_data, "--out", "run", "--quiet")
    assert code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"]["train_loss"] == pytest.approx(0.50, abs=0.02)
    nearest = json.loads(cbow("neighbors", "run", "i", "he", "she", "--count", 2, "--json")[1])
    for word, rows in nearest["neighbors"].items():
        assert {word, *(row["word"] for row in rows)} == {"i", "he", "she"}


@pytest.mark.reliability  # the first epochs of `coursework`, below, are compared in every run
def test_test2(cbow: Caller, real_data: Path, tmp_path: Path) -> None:
    words = ("--data", real_data, "--seed", 42, "--out", "run", "--quiet")
    assert cbow("train", "--recipe", "baseline", *words)[0] == 0
    metrics = json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]
    assert metrics["train_loss"] == pytest.approx(5.044, abs=0.001)
    assert 100 * metrics["recall_at_40"] == pytest.approx(19.5, abs=0.6)
    records = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(record)["train_loss"] for record in records]
    report = [5.99, 5.59, 5.44, 5.34, 5.26, 5.20, 5.15, 5.11, 5.08, 5.05]
    assert losses == pytest.approx(report, abs=0.011)  # the report's two decimals, of another seed


REPORTED = [
    *((5.99, 8.28), (5.59, 12.43), (5.44, 13.61), (5.34, 15.98), (5.26, 16.57)),
    *((5.20, 18.93), (5.15, 19.82), (5.11, 20.12), (5.08, 19.82), (5.05, 19.82)),
]
"""Mean loss and recall@40 in percent of each epoch, as the coursework's report gives them."""


@pytest.mark.long
@pytest.mark.parametrize("epochs", [2, pytest.param(10, marks=pytest.mark.reliability)])
def test_coursework_recipe_gives_the_reports_own_figures(
    epochs: int, cbow: Caller, real_data: Path, tmp_path: Path
) -> None:
    words = ("--data", real_data, "--seed", 42, "--epochs", epochs, "--out", "run", "--quiet")
    assert cbow("train", "--recipe", "coursework", *words)[0] == 0
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    found = [(round(r["train_loss"], 2), round(100 * r["recall_at_40"], 2)) for r in records]
    assert found == REPORTED[:epochs]


def test_model_saves_and_loads_without_pickles(tmp_path: Path) -> None:
    lines = [["i", "want", "to", "go"], ["he", "want", "to", "go"]]
    vocabulary = Vocabulary.build(word for line in lines for word in line)
    model = CBOW(vocabulary, dimension=5, seed=1)
    model.train(lines, window=2, learning_rate=0.5, epochs=3)
    model.save(tmp_path / "model")
    assert (tmp_path / "model" / "vocab.txt").read_text().splitlines()[:2] == ["<unk> 1", "want 2"]
    again = CBOW.load(tmp_path / "model")
    assert again.U.tobytes() == model.U.tobytes()
    assert again.V.tobytes() == model.V.tobytes()
    assert again.similarity("i", "he") == model.similarity("i", "he")


def test_training_in_steps_is_training_at_once() -> None:
    lines = [["i", "want", "to", "go"], ["he", "want", "to", "go"]]
    vocabulary = Vocabulary.build(word for line in lines for word in line)
    whole, steps = CBOW(vocabulary, 5, seed=1), CBOW(vocabulary, 5, seed=1)
    losses = whole.train(lines, window=2, learning_rate=0.5, epochs=4)
    twice = [
        loss for _ in range(2) for loss in steps.train(lines, window=2, learning_rate=0.5, epochs=2)
    ]
    assert losses == twice
    assert whole.U.tobytes() == steps.U.tobytes()
