from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from esim import train
from esim.commands.report import write_page
from esim.config import TrainConfig
from esim.data import sample
from esim.model.trained import load_run
from shared.command.options import RunOptions
from shared.errors import UserError
from shared.interrupt import Interrupted
from shared.runs.run_directory import RunDirectory
from shared.testing import records_of

CONFIG = TrainConfig(
    device="cpu", threads=1, embedding_size=16, hidden_size=16, steps=24, evaluate_every=10,
    log_every=10, learning_rate=0.01,
)  # fmt: skip


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_run(run).model.state_dict()


@pytest.mark.parametrize(
    "changes",
    [
        {
            "precision": "bf16",
            "matches": True,
            "relations": True,
            "vectors": "train",
            "ema_decay": 0.9,
        },
        pytest.param(
            {"batch_axis": True, "relu": False, "schedule": "plateau", "optimizer": "adamw"},
            marks=pytest.mark.reliability,
        ),
    ],
    ids=("bf16", "coursework"),
)
def test_killed_mid_epoch_and_resumed_is_bit_identical(
    changes: dict[str, Any], tmp_path: Path, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, data=str(sample_folder), **changes)
    train.train(config, RunOptions(out=str(tmp_path / "whole"), quiet=True))

    real, calls = train.loss_of, 0

    def loss_then_signal(*inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 15:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*inputs)

    monkeypatch.setattr(train, "loss_of", loss_then_signal)
    out = RunOptions(out=str(tmp_path / "torn"), quiet=True, resume=True)
    with pytest.raises(Interrupted, match="--resume"):
        train.train(config, out)
    assert not (tmp_path / "torn" / "summary.json").exists()
    train.train(config, out)
    whole, torn = weights_of(tmp_path / "whole"), weights_of(tmp_path / "torn")
    assert whole.keys() == torn.keys()
    assert all(torch.equal(whole[name], torn[name]) for name in whole)
    assert records_of(tmp_path / "whole") == records_of(tmp_path / "torn")


def test_training_reaches_what_the_sample_promises(tmp_path: Path, sample_folder: Path) -> None:
    config = replace(
        CONFIG, data=str(sample_folder), embedding_size=32, hidden_size=32, steps=None, epochs=8, evaluate_every=0,
        dropout=0.0, input_dropout=0.0, matches=True, vectors="train", schedule="linear", warmup=0.1,
    )  # fmt: skip
    out = train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    assert out is not None
    summary = json.loads((out / "summary.json").read_text())
    low, high = sample.EXPECTED_ACCURACY
    assert low < summary["metrics"]["test_accuracy"] <= high + 0.01
    assert summary["metrics"]["valid_accuracy"] > low
    page = write_page(RunDirectory.read(out, task="esim")).read_text()
    assert "naive Bayes" in page and "Calibration" in page


def test_checkpoint_keeps_vocabulary_and_scores_come_back(
    small_run: Path, sample_folder: Path
) -> None:
    from esim.data.dataset import load_split
    from esim.measure import accuracy, score_pairs

    trained = load_run(small_run)
    _, pairs = load_split(str(sample_folder), "dev", trained.vocabulary, trained.config)
    summary = json.loads((small_run / "summary.json").read_text())
    found = accuracy(score_pairs(trained.model, pairs), pairs.labels)
    assert found == pytest.approx(summary["metrics"]["valid_accuracy"], abs=1e-9)


def test_vector_file_decides_the_size_and_the_run_can_be_read_again(
    tmp_path: Path, sample_folder: Path
) -> None:
    (tmp_path / "v.txt").write_text("dog 1 2 3\ncat 4 5 6\n")
    config = replace(
        CONFIG, data=str(sample_folder), vectors=str(tmp_path / "v.txt"), frozen=True, steps=1
    )
    out = RunOptions(out=str(tmp_path / "run"), quiet=True)
    train.train(config, out)
    trained = load_run(tmp_path / "run")
    weight = trained.model.encoding.embedding.weight
    assert weight[trained.vocabulary.id("cat")].tolist() == [4, 5, 6]
    train.train(config, replace(out, resume=True))  # the same command again: the run has ended


