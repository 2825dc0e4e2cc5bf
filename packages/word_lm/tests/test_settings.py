"""Every setting has an effect, and every choice is made on the text that is meant for it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.command.options import RunOptions
from shared.testing import records_of
from word_lm import train
from word_lm.commands import evaluate as verb
from word_lm.config import TrainConfig
from word_lm.measures.ngram import KneserNey

BASE = TrainConfig(
    device="cpu", threads=1, embedding_size=8, hidden_size=8, batch_size=4, bptt=9, steps=5, evaluate_every=5,
    log_every=1, learning_rate=0.02, evaluation_batch=3,
)  # fmt: skip
TRANSFORMER = {"model": "transformer", "layers": 2}
AWD = {"model": "awd_lstm", "layers": 2}
ADAPTIVE = {"softmax": "adaptive", "cutoffs": (5, 12)}

CHANGES: dict[str, tuple[dict[str, Any], Any]] = {
    "data": ({}, "other.txt"),
    "tokenizer": ({}, "word"),
    "min_count": ({}, 40),
    "max_vocab_size": ({}, 9),
    "model": ({}, "gru"),
    "embedding_size": ({}, 9),
    "vectors": ({}, "train"),
    "init_range": ({}, 0.2),
    "hidden_size": ({}, 9),
    "layers": ({}, 2),
    "context_decays": ({}, (0.5, 0.9)),
    "context_size": ({"context_decays": (0.9,)}, 5),
    "pointer_window": ({}, 6),
    "heads": (TRANSFORMER, 4),
    "kernel": ({"model": "gated_cnn"}, 5),
    "memory": ({"model": "modern_transformer", "memory": 7}, 3),
    "carry": ({}, False),
    "tied": ({}, True),
    "softmax": ({"cutoffs": (5, 12)}, "adaptive"),
    "cutoffs": (ADAPTIVE, (4, 9)),
    "tail_divisor": (ADAPTIVE, 4.0),
    "output_bias": ({}, "frequency"),
    "dropout": ({}, 0.5),
    "embedding_dropout": (AWD, 0.5),
    "input_dropout": (AWD, 0.5),
    "layer_dropout": (AWD, 0.5),
    "weight_dropout": (AWD, 0.5),
    "activation_penalty": ({}, 2.0),
    "change_penalty": ({}, 2.0),
    "optimizer": ({}, "sgd"),
    "learning_rate": ({}, 0.03),
    "beta2": ({}, 0.5),
    "weight_decay": ({}, 0.5),
    "batch_size": ({}, 5),
    "bptt": ({}, 8),
    "vary_bptt": ({}, True),
    "evaluation_batch": ({}, 4),
}
"""For each setting: what it needs beside it, and another value than its own."""


def write_texts(folder: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("text.txt", "other.txt"):
        words = random.choice(["a", "b", "c.e", "d,", *(f"w{i}" for i in range(20))], size=900)
        lines = [" ".join(words[i : i + 6]) for i in range(0, len(words), 6)]
        (folder / name).write_text("\n".join(lines) + "\n")


def figures_of(config: TrainConfig, out: Path) -> list[Any]:
    """Return what a short training reports, to the last bit."""
    folder = train.train(config, RunOptions(out=str(out), quiet=True))
    assert folder is not None
    metrics = json.loads((folder / "summary.json").read_text())["metrics"]
    return [records_of(folder), metrics["valid_loss"], metrics["test_loss"]]


@pytest.fixture(scope="module")
def plain_figures() -> dict[str, Any]:
    """Hold the figures of unchanged settings by what they need."""
    return {}


def test_every_setting_of_this_package_is_tried() -> None:
    own = {field.name for field in fields(TrainConfig)} & set(TrainConfig.__annotations__)
    assert set(CHANGES) == own - {
        "init"
    }  # see test_training_starts_from_a_run_and_adds_its_new_words


@pytest.mark.parametrize("name", CHANGES)
def test_setting_that_is_changed_changes_the_training(
    name: str, tmp_path: Path, plain_figures: dict[str, Any]
) -> None:
    write_texts(tmp_path)
    more, value = CHANGES[name]
    config = replace(BASE, data=str(tmp_path / "text.txt"), **more)
    other = replace(config, **{name: str(tmp_path / value) if name == "data" else value})
    if repr(more) not in plain_figures:
        plain_figures[repr(more)] = figures_of(config, tmp_path / "plain")
    assert figures_of(other, tmp_path / "changed") != plain_figures[repr(more)]
    if (
        name == "layers"
    ):  # the same settings give the same figures, so a difference is the setting's
        assert figures_of(config, tmp_path / "again") == plain_figures[repr(more)]


def test_training_reads_train_is_chosen_by_valid_and_reports_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path)
    config = replace(
        BASE,
        data=str(tmp_path / "text.txt"),
        learning_rate=0.8,
        steps=30,
        output_bias="frequency",
        vectors="train",
    )
    splits = train.load_text(config).splits
    read, measured, counted, near = [], [], [], []
    real_segments, real_evaluate = train.Segments, train.evaluate

    def segments(ids: Any, *inputs: Any, **settings: Any) -> Any:
        read.append(ids)
        return real_segments(ids, *inputs, **settings)

    def evaluate(model: Any, config: Any, ids: Any, *inputs: Any) -> Any:
        measured.append(next(name for name, own in splits.items() if np.array_equal(own, ids)))
        return real_evaluate(model, config, ids, *inputs)

    def bincount(ids: Any, minlength: int = 0) -> Any:
        counted.append(ids)
        return real_bincount(ids, minlength=minlength)

    def cooccurrence_vectors(texts: Any, *inputs: Any, **settings: Any) -> Any:
        near.extend(texts)
        return real_vectors(texts, *inputs, **settings)

    real_bincount, real_vectors = np.bincount, train.cooccurrence_vectors
    monkeypatch.setattr(train, "cooccurrence_vectors", cooccurrence_vectors)
    monkeypatch.setattr(train, "Segments", segments)
    monkeypatch.setattr(train, "evaluate", evaluate)
    monkeypatch.setattr(train.np, "bincount", bincount)
    records, valid_loss, _ = figures_of(config, tmp_path / "run")
    assert len(read) == 1 and np.array_equal(read[0], splits["train"])
    assert len(near) == 1 and np.array_equal(near[0], splits["train"])
    assert any(np.array_equal(ids, splits["train"]) for ids in counted)
    assert measured == ["valid"] * 6 + ["valid", "test"]
    history = [record["valid_loss"] for record in records if "valid_loss" in record]
    assert min(history) < history[-1]  # the last weights are not the best here
    assert valid_loss == pytest.approx(min(history), rel=1e-6)


def test_cache_mixture_and_dynamic_evaluation_are_tuned_on_valid_for_the_test_text(
    word_lm: Any, small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from word_lm.model.trained import load_run

    splits = load_run(small_run).text().splits
    seen: dict[str, str] = {}

    def spy(function: str, position: int) -> None:
        real = getattr(verb, function)

        def call(*inputs: Any, **settings: Any) -> Any:
            ids = inputs[position]
            seen[function] = next(n for n, own in splits.items() if np.array_equal(own, ids))
            return real(*inputs, **settings)

        monkeypatch.setattr(verb, function, call)

    for function, position in (
        ("tune_cache", 1), ("cache_perplexity", 1), ("gradient_rms", 1), ("tune_dynamic", 1),
        ("dynamic_perplexity", 1), ("KneserNey", 0), ("tune_mixture", 2), ("mixture_perplexity", 2),
    ):  # fmt: skip
        spy(function, position)
    monkeypatch.setattr(verb, "DYNAMIC_RATES", (1e-5,))
    assert word_lm("evaluate", small_run, "--cache", "--dynamic", "--ngram")[0] == 0
    assert seen == {
        "tune_cache": "valid", "cache_perplexity": "test", "gradient_rms": "train", "tune_dynamic": "valid",
        "dynamic_perplexity": "test", "KneserNey": "train", "tune_mixture": "valid", "mixture_perplexity": "test",
    }  # fmt: skip
    assert KneserNey is not verb.KneserNey  # the spies were there


def test_double_precision_is_the_hosts_alone() -> None:
    """Apple's GPUs have no float64: a tensor is moved to the CPU before it is made double."""
    source = Path(train.__file__).parent
    for path in [*source.glob("measures/*.py"), source / "generate.py", source / "train.py"]:
        for line in path.read_text(encoding="utf-8").splitlines():
            assert ".double()" not in line or ".cpu().double()" in line, (path, line)
            assert "torch.float64" not in line or "device" not in line, (path, line)


def test_learning_rate_of_a_varied_segment_is_scaled_by_its_length(tmp_path: Path) -> None:
    write_texts(tmp_path)
    config = replace(BASE, data=str(tmp_path / "text.txt"), vary_bptt=True, bptt=20, steps=6)
    records = figures_of(config, tmp_path / "run")[0]
    rates = [record["learning_rate"] for record in records if "learning_rate" in record]
    ids = train.load_text(config).splits["train"]
    segments = train.Segments(ids, config.batch_size, config.bptt, vary=True, seed=config.seed)
    expected = [config.learning_rate * segments.rate_factor(0, step) for step in range(6)]
    assert rates == pytest.approx(expected) and len(set(rates)) > 2
