"""Every setting of a training run does something: a table over all fields of TrainConfig."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esim import train
from esim.config import TrainConfig
from esim.model.trained import load_run
from shared.command.options import RunOptions
from shared.testing import records_of
from shared.torch.config import LoopConfig

BASE = TrainConfig(
    device="cpu", threads=1, embedding_size=6, hidden_size=4, steps=3, batch_size=8, log_every=1, learning_rate=0.01,
    weight_decay=0.1, cache=False,
)  # fmt: skip

CHANGES: dict[str, Mapping[str, Any]] = {
    "premise_column": {"premise_column": "other1"},
    "hypothesis_column": {"hypothesis_column": "other2"},
    "label_column": {"label_column": "code"},
    "label_values": {"label_values": ("neutral", "entailment", "contradiction")},
    "encoding": {"encoding": "latin-1"},
    "tokenizer": {"tokenizer": "nltk"},
    "max_length": {"max_length": 2},
    "hold_out": {"hold_out": 12},
    "vocabulary": {"vocabulary": "train"},
    "min_count": {"min_count": 3},
    "max_vocab_size": {"max_vocab_size": 6},
    "vectors": {"vectors": "train"},
    "frozen": {"frozen": True},
    "embedding_size": {"embedding_size": 5},
    "hidden_size": {"hidden_size": 5},
    "dropout": {"dropout": 0.2},
    "input_dropout": {"input_dropout": 0.2},
    "projection_dropout": {"projection_dropout": 0.2},
    "variational": {"variational": False},
    "matches": {"matches": True},
    "relations": {"relations": True},
    "stem_backoff": {"stem_backoff": True},
    "relu": {"relu": False},
    "classifier": {"classifier": "coursework"},
    "mask": {"mask": False},
    "batch_axis": {"batch_axis": True},
    "orthogonal": {"orthogonal": False},
    "optimizer": {"optimizer": "adamw"},
    "learning_rate": {"learning_rate": 0.02},
    "muon_learning_rate": {"muon_learning_rate": 0.02},
    "beta2": {"beta2": 0.9},
    "weight_decay": {"weight_decay": 0.0},
    "label_smoothing": {"label_smoothing": 0.1},
    "batch_size": {"batch_size": 7},
    "pool": {"pool": 1},
}
BASES: dict[str, Mapping[str, Any]] = {
    "stem_backoff": {"vocabulary": "train"},
    "muon_learning_rate": {"optimizer": "muon"},
}
"""Further settings, with and without the change, under which it does something."""
ELSEWHERE = {
    "data": "every test names its data",
    "separator": "test_own_columns_of_csv_tsv_and_jsonl_give_the_same_pairs",
    "on_bad_line": "test_bad_line_is_named_or_skipped_and_counted",
    "cache": "test_tokens_are_kept_and_what_was_kept_is_read_unless_the_file_changed",
    "on_bad_vector": "test_vectors_from_a_file_cover_words_and_bad_lines_are_counted_or_named",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small data set with a second set of columns, and words that only dev has."""
    out = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    words = ["A", "man", "café", "runs", "Here", "now", "dog", "eats"]
    for name, count in (("train", 45), ("dev", 12)):
        rows = []
        for number in range(count):
            texts = [" ".join(random.choice(words, random.integers(2, 7))) for _ in range(4)]
            rows.append(
                {
                    "gold_label": ["entailment", "neutral", "contradiction"][random.integers(3)],
                    "sentence1": f"{texts[0]} {name}{number % 20}{' eating' * (name == 'dev')}",
                    "sentence2": texts[1],
                    "other1": texts[2],
                    "other2": texts[3],
                    "code": int(random.integers(3)),
                }
            )
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"{name}.jsonl").write_text(text, "utf-8")
    return out


def fingerprint(config: TrainConfig, out: Path) -> str:
    """Return a checksum of all that a run's log and weights say."""
    train.train(config, RunOptions(out=str(out), quiet=True))
    digest = hashlib.sha256(repr(records_of(out)).encode())
    trained = load_run(out)
    digest.update(repr(trained.vocabulary.tokens).encode())
    for name, weight in sorted(trained.model.state_dict().items()):
        digest.update(name.encode() + weight.numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def base(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fingerprint(replace(BASE, data=str(folder)), tmp_path_factory.mktemp("runs") / "base")


def test_every_setting_of_the_task_is_in_the_table() -> None:
    own = {field.name for field in fields(TrainConfig)} - {f.name for f in fields(LoopConfig)}
    assert own == set(CHANGES) | set(ELSEWHERE)
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f"def {name}" in tests for name in ELSEWHERE.values() if name.startswith("test_"))


def test_the_same_settings_give_the_same_run(folder: Path, base: str, tmp_path: Path) -> None:
    assert fingerprint(replace(BASE, data=str(folder)), tmp_path / "again") == base


@pytest.mark.parametrize("name", CHANGES)
def test_setting_changes_the_run(name: str, folder: Path, base: str, tmp_path: Path) -> None:
    config = replace(BASE, data=str(folder), **BASES.get(name, {}))
    if name in BASES:
        base = fingerprint(config, tmp_path / "base")
    assert fingerprint(replace(config, **CHANGES[name]), tmp_path / "run") != base


def test_weights_of_the_best_dev_accuracy_are_those_that_are_measured_at_the_end(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    for name, source in (("train", "train"), ("dev", "dev"), ("test", "train")):
        text = (folder / f"{source}.jsonl").read_text("utf-8")
        (tmp_path / "data" / f"{name}.jsonl").write_text(text, "utf-8")
    accuracies = iter([0.5, 0.9, 0.1, 0.9, 0.2])
    calls: list[tuple[int, bytes]] = []

    def measure(model: Any, pairs: Any, accelerator: Any, **settings: Any) -> dict[str, float]:
        calls.append((len(pairs), model.classifier.layers[1].weight.detach().numpy().tobytes()))
        return {"accuracy": next(accuracies), "loss": 1.0}

    monkeypatch.setattr(train, "accuracy_and_loss", measure)
    config = replace(BASE, data=str(tmp_path / "data"), evaluate_every=1)
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    sizes, weights = zip(*calls, strict=True)
    assert sizes == (12, 12, 12, 12, 45)  # dev while training; dev and test once, at the end
    assert weights[3] == weights[4] == weights[1] != weights[2]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["best_step"] == 2 and summary["metrics"]["test_accuracy"] == 0.2