def test_word_vectors_are_updated_by_rows_and_all_else_by_one_optimizer() -> None:
    from esim.model.esim import Esim

    model = Esim(CONFIG, 30)
    dense, rows = train.make_optimizers(CONFIG, model)
    assert isinstance(rows, torch.optim.SparseAdam)
    held = [id(w) for o in (dense, rows) for group in o.param_groups for w in group["params"]]
    assert sorted(held) == sorted(id(w) for w in model.parameters())
    assert len(train.make_optimizers(CONFIG, Esim(replace(CONFIG, frozen=True), 30))) == 1


def test_muon_has_the_matrices_of_all_layers_but_the_last() -> None:
    from esim.model.esim import Esim

    config = replace(CONFIG, optimizer="muon", muon_learning_rate=0.03, weight_decay=0.2)
    model = Esim(config, 30)
    dense, muon, rows = train.make_optimizers(config, model)
    taken = {id(weight) for weight in muon.param_groups[0]["params"]}
    names = {name for name, weight in model.named_parameters() if id(weight) in taken}
    assert {"composition.projection.weight", "classifier.layers.1.weight"} < names
    lstms = {name for name in names if ".lstm.weight_" in name}
    assert len(lstms) == 8  # two layers, two directions, of input and of state
    assert len(names) == 10  # not the last layer
    assert [muon.defaults[name] for name in ("lr", "weight_decay", "rows")] == [
        0.03,
        0.2,
        config.hidden_size,
    ]
    assert isinstance(dense, torch.optim.AdamW) and isinstance(rows, torch.optim.SparseAdam)
    counted = sum(len(one.param_groups[0]["params"]) for one in (dense, muon, rows))
    assert counted == len(list(model.parameters()))


def test_optimizers_have_the_settings_of_the_configuration() -> None:
    from esim.model.esim import Esim

    config = replace(CONFIG, optimizer="adamw", learning_rate=0.03, beta2=0.95, weight_decay=0.2)
    dense, rows = train.make_optimizers(config, Esim(config, 30))
    assert isinstance(dense, torch.optim.AdamW)
    groups = [dense.param_groups[0], rows.param_groups[0]]
    assert [(group["lr"], group["betas"]) for group in groups] == [(0.03, (0.9, 0.95))] * 2
    assert groups[0]["weight_decay"] == 0.2


def test_run_resumed_on_other_pairs_is_refused(tmp_path: Path, sample_folder: Path) -> None:
    config = replace(CONFIG, data=str(sample_folder), steps=3)
    train.train(config, RunOptions(out=str(tmp_path / "run"), quiet=True))
    (tmp_path / "run" / "summary.json").unlink()
    other = tmp_path / "other"
    other.mkdir()
    for name in ("train", "dev"):
        lines = (sample_folder / f"snli_1.0_{name}.jsonl").read_text().splitlines()[:200]
        (other / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="was trained on other data"):
        train.train(
            replace(config, data=str(other)),
            RunOptions(out=str(tmp_path / "run"), resume=True, quiet=True),
        )


@pytest.mark.reliability
@pytest.mark.skipif(sys.platform == "win32", reason="gloo needs a POSIX system")
def test_two_processes_train_like_one(tmp_path: Path, sample_folder: Path) -> None:
    config = replace(
        CONFIG, data=str(sample_folder), steps=8, log_every=8, evaluate_every=0, dropout=0.0, input_dropout=0.0,
    )  # fmt: skip
    one = train.train(config, RunOptions(out=str(tmp_path / "one"), quiet=True))
    assert one is not None
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    settings = ["train", "--config", one / "config.yaml", "--out", tmp_path / "two", "--quiet"]
    done = subprocess.run(
        [*launcher, "-m", "esim", *map(str, settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    for a, b in zip(records_of(one), records_of(tmp_path / "two"), strict=True):
        assert b == pytest.approx(a, abs=1e-4)
