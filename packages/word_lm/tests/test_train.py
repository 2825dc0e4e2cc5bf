from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from shared.command.options import RunOptions
from shared.errors import UserError
from shared.interrupt import Interrupted
from shared.testing import records_of
from word_lm import train
from word_lm.config import TrainConfig
from word_lm.data import sample
from word_lm.model.trained import load_run

CONFIG = TrainConfig(
    device="cpu", threads=1, embedding_size=24, hidden_size=24, batch_size=16, steps=50, evaluate_every=20,
    log_every=10, learning_rate=0.01, softmax="adaptive", cutoffs=(30, 60),
)  # fmt: skip


LONG = pytest.mark.reliability


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_run(run).model.state_dict()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"precision": "bf16", "tied": True}, id="lstm-bf16"),
        pytest.param({}, id="lstm", marks=LONG),
        pytest.param(
            {"model": "awd_lstm", "weight_dropout": 0.3, "vary_bptt": True, "asgd_window": 1},
            id="awd_lstm",
            marks=LONG,
        ),
        pytest.param(
            {"model": "modern_transformer", "memory": 40, "layers": 2},
            id="modern_transformer",
            marks=LONG,
        ),
        pytest.param(
            {"model": "transformer", "carry": False, "optimizer": "sgd", "schedule": "plateau"},
            id="transformer",
            marks=LONG,
        ),
        pytest.param({"model": "gated_cnn", "workers": 2}, id="gated_cnn", marks=LONG),
    ],
)
def test_killed_mid_epoch_and_resumed_is_bit_identical(
    changes: dict[str, Any], tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, data=str(sample_folder), **changes)
    train.train(config, RunOptions(out=str(tmp_path / "whole"), quiet=True))

    real, calls = train.SegmentLoss.__call__, 0

    def loss_then_signal(self: Any, *inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 33:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, *inputs)

    monkeypatch.setattr(train.SegmentLoss, "__call__", loss_then_signal)
    out = RunOptions(out=str(tmp_path / "torn"), quiet=True, resume=True)
    with pytest.raises(Interrupted, match="--resume"):
        train.train(config, out)
    assert not (tmp_path / "torn" / "summary.json").exists()
    train.train(config, out)
    whole, torn = weights_of(tmp_path / "whole"), weights_of(tmp_path / "torn")
    assert whole.keys() == torn.keys()
    assert all(torch.equal(whole[name], torn[name]) for name in whole)
    assert records_of(tmp_path / "whole") == records_of(tmp_path / "torn")


def test_output_biases_begin_at_the_frequencies_of_the_training_text_alone(
    tmp_path: Path, sample_folder: Path
) -> None:
    changes = {"output_bias": "frequency", "softmax": "full", "steps": 1, "learning_rate": 1e-9}
    config = replace(CONFIG, data=str(sample_folder), **changes)
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    trained = load_run(out)
    words = (sample_folder / "train.txt").read_text().replace("\n", " <eos> ").split()
    counts = torch.tensor([words.count(token) for token in trained.vocabulary.tokens]) + 0.5
    found = trained.model.head.bias.detach().softmax(0)
    torch.testing.assert_close(found, counts / counts.sum(), atol=1e-6, rtol=1e-4)


@pytest.mark.reliability  # the demo trains longer on the sample, and compares
def test_training_reaches_what_the_sample_promises(tmp_path: Path, sample_folder: Path) -> None:
    config = replace(
        CONFIG, data=str(sample_folder), embedding_size=64, hidden_size=64, steps=None, epochs=8,
        evaluate_every=0, softmax="full",
    )  # fmt: skip
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    summary = json.loads((out / "summary.json").read_text())
    low, high = sample.EXPECTED_PERPLEXITY
    assert low < summary["metrics"]["test_ppl"] < high
    assert "batch 10" in summary["metrics"]["protocol"]


