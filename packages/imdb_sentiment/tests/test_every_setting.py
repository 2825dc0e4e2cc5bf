"""Every setting of `TrainConfig` changes something: none is accepted and then ignored."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_reviews

from imdb_sentiment.config import LINEAR, TrainConfig
from imdb_sentiment.data.dataset import load_data
from imdb_sentiment.train_linear import fit_and_validate
from imdb_sentiment.train_network import (
    Examples,
    Loss,
    make_network,
    make_optimizers,
    with_min_steps,
)
from shared.torch.config import LoopConfig

SMALL = {"min_count": 1, "embedding_size": 8, "hidden_size": 8, "max_tokens": 12, "batch_size": 8}
LSTM = {"model": "lstm", **SMALL}
FRONT = {**LSTM, "padding": "front", "pooling": "last_position", "max_tokens": 20}
CNN = {"model": "cnn", "pooling": "max", **SMALL}
NBSVM: dict[str, Any] = {"model": "nbsvm", "refit": False}
TABLE = {**NBSVM, "data": "a.csv"}
CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "data": (NBSVM, "other"),
    "text_column": (TABLE, "other"),
    "label_column": (TABLE, "other_label"),
    "separator": ({**TABLE, "data": "semicolon.txt", "separator": ";"}, ","),
    "encoding": (TABLE, "latin-1"),
    "test_data": (NBSVM, "other"),
    "test_fraction": (TABLE, 0.4),
    "task": (NBSVM, "rating"),
    "limit": (NBSVM, 20),
    "test_limit": (NBSVM, 6),
    "valid_fraction": (NBSVM, 0.4),
    "model": (LSTM, "cnn"),
    "tokenizer": (NBSVM, "space"),
    "min_count": (LSTM, 60),
    "max_vocab_size": (LSTM, 5),
    "prefix_letters": (LSTM, 2),
    "log_count_ratios": (LSTM, 2),
    "max_tokens": (LSTM, 5),
    "truncation": ({**LSTM, "max_tokens": 5}, "head"),
    "padding": ({**FRONT, "pooling": "last"}, "batch"),
    "vectors": (LSTM, "reviews"),
    "embedding_size": (LSTM, 9),
    "hidden_size": (LSTM, 9),
    "layers": (LSTM, 2),
    "bidirectional": (LSTM, False),
    "widths": (CNN, (1, 2)),
    "pooling": (LSTM, "max"),
    "carry_state": (FRONT, True),
    "head_size": (LSTM, 4),
    "head_activation": ({**LSTM, "head_size": 4}, "relu"),
    "dropout": (LSTM, 0.1),
    "input_dropout": (LSTM, 0.5),
    "word_dropout": (LSTM, 0.5),
    "crop": (LSTM, 2),
    "adversarial": (LSTM, 0.5),
    "rating_weight": (LSTM, 0.5),
    "label_smoothing": (LSTM, 0.2),
    "softmax_first": (LSTM, True),
    "optimizer": (LSTM, "sgd"),
    "learning_rate": (LSTM, 0.1),
    "muon_learning_rate": ({**LSTM, "optimizer": "muon"}, 0.1),
    "vector_rate": (LSTM, 0.0),
    "momentum": ({**LSTM, "optimizer": "sgd"}, 0.1),
    "weight_decay": (LSTM, 0.5),
    "batch_size": (LSTM, 4),
    "min_steps": (LSTM, 999),
    "bucket": (LSTM, False),
    "ngrams": (NBSVM, 1),
    "min_reviews": (NBSVM, 25),
    "word_clusters": (NBSVM, 3),
    "term_frequency": ({"model": "tfidf"}, "raw"),
    "penalty_inverse": (NBSVM, 0.1),
    "smoothing": (NBSVM, 9.0),
    "shared_weights": (NBSVM, True),
    "refit": (NBSVM, True),
}
"""A setting: what it is tried with, and another value of it."""
ELSEWHERE = {"encoder", "encoder_pooling", "lora_rank", "head_rate", "init"}
"""Settings of encoders, which `test_encoder.py` has, and `init`, which `test_init.py` has."""
PROBE = ["a fine fine film , really", "an awful bore <br />"]


def test_every_setting_is_here_or_in_the_loop() -> None:
    own = {f.name for f in fields(TrainConfig)} - {f.name for f in fields(LoopConfig)}
    assert own == set(CASES) | ELSEWHERE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("every")
    rng = np.random.default_rng(0)
    words = {"pos": ["fine", "moving", "well acted"], "neg": ["awful", "a bore", "badly acted"]}

    def text(kind: str) -> str:
        parts = [str(rng.choice(words[kind])) for _ in range(rng.integers(2, 9))]
        return " really , ".join(parts) + " <br /> film"

    for name, extra in (("data", ""), ("other", " again")):
        for split in ("train", "test"):
            texts = {kind: [text(kind) + extra for _ in range(30)] for kind in words}
            write_reviews(root / name, split, texts["pos"], texts["neg"])
    # A rating for each, so that eight classes occur.
    for number, path in enumerate(sorted(root.glob("*/*/*/*.txt"))):
        ratings = (7, 8, 9, 10) if path.parent.name == "pos" else (1, 2, 3, 4)
        path.rename(path.with_name(f"{path.name.split('_')[0]}_{ratings[number % 4]}.txt"))
    rows = [(text(kind), text(kind), kind) for _ in range(30) for kind in words]
    for name, mark in (("a.csv", ","), ("semicolon.txt", ";")):
        lines = [f"text{mark}other{mark}label{mark}other_label"]
        for number, cells in enumerate(rows):
            quoted = [f'"caf\u00e9 {cell}"' for cell in cells[:2]]
            lines.append(mark.join([*quoted, cells[2], str(number % 3)]))
        (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@cache
def fingerprint(config: TrainConfig) -> str:
    """Train a little; return everything that a setting could have changed."""
    data = load_data(config)
    seen: list[Any] = [data.train.names, data.valid.names, data.test.names, data.test.texts]
    if config.model in LINEAR:
        model, valid = fit_and_validate(config, data)
        return json.dumps([*seen, model.probabilities(PROBE).tolist(), valid])
    torch.manual_seed(0)
    np.random.seed(0)
    classes = data.classes(config.task)
    network, codec = make_network(config, data, len(classes))
    examples = Examples(
        config,
        network.pad_id,
        codec.encode(data.train.texts),
        data.train,
        data.train.targets(config.task),
    )
    loss, optimizers = Loss(config, network, codec.unknown_id), make_optimizers(config, network)
    network.train()
    order = examples.order()
    for step in range(2):
        total, count, _ = loss(network, examples.fetch(order.shard(0, step, 0, 1)))
        (total / count).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    weights = {name: weight.sum().item() for name, weight in network.named_parameters()}
    return json.dumps(
        [*seen, weights, examples.padding(), with_min_steps(config, order.steps(0)).epochs]
    )


def test_same_settings_train_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the differences below would be chance."""
    monkeypatch.chdir(folder)
    config = TrainConfig(data="data", device="cpu", dropout=0.5, **LSTM)  # type: ignore[arg-type]
    assert fingerprint.__wrapped__(config) == fingerprint.__wrapped__(config)


@pytest.mark.parametrize("name", CASES)
def test_setting_changes_what_is_trained(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    settings, value = CASES[name]
    config = TrainConfig(**{"data": "data", "device": "cpu", **settings})
    assert getattr(config, name) != value
    if (name, value) == ("separator", ","):  # read by another one, the file has no such column
        with pytest.raises(Exception, match="has no column"):
            fingerprint(replace(config, separator=value))
        return
    assert fingerprint(config) != fingerprint(replace(config, **{name: value}))
