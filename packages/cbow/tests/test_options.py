"""Every setting of a training has an effect: a test that fails when the setting is ignored."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cbow import schedule
from cbow import train as training
from cbow.config import TrainConfig
from cbow.data import dataset
from cbow.kernels.build import build_engine
from cbow.model.trained import VOCABULARY, load
from cbow.model.vectors import WordVectors
from cbow.model.weights import initial_weights
from cbow.processes.team import Team
from cbow.train import train
from shared.command.options import RunOptions
from shared.errors import UserError

pytestmark = pytest.mark.long

Caller = Callable[..., tuple[int, str, str]]

SMALL = {"dimension": 4, "epochs": 2, "window": 2, "seed": 3}
NEGATIVE = {**SMALL, "objective": "negative"}
SUBWORDS = {**NEGATIVE, "subword_max": 3, "subword_min": 2}

EFFECTS: dict[str, tuple[dict[str, Any], Any]] = {
    "data": (SMALL, "other"),
    "corpus": (SMALL, "debug.txt"),
    "encoding": ({**SMALL, "tokenizer": "space"}, "latin-1"),
    "limit": (SMALL, 7),
    "tokenizer": (SMALL, "space"),
    "max_vocab_size": (SMALL, 9),
    "min_count": (SMALL, 3),
    "prune_above": (SMALL, 4),
    "architecture": (SMALL, "skipgram"),
    "objective": (SMALL, "hierarchical"),
    "cbow_gradient": (SMALL, "coursework"),
    "dimension": (SMALL, 5),
    "window": (SMALL, 3),
    "shrink_window": (SMALL, True),
    "subsample": (SMALL, 0.02),
    "negatives": (NEGATIVE, 3),
    "negative_power": (NEGATIVE, 0.0),
    "batch_size": (NEGATIVE, 8),
    "positions": (NEGATIVE, True),
    "subword_min": (SUBWORDS, 1),
    "subword_max": (SUBWORDS, 4),
    "twin": (SUBWORDS, True),
    "twin_weight": ({**SUBWORDS, "twin": True}, 0.2),
    "initial": (NEGATIVE, "word2vec"),
    "init": (SMALL, "vectors.npz"),
    "epochs": (SMALL, 3),
    "learning_rate": (SMALL, 0.2),
    "schedule": (SMALL, "linear"),
    "min_learning_rate": ({**SMALL, "schedule": "linear"}, 0.05),
    "halve_every": ({**SMALL, "schedule": "halve"}, 1),
    "seed": (SMALL, 4),
    "vectors": (SMALL, "joined"),
    "output_weight": ({**SMALL, "vectors": "joined"}, 0.9),
}
"""Setting -> the other settings, and a value with which the vectors must differ from those with its default."""
ELSEWHERE = {"recipe", "synonyms", "threads", "merge_every", "minutes", "checkpoint_seconds"}
"""Settings with a test of their own below."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with two corpora and a vector file."""
    monkeypatch.chdir(tmp_path)
    lines = (
        "The cafés of the old town\nthe Town of old cafés , of the sea\nwe walked or walk to the sea\n"
        * 4
    )
    rare = "".join(f"walk w{i} sea\n" for i in range(5))
    for name, text in (("data", lines + rare), ("other", lines + "the sea\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "treebank.txt").write_text(text, encoding="utf-8")
        (tmp_path / name / "debug.txt").write_text("the old sea\nthe old town\n")
    rows = np.random.default_rng(0).normal(size=(3, 4))
    WordVectors(["the", "old", "sea"], rows).save(tmp_path / "vectors.npz")
    return tmp_path


def vectors_of(config: TrainConfig, out: str) -> WordVectors:
    folder = train(config, RunOptions(out=out, quiet=True))
    return WordVectors.load(folder / "vectors.safetensors")


def test_every_setting_is_tested() -> None:
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    assert names == set(EFFECTS) | ELSEWHERE
    assert not set(EFFECTS) & ELSEWHERE


@pytest.mark.filterwarnings("ignore:more than 4 distinct tokens")
@pytest.mark.parametrize("name", EFFECTS)
def test_setting_has_an_effect(name: str, folder: Path) -> None:
    others, value = EFFECTS[name]
    config = TrainConfig(**{"data": "data", **others})
    assert getattr(config, name) != value
    plain = vectors_of(config, "plain")
    changed = vectors_of(replace(config, **{name: value}), "changed")
    is_ignored = (plain.tokens, plain.matrix.tobytes()) == (
        changed.tokens,
        changed.matrix.tobytes(),
    )
    assert not is_ignored


def test_recipe_is_recorded(folder: Path) -> None:
    train(TrainConfig(data="data", recipe="mine", **SMALL), RunOptions(out="run", quiet=True))
    assert json.loads((folder / "run" / "summary.json").read_text())["recipe"] == "mine"


def test_synonyms_are_what_is_measured(folder: Path) -> None:
    recalls = []
    for name, listed in (("right", ["old", "sea"]), ("absent", ["old", "gone", "lost"])):
        Path(f"{name}.json").write_text(json.dumps([["the", listed]]))
        config = TrainConfig(data="data", synonyms=f"{name}.json", **SMALL)
        train(config, RunOptions(out=name, quiet=True))
        summary = json.loads((folder / name / "summary.json").read_text())
        recalls.append(summary["metrics"]["recall_at_40"])
    assert recalls == [1, pytest.approx(1 / 3)]


def test_resumed_run_is_measured_by_the_list_it_has_kept(folder: Path) -> None:
    def recall(listed: list[str], *, resume: bool) -> float:
        Path("list.json").write_text(json.dumps([["the", listed]]))
        config = TrainConfig(data="data", synonyms="list.json", **SMALL)
        train(config, RunOptions(out="run", resume=resume, quiet=True))
        return json.loads(Path("run/summary.json").read_text())["metrics"]["recall_at_40"]

    assert recall(["old", "sea"], resume=False) == 1
    Path("run/summary.json").unlink()
    assert recall(["old", "gone", "lost"], resume=True) == 1
    assert "list.json: is another list" in Path("run/log.txt").read_text()


def test_run_that_never_trained_is_resumed_with_the_words_of_its_data(folder: Path) -> None:
    config = TrainConfig(data="data", **SMALL)
    run = train(config, RunOptions(out="run", quiet=True))
    for path in run.iterdir():  # as after a kill before the first checkpoint
        if path.is_file() and path.name not in ("config.yaml", "environment.json", VOCABULARY):
            path.unlink()
    shutil.rmtree(run / "checkpoints")
    Path("data/treebank.txt").write_text("quite other words\nother words\n")
    train(config, RunOptions(out="run", resume=True, quiet=True))
    assert load("run").tokens == ["<unk>", "other", "words", "quite"]


def test_threads_are_the_engines() -> None:
    config = TrainConfig(threads=3, **SMALL)
    engine = build_engine(config, np.ones(9, dtype=np.int64), *initial_weights(9, 4, 1))
    assert engine.new_control(np.array([1, 2, -1] * 9, dtype=np.int32)).shape == (3, 4)


def test_merge_every_is_the_teams() -> None:
    engine = build_engine(TrainConfig(), np.full(9, 99_999), *initial_weights(9, 20, 1))
    assert Team()._merge_every(engine, TrainConfig(merge_every=123)) == 123
    assert Team()._merge_every(engine, TrainConfig()) == 899_991 // 4


@pytest.mark.parametrize(("minutes", "epochs"), [(1.1, 6), (3.1, 18)])
def test_minutes_are_a_number_of_epochs(
    minutes: float, epochs: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "_epoch_seconds", lambda *_: 10.0)
    train(TrainConfig(data="data", minutes=minutes, **SMALL), RunOptions(out="run", quiet=True))
    assert json.loads((folder / "run" / "summary.json").read_text())["epochs"] == epochs


def test_minutes_too_few_for_an_epoch_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "_epoch_seconds", lambda *_: 90)
    with pytest.raises(UserError, match=r"--minutes is 1, but an epoch takes about 1\.5 minutes"):
        train(TrainConfig(data="data", minutes=1, **SMALL), RunOptions(out="run", quiet=True))
    assert not (folder / "run").exists()


def test_minutes_count_what_an_epoch_of_a_tiny_text_takes_besides_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "EPOCH_SECONDS", 6.0)
    config = TrainConfig(data="data", minutes=1, **SMALL)
    corpus = dataset.find_corpus(config)
    vocabulary = dataset.count_words(corpus, config)
    planned = schedule.epochs_that_fit(config, corpus, vocabulary, Team(), time.monotonic())
    assert planned.epochs < 10