def test_state_is_carried_over_segments_and_dropped_at_an_epochs_start(sample_folder: Path) -> None:
    from word_lm.model.build import build_model

    for carry in (True, False):
        config = replace(CONFIG, carry=carry)
        model = build_model(config, 60)
        seen: list[Any] = []

        def wrapped(
            inputs: Any, state: Any, targets: Any, model: Any = model, seen: Any = seen
        ) -> Any:
            seen.append(float(state[0][0].abs().sum()))
            return model(inputs, state, targets)

        loss_of = train.SegmentLoss(config, model, train.CarriedState())
        ids = torch.randint(0, 60, (5, 3))
        for is_first in (True, False, True):
            loss_of(wrapped, {"inputs": ids, "targets": ids, "is_first": is_first})  # type: ignore[arg-type]
        assert seen[0] == seen[2] == 0
        assert (seen[1] > 0) == carry


def test_log_has_a_line_an_epoch_where_several_batches_make_an_update(
    tmp_path: Path, sample_folder: Path
) -> None:
    config = replace(CONFIG, data=str(sample_folder), steps=None, epochs=3, evaluate_every=0)
    config = replace(config, accumulation=10, log_every=100)
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    assert [line["epoch"] for line in records_of(out) if "train_nll" in line] == [1, 2, 3]


def test_minutes_is_what_training_takes(tmp_path: Path, sample_folder: Path) -> None:
    config = replace(CONFIG, data=str(sample_folder), steps=None, minutes=0.1, evaluate_every=0)
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    planned = [record for record in records if "planned_steps" in record]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["steps"] == planned[-1]["planned_steps"] > 10


def test_run_resumed_on_other_text_is_refused(tmp_path: Path, sample_folder: Path) -> None:
    config = replace(CONFIG, data=str(sample_folder), steps=3)
    train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    (tmp_path / "run" / "summary.json").unlink()
    other = tmp_path / "other"
    other.mkdir()
    for name in ("train", "valid", "test"):
        (other / f"{name}.txt").write_text("a b c d e f\n" * 50)
    with pytest.raises(UserError, match="was trained on other data"):
        train.train(
            replace(config, data=str(other)),
            RunOptions(out=str(tmp_path / "run"), resume=True, quiet=True),
        )


def test_vocabulary_that_does_not_fit_the_weights_is_refused(
    tmp_path: Path, small_run: Path
) -> None:
    import hashlib
    import shutil

    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    for folder in (run / "checkpoints").iterdir():
        words = (folder / "vocab.txt").read_text().splitlines()[:-5]
        (folder / "vocab.txt").write_text("\n".join(words) + "\n")
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["sha256"]["vocab.txt"] = hashlib.sha256(
            (folder / "vocab.txt").read_bytes()
        ).hexdigest()
        del manifest["sha256_of_manifest"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="does not fit the model"):
        load_run(run)


def test_model_that_diverges_ends_training_with_one_line(
    tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(
        CONFIG, data=str(sample_folder), model="rnn_tanh", softmax="full", tied=True, optimizer="sgd", learning_rate=20,
        evaluate_every=25,
    )  # fmt: skip
    out = RunOptions(out=str(tmp_path / "run"), quiet=True)
    with pytest.raises(UserError, match="has diverged.* Lower --learning-rate"):
        train.train(config, out)
    # Where it is only the test text that has no finite perplexity, the summary is JSON all the same.
    real = train.evaluate
    monkeypatch.setattr(
        train, "evaluate", lambda *inputs: replace(real(*inputs), perplexity=math.inf)
    )
    monkeypatch.setattr(train, "_valid", lambda *inputs: {"valid_loss": 1.0})
    folder = train.train(
        replace(CONFIG, data=str(sample_folder), steps=2), replace(out, out=str(tmp_path / "other"))
    )
    assert folder is not None
    assert json.loads((folder / "summary.json").read_text())["metrics"]["test_ppl"] is None
