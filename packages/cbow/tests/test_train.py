from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

import numpy as np
import pytest

from cbow import schedule
from cbow.config import TrainConfig
from cbow.data import dataset as data
from cbow.model.vectors import WordVectors, joined
from cbow.schedule import learning_rate
from shared.command import clock
from shared.errors import UserError

pytestmark = pytest.mark.usefixtures("no_page")

Caller = Callable[..., tuple[int, str, str]]
WholeOf = Callable[[tuple[object, ...]], tuple[list[str], Path]]


def vectors(run: Path) -> np.ndarray:
    return WordVectors.load(run / "vectors.safetensors").matrix


def losses(run: Path) -> list[float]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


def test_run_holds_what_its_readers_need(small_run: Path) -> None:
    summary = json.loads((small_run / "summary.json").read_text())
    assert summary["task"] == "cbow"
    assert summary["metrics"]["train_loss"] == losses(small_run)[-1]
    assert summary["metrics"]["recall_at_40"] > 0.5
    assert summary["data"]["tokens"] == 24_000
    assert len(losses(small_run)) == summary["epochs"] == 4
    names = {path.name for path in small_run.iterdir()}
    assert {"config.yaml", "environment.json", "log.txt", "vocab.txt", "synonyms.json"} <= names
    assert {"report.html", "loss.png", "recall.png"} <= names
    assert "corpus.ids" not in names


def test_saved_config_alone_runs_it_again(cbow: Caller, small_run: Path, tmp_path: Path) -> None:
    code, _, _ = cbow("train", "--config", small_run / "config.yaml", "--out", "again", "--quiet")
    assert code == 0
    assert vectors(tmp_path / "again").tobytes() == vectors(small_run).tobytes()


@pytest.mark.long
def test_other_seed_is_another_run(cbow: Caller, small_run: Path, tmp_path: Path) -> None:
    config = small_run / "config.yaml"
    assert cbow("train", "--config", config, "--seed", 1, "--out", "other", "--quiet")[0] == 0
    assert vectors(tmp_path / "other").tobytes() != vectors(small_run).tobytes()


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        ("--objective", "softmax", "--learning-rate", "0.1"),
        ("--objective", "negative", "--learning-rate", "0.05", "--subsample", "1e-3"),
        ("--objective", "hierarchical", "--learning-rate", "0.05"),
        ("--architecture", "skipgram", "--objective", "negative", "--shrink-window"),
        ("--objective", "negative", "--positions", "--vectors", "joined"),
        ("--objective", "hierarchical", "--positions", "--subword-max", 5),
    ],
    ids=["softmax", "negative", "hierarchical", "skipgram", "positions", "subwords"],
)
def test_every_objective_learns(
    settings: tuple[str, ...], cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    initial = ("--initial", "word2vec") if "softmax" not in settings else ()
    words = (*settings, *initial, "--schedule", "linear", "--epochs", 8, "--quiet")
    code, _, error = cbow("train", "--data", sample_folder, *words, "--out", out)
    assert (code, error) == (0, "")
    found = losses(out)
    assert found[-1] < found[0]
    assert json.loads((out / "summary.json").read_text())["metrics"]["recall_at_40"] > 0.8


@pytest.mark.long
def test_threads_learn_as_well_as_one(cbow: Caller, sample_folder: Path, tmp_path: Path) -> None:
    words = ("--objective", "negative", "--initial", "word2vec", "--learning-rate", "0.05")
    words += ("--epochs", 8, "--threads", 2, "--quiet")  # type: ignore[assignment]
    assert cbow("train", "--data", sample_folder, *words, "--out", tmp_path / "run")[0] == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"]["recall_at_40"] > 0.8
    samples = [
        json.loads(x)["samples"] for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    ]
    assert samples == [24_000] * 8  # every position once, whatever thread takes it


SLOW = ("--epochs", 3, "--dimension", 100, "--checkpoint-seconds", 0.05, "--seed", 3)
LOGISTIC = ("--epochs", 20, "--objective", "negative", "--negatives", 20, "--subsample", "1e-2",
            "--schedule", "linear", "--dimension", 100, "--checkpoint-seconds", 0.05)  # fmt: skip
RICH = ("--objective", "negative", "--initial", "word2vec", "--learning-rate", "0.05", "--schedule",
        "linear", "--positions", "--subword-max", 4, "--vectors", "joined", "--window", 2)  # fmt: skip
TWIN = (*RICH, "--twin", "--epochs", 12, "--dimension", 100, "--negatives", 20,
        "--checkpoint-seconds", 0.05)  # fmt: skip


@pytest.fixture(scope="module")
def whole_of(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> WholeOf:
    """Return a function: options -> a training command without its --out, and the run it made without a stop."""

    @functools.cache
    def whole_of(options: tuple[object, ...]) -> tuple[list[str], Path]:
        out = tmp_path_factory.mktemp("whole") / "run"
        words = [sys.executable, "-m", "cbow", "train", "--data", sample_folder, *options]
        command = [str(word) for word in words]
        subprocess.run([*command, "--out", out, "--quiet"], check=True)
        return command, out

    return whole_of


RELIABILITY = pytest.mark.reliability


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "number"),
    [
        pytest.param(LOGISTIC, signal.SIGKILL, id="negative-killed"),
        pytest.param(SLOW, signal.SIGKILL, id="softmax-killed", marks=RELIABILITY),
        # What answers a signal that can be answered is the same for every objective.
        pytest.param(SLOW, signal.SIGTERM, id="softmax-terminated", marks=RELIABILITY),
        pytest.param(TWIN, signal.SIGKILL, id="twin-killed", marks=RELIABILITY),
        pytest.param(TWIN, signal.SIGINT, id="twin-interrupted", marks=RELIABILITY),
    ],
)
def test_stopped_anywhere_and_resumed_is_bit_identical(
    whole_of: WholeOf, options: tuple[object, ...], number: signal.Signals, tmp_path: Path
) -> None:
    command, uninterrupted = whole_of(options)
    out = tmp_path / "stopped"
    stops = 0
    for _ in range(3):
        before = checkpoints_of(out)
        process = subprocess.Popen(
            [*command, "--out", out, "--resume"], stderr=-1, stdout=-1, text=True
        )
        while process.poll() is None and not checkpoints_of(out) - before:
            time.sleep(0.005)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        stops += process.returncode != 0
        if number == signal.SIGKILL:
            assert process.returncode in (0, -signal.SIGKILL)
        elif process.returncode:
            assert process.returncode == 128 + number
            assert "stopped and saved" in error
            assert f"--out {out} --resume" in error
    assert stops >= 2  # the last may have come to its end first
    subprocess.run([*command, "--out", out, "--resume", "--quiet"], check=True)
    assert vectors(out).tobytes() == vectors(uninterrupted).tobytes()
    assert losses(out) == pytest.approx(losses(uninterrupted), rel=1e-9)  # sums are cut elsewhere