def test_minutes_leave_time_for_the_second_encoding_and_for_recalls(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def slow(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        def slowed(*given: Any, **settings: Any) -> Any:
            now[0] += seconds
            return function(*given, **settings)

        return slowed

    monkeypatch.setattr(schedule.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(schedule, "EPOCH_SECONDS", 0.0)
    monkeypatch.setattr(schedule, "encode", slow(10, schedule.encode))
    monkeypatch.setattr(schedule, "synonym_recall", slow(2, schedule.synonym_recall))
    monkeypatch.setattr(schedule, "wait", slow(3, lambda works, timeout: works[0].result()))
    for name, epochs in (("", 12), ("list.json", 7)):  # 10 + 10 + 3 s of 60 are gone; 25 s
        Path("list.json").write_text(json.dumps([["the", ["old"]]]))
        config = TrainConfig(data="data", minutes=1, synonyms=name or None, **SMALL)
        corpus = dataset.find_corpus(config)
        vocabulary = dataset.count_words(corpus, config)
        planned = schedule.epochs_that_fit(config, corpus, vocabulary, Team(), now[0])
        assert planned.epochs == epochs


def test_checkpoint_seconds_decide_when_to_save(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[int] = []
    save = training.save

    def counted(run: Any, state: Any, *rest: Any) -> None:
        saves.append(state.all_samples)
        save(run, state, *rest)

    monkeypatch.setattr(training, "save", counted)
    clock = iter(range(10**6))  # a second between two looks at it
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
    numbers = []
    for seconds in (1.0, 1e6):
        saves.clear()
        config = TrainConfig(data="data", checkpoint_seconds=seconds, **{**SMALL, "epochs": 30})
        train(config, RunOptions(out=f"run{seconds}", quiet=True))
        numbers.append(len(saves))
    assert numbers[1] == 2  # before the first and after the last epoch
    assert numbers[0] > numbers[1]


def test_every_epoch_has_its_own_random_draws(folder: Path) -> None:
    settings = {
        **NEGATIVE,
        "epochs": 6,
        "subsample": 0.02,
        "learning_rate": 1e-9,
        "min_learning_rate": 0.0,
    }
    train(TrainConfig(data="data", **settings), RunOptions(out="run", quiet=True))
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert len({record["words"] for record in records}) > 1  # subsampling
    settings = {**NEGATIVE, "epochs": 3, "learning_rate": 1e-9, "min_learning_rate": 0.0}
    train(TrainConfig(data="data", **settings), RunOptions(out="still", quiet=True))
    records = [json.loads(line) for line in Path("still/metrics.jsonl").read_text().splitlines()]
    # The weights hardly move, so other losses are other negative samples.
    assert len({round(record["train_loss"], 4) for record in records}) == 3


def test_every_block_has_its_own_random_draws(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[int] = []
    real = training.stream_key
    monkeypatch.setattr(
        training, "stream_key", lambda *given: keys.append(real(*given)) or keys[-1]
    )
    monkeypatch.setattr(dataset, "BLOCK", 50)
    train(TrainConfig(data="data", **NEGATIVE), RunOptions(out="run", quiet=True))
    assert len(keys) > 4 and len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--negatives", 9), "--negatives has no effect with --objective softmax"),
        (("--halve-every", 3), "--halve-every has no effect with --schedule constant"),
        (("--twin-weight", 0.4), "--twin-weight has no effect without --twin"),
        (("--subword-min", 2), "--subword-min has no effect without --subword-max"),
        (("--epochs", 3, "--minutes", 1), "--epochs has no effect with --minutes 1.0"),
        (("--architecture", "skipgram", "--cbow-gradient", "word2vec"), "--cbow-gradient has no"),
    ],
)
def test_flag_that_would_be_ignored_is_refused(
    words: tuple[object, ...], message: str, cbow: Caller, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a b\n")
    code, _, error = cbow("train", "--data", "a.txt", "--out", "run", *words)
    assert code == 2
    assert message in error