@pytest.mark.reliability
def test_killed_between_the_models_and_in_the_second_is_bit_identical(
    whole_of: WholeOf, tmp_path: Path
) -> None:
    command, uninterrupted = whole_of(TWIN)
    out = tmp_path / "stopped"
    records = [json.loads(x) for x in (uninterrupted / "metrics.jsonl").read_text().splitlines()]
    last = max(record["step"] for record in records if record["model"] == 0)
    kills = 0

    def second_has_begun() -> bool:
        return any(int(name.removeprefix("step-")) > last for name in checkpoints_of(out))

    for reached in ((out / "first-model.safetensors").exists, second_has_begun):
        process = subprocess.Popen([*command, "--out", out, "--resume"], stderr=-1, stdout=-1)
        while process.poll() is None and not reached():
            time.sleep(0.002)
        process.kill()
        process.communicate(timeout=60)
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1  # the last may have come to its end first
    subprocess.run([*command, "--out", out, "--resume", "--quiet"], check=True)
    assert vectors(out).tobytes() == vectors(uninterrupted).tobytes()
    assert losses(out) == pytest.approx(losses(uninterrupted), rel=1e-9)


def checkpoints_of(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").glob("step-*")}


@pytest.mark.long
def test_twin_is_a_run_of_its_own_joined_to_the_first(
    cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("train", "--data", sample_folder, *RICH, "--epochs", 3, "--quiet")
    assert cbow(*words, "--twin", "--twin-weight", "0.5", "--out", "both")[0] == 0
    assert cbow(*words, "--out", "first")[0] == 0
    assert cbow(*words, "--subword-max", 0, "--out", "twin")[0] == 0
    parts = [vectors(tmp_path / "first"), vectors(tmp_path / "twin")]
    np.testing.assert_array_equal(vectors(tmp_path / "both"), joined(parts, [1, 0.5]))

    records = [json.loads(x) for x in (tmp_path / "both/metrics.jsonl").read_text().splitlines()]
    order = [(record["model"], record["epoch"]) for record in records]
    assert order == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert losses(tmp_path / "both") == losses(tmp_path / "first") + losses(tmp_path / "twin")
    summary = json.loads((tmp_path / "both" / "summary.json").read_text())
    assert summary["metrics"]["train_loss"] == losses(tmp_path / "first")[-1]
    assert not list((tmp_path / "both").glob("first-model*"))


def test_epoch_stopped_at_its_very_end_is_resumed_with_a_speed(
    cbow: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def signaled_when_done(work: list[Future], timeout: float) -> object:
        done = wait(work)
        signal.raise_signal(signal.SIGINT)
        return done

    words = ("train", "--data", sample_folder, "--epochs", 1, "--out", "run", "--quiet")
    with monkeypatch.context() as patch:
        patch.setattr("cbow.train.wait", signaled_when_done)
        assert cbow(*words)[0] == 130
    assert cbow(*words, "--resume")[0] == 0
    (record,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(record)["samples_per_second"] > 0


@pytest.mark.long
def test_resume_without_a_run_starts_one(cbow: Caller, sample_folder: Path, tmp_path: Path) -> None:
    words = ("train", "--data", sample_folder, "--epochs", 1, "--out", tmp_path / "run", "--resume")
    assert cbow(*words)[0] == 0
    code, printed, _ = cbow(*words)
    assert code == 0
    assert "has ended already" in printed


@pytest.mark.long
def test_damaged_newest_checkpoint_falls_back_to_the_one_before(
    cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("train", "--data", sample_folder, *SLOW, "--out", tmp_path / "run")
    assert cbow(*words, "--quiet")[0] == 0
    whole = vectors(tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    newest = max((tmp_path / "run" / "checkpoints").glob("step-*"))
    (newest / "weights.safetensors").write_bytes(b"torn")
    code, printed, _ = cbow(*words, "--resume")
    assert code == 0
    assert f"{newest.name}: is damaged" in printed
    assert vectors(tmp_path / "run").tobytes() == whole.tobytes()


@pytest.mark.long
def test_resume_on_other_content_is_refused_and_under_another_name_is_not(
    cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    text = (sample_folder / "treebank.txt").read_text()
    (tmp_path / "a.txt").write_text(text)
    words = ("train", "--epochs", 1, "--out", tmp_path / "run", "--quiet")
    assert cbow(*words, "--data", tmp_path / "a.txt")[0] == 0
    (tmp_path / "run" / "summary.json").unlink()
    (tmp_path / "a.txt").write_text(text + "one more line\n")
    code, _, error = cbow(*words, "--data", tmp_path / "a.txt", "--resume")
    assert code == 2
    assert "with other content" in error
    changed = text.replace("film", "mlif")  # as many bytes
    (tmp_path / "a.txt").write_text(changed)
    assert cbow(*words, "--data", tmp_path / "a.txt", "--resume")[0] == 2
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "b.txt").write_text(text)
    assert cbow(*words, "--data", tmp_path / "moved" / "b.txt", "--resume")[0] == 0


def test_huge_learning_rate_is_stopped_and_named_with_the_last_good_state_kept(
    cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("--learning-rate", "1e30", "--out", tmp_path / "run")
    code, _, error = cbow("train", "--data", sample_folder, *words)
    assert code == 2
    assert error.count("\n") == 1
    assert "the loss is no longer a finite number (epoch 1, learning rate 1e+30)" in error
    (kept,) = (tmp_path / "run" / "checkpoints").glob("step-*")
    assert str(kept) in error
    assert not (tmp_path / "run" / "summary.json").exists()


def test_learning_rate_schedules_are_functions_of_the_place_alone() -> None:
    linear = TrainConfig(schedule="linear", learning_rate=1.0, min_learning_rate=0.0, epochs=4)
    assert learning_rate(linear, 0, 0, 100)[0] == 1.0
    rate, slope = learning_rate(linear, 2, 50, 100)
    assert rate == pytest.approx(1 - 250 / 400)
    assert learning_rate(linear, 3, 0, 100)[0] + 100 * slope == pytest.approx(0.0)
    halve = TrainConfig(schedule="halve", learning_rate=0.1, halve_every=2)
    rates = [learning_rate(halve, epoch, 0, 100)[0] for epoch in range(5)]
    assert rates == [0.1, 0.05, 0.05, 0.025, 0.025]  # before epochs 2 and 4, counted from 1
    assert learning_rate(TrainConfig(), 9, 5, 100) == (0.1, 0.0)


@pytest.mark.long
def test_minutes_fix_a_number_of_epochs_that_is_recorded(
    cbow: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "TIMING_SECONDS", 0.1)
    real = schedule._epoch_seconds
    timed: list[float] = []
    # On a busy machine too, a few epochs fit.
    monkeypatch.setattr(schedule, "_epoch_seconds", lambda *given: timed.append(real(*given)) or 15)
    words = ("train", "--data", sample_folder, "--minutes", "0.6", "--out", tmp_path / "run")
    assert cbow(*words, "--quiet")[0] == 0
    assert len(timed) == 1 and 0 < timed[0] < 60
    saved = (tmp_path / "run" / "config.yaml").read_text()
    epochs = json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"]
    assert f"epochs: {epochs}\n" in saved
    assert "minutes: null" in saved and 1 <= epochs <= 2
    assert (
        cbow(*words, "--resume")[0] == 0
    )  # the same words again do not clash with what was recorded


def test_minutes_with_a_recipe_are_resumed_with_the_epochs_that_were_planned(
    cbow: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "_epoch_seconds", lambda *_: 10.0)
    words = (
        "train",
        "--recipe",
        "baseline",
        "--data",
        sample_folder,
        "--minutes",
        "0.6",
        "--quiet",
    )
    assert cbow(*words, "--out", "run")[0] == 0
    planned = losses(tmp_path / "run")
    assert 1 <= len(planned) <= 3
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert f"0.6 minutes are time for {len(planned)} epochs" in log
    (tmp_path / "run" / "summary.json").unlink()
    code, _, error = cbow(*words, "--out", "run", "--resume")  # the recipe itself has 10 epochs
    assert (code, error) == (0, "")
    assert losses(tmp_path / "run") == planned


@pytest.mark.long
def test_minutes_count_the_start_and_the_page_of_the_command(
    cbow: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "_epoch_seconds", lambda *_: 10.0)
    monkeypatch.setattr(clock, "PAGE_SECONDS", 30.0)
    words = ("train", "--data", sample_folder, "--dimension", 4, "--minutes", "1.1", "--quiet")
    assert cbow(*words, "--out", tmp_path / "run")[0] == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == 3
    monkeypatch.setattr(clock, "PAGE_SECONDS", 60.0)
    code, _, error = cbow(*words, "--out", tmp_path / "none")
    assert code == 2 and "and start, timing and page 1" in error


@pytest.mark.long
def test_minutes_are_shared_by_both_models(
    cbow: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {4: 30.0, 0: 10.0}  # of an epoch with n-grams up to 4, and without
    monkeypatch.setattr(schedule, "_epoch_seconds", lambda config, *_: seconds[config.subword_max])
    words = ("train", "--data", sample_folder, *RICH, "--minutes", "2.2", "--quiet")
    for flags, epochs in (((), 4), (("--twin",), 3)):
        out = tmp_path / f"run{epochs}"
        assert cbow(*words, *flags, "--out", out)[0] == 0
        assert json.loads((out / "summary.json").read_text())["epochs"] == epochs


def test_blocks_do_not_change_what_is_trained(
    cbow: Caller, small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The exact engine draws nothing at random, so cutting the corpus elsewhere must not matter.
    monkeypatch.setattr(data, "BLOCK", 11_000)
    config = small_run / "config.yaml"
    assert cbow("train", "--config", config, "--out", "cut", "--quiet")[0] == 0
    assert vectors(tmp_path / "cut").tobytes() == vectors(small_run).tobytes()


@pytest.mark.long
def test_synonyms_of_another_corpus_are_left_out(
    cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("--data", sample_folder, "--corpus", "debug.txt", "--dimension", 8, "--out", "run")
    code, printed, _ = cbow("train", *words)
    assert code == 0
    assert "none of its pairs are in the vocabulary" in printed
    assert (
        "recall_at_40" not in json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]
    )


def test_subsampling_everything_away_is_named(cbow: Caller, sample_folder: Path) -> None:
    words = ("--objective", "negative", "--subsample", "1e-12", "--out", "run", "--quiet")
    code, _, error = cbow("train", "--data", sample_folder, *words)
    assert code == 2
    assert "leaves no two words in any line" in error


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")
def test_read_only_place_is_named(cbow: Caller, sample_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, error = cbow("train", "--data", sample_folder, "--out", tmp_path / "locked" / "run")
    assert code == 2
    assert "Permission denied" in error


def test_user_errors_are_what_the_library_raises() -> None:
    with pytest.raises(UserError, match="--window is 0, expected >= 1"):
        TrainConfig(window=0)
