from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_task import Killed, ToyConfig, everything, is_same, train

from shared.errors import UserError
from shared.interrupt import Interrupted
from shared.runs.checkpoints import Checkpoints
from shared.testing import records_of
from shared.torch.averaging import WeightAverage
from shared.torch.checkpoint import load_weights

STEPS = 18  # 3 epochs of 6
OPTIONS: dict[str, dict] = {
    "float32": {"workers": 0, "precision": "float32"},
    "float32, 2 workers": {"workers": 2, "precision": "float32"},
    "bf16": {"workers": 0, "precision": "bf16"},
    "bf16, 2 workers": {"workers": 2, "precision": "bf16"},
    "all at once": {
        "ema_decay": 0.9,
        "clip_norm": 0.5,
        "accumulation": 2,
        "schedule": "cosine",
        "warmup": 0.2,
        "log_every": 4,
    },
    "plateau and mean": {"schedule": "plateau", "evaluate_every": 2, "asgd_window": 1},
}


def same_config(options: dict) -> ToyConfig:
    return ToyConfig(
        **({"device": "cpu", "epochs": 3, "checkpoint_every": 2, "log_every": 1} | options)
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_run_killed_in_mid_epoch_and_resumed_ends_with_the_same_bits(name, tmp_path):
    config = same_config(OPTIONS[name])
    whole = train(tmp_path / "whole", config)
    expected = everything(whole)
    passes = STEPS // config.accumulation * config.accumulation
    kill_at = int(np.random.default_rng(len(name)).integers(3, passes - 1))
    with pytest.raises(Killed):
        train(tmp_path / "killed", config, kill_at=kill_at)
    resumed = train(tmp_path / "killed", config, resume=True)
    assert is_same(everything(resumed), expected), f"killed at {kill_at}"
    assert records_of(tmp_path / "killed") == records_of(tmp_path / "whole")


def test_run_is_not_resumed_where_the_data_differs(tmp_path):
    config = same_config({})
    with pytest.raises(Killed):
        train(tmp_path / "run", config, kill_at=9, facts={"sha256": "1"})
    with pytest.raises(UserError, match=r"other data \(sha256: 1 -> 2\)"):
        train(tmp_path / "run", config, resume=True, facts={"sha256": "2"})
    train(tmp_path / "run", config, resume=True, facts={"sha256": "1", "name": "moved"})


def test_number_of_workers_changes_nothing(tmp_path):
    alone = everything(train(tmp_path / "0", epochs=1))
    assert is_same(everything(train(tmp_path / "2", epochs=1, workers=2)), alone)


def test_run_killed_by_sigkill_is_resumed_to_the_same_bits(tmp_path):
    config = same_config({})
    expected = everything(train(tmp_path / "whole", config))
    script = (
        "import os, signal, sys, torch; torch.set_num_threads(1); from pathlib import Path; import toy_task as t\n"
        "c = t.ToyConfig(device='cpu', epochs=3, checkpoint_every=2, log_every=1)\n"
        "try: t.train(Path(sys.argv[1]), c, kill_at=9)\n"
        "except t.Killed: os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "killed")], cwd=Path(__file__).parent
    )
    assert done.returncode == -signal.SIGKILL
    assert is_same(everything(train(tmp_path / "killed", config, resume=True)), expected)


def test_sigterm_saves_at_once_says_how_to_go_on_and_resumes_to_the_same_bits(tmp_path):
    config = same_config({"checkpoint_every": 0})
    expected = everything(train(tmp_path / "whole", config))
    with pytest.raises(Interrupted, match=r"step 9 of 18.*--resume") as stopped:
        train(tmp_path / "stopped", config, signal_at=8)
    assert stopped.value.signal_number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert is_same(everything(train(tmp_path / "stopped", config, resume=True)), expected)


def test_checkpoint_is_written_by_time_without_changing_the_run(tmp_path):
    expected = everything(train(tmp_path / "a", epochs=1))
    timed = train(tmp_path / "b", epochs=1, checkpoint_seconds=1e-9)
    assert is_same(everything(timed), expected)
    assert len(list((tmp_path / "b" / "checkpoints").glob("step-*"))) == 2


def test_finished_run_is_not_trained_further(tmp_path):
    done = train(tmp_path / "run", epochs=1)
    again = train(tmp_path / "run", epochs=1, resume=True)
    assert is_same(everything(again), everything(done))
    assert again.outcome.steps == 6


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_accumulation_equals_a_larger_batch_where_batches_are_uneven(clip_norm, tmp_path):
    common = {"dropout": 0.0, "by_length": False, "epochs": 3, "clip_norm": clip_norm}
    large = train(tmp_path / "large", batch_size=12, **common)
    small = train(tmp_path / "small", batch_size=4, accumulation=3, **common)
    assert large.outcome.steps == small.outcome.steps == 9
    for name, value in large.model.state_dict().items():
        torch.testing.assert_close(small.model.state_dict()[name], value, atol=1e-5, rtol=1e-4)


def test_gradient_is_that_of_the_mean_over_all_terms_not_of_the_mean_of_means(tmp_path):
    # 9 examples by length in batches of 6: one update from a batch of 6 and one of 3.
    sgd = lambda m: [torch.optim.SGD(m.parameters(), lr=1.0)]  # noqa: E731
    common = {"dropout": 0.0, "examples": 9, "steps": 1, "make_optimizers": sgd}
    whole = train(tmp_path / "whole", batch_size=9, **common)
    parts = train(tmp_path / "parts", batch_size=6, accumulation=2, **common)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value)


def test_clipping_bounds_the_update_of_sgd(tmp_path):
    sgd = lambda m: [torch.optim.SGD(m.parameters(), lr=1.0)]  # noqa: E731
    start = train(tmp_path / "0", steps=1, learning_rate=1e-30).model.state_dict()
    end = train(tmp_path / "1", steps=1, clip_norm=0.01, make_optimizers=sgd).model.state_dict()
    names = [n for n in start if n != "words.weight"]  # tied: the same tensor a second time
    moved = torch.cat([(end[n] - start[n]).flatten() for n in names]).norm()
    assert moved == pytest.approx(0.01, rel=1e-3)
    assert records_of(tmp_path / "1")[0]["train_gradient_norm"] > 0.01
    plain = train(tmp_path / "2", steps=1, make_optimizers=sgd).model.state_dict()
    most = train(tmp_path / "3", steps=1, clip_norm=1e3, make_optimizers=sgd).model.state_dict()
    for name, weight in plain.items():  # gradients below the norm stay as they are
        torch.testing.assert_close(most[name], weight, rtol=1e-5, atol=1e-6)


def test_rate_factor_multiplies_the_learning_rate_of_its_step_only(tmp_path):
    def sgd(model):
        return [torch.optim.SGD(model.parameters(), lr=0.1)]

    asked = []

    def factor(epoch: int, step: int) -> float:
        asked.append((epoch, step))
        return (1.0, 0.25)[epoch] + step

    config = ToyConfig(device="cpu", epochs=2, log_every=1, dropout=0.0)
    train(tmp_path / "run", config, make_optimizers=sgd, rate_factor=factor)
    rates = [r["learning_rate"] for r in records_of(tmp_path / "run") if "learning_rate" in r]
    assert asked == [(epoch, step) for epoch in (0, 1) for step in range(6)]
    assert rates == pytest.approx([0.1 * (first + s) for first in (1, 0.25) for s in range(6)])


@pytest.mark.parametrize("highest", [False, True])
def test_plateau_goes_by_the_direction_of_the_metric(highest, tmp_path):
    config = ToyConfig(
        device="cpu", schedule="plateau", decay_factor=0.5, evaluate_every=1, log_every=1, epochs=1
    )
    run = train(tmp_path / "run", config, highest=highest)
    history = list(run.outcome.history)
    best = [max(history[: n + 1]) if highest else min(history[: n + 1]) for n in range(5)]
    cuts = [0, *(sum(best[n] == best[n - 1] for n in range(1, k + 1)) for k in range(5))]
    rates = [r["learning_rate"] for r in records_of(tmp_path / "run") if "learning_rate" in r]
    assert rates == pytest.approx([config.learning_rate * 0.5**n for n in cuts])
    assert cuts[-1] > 0


def test_several_optimizers_and_sparse_gradients(tmp_path):
    def make(model):
        model.words.weight = torch.nn.Parameter(model.words.weight.detach().clone())  # untied
        model.embedding.sparse = True
        rest = [p for n, p in model.named_parameters() if not n.startswith("embedding")]
        return [
            torch.optim.SparseAdam(list(model.embedding.parameters()), lr=0.05),
            torch.optim.AdamW(rest, lr=0.01),
        ]

    config = same_config({"clip_norm": 1.0, "schedule": "linear"})
    whole = everything(train(tmp_path / "a", config, make_optimizers=make))
    with pytest.raises(Killed):
        train(tmp_path / "b", config, make_optimizers=make, kill_at=9)
    resumed = train(tmp_path / "b", config, make_optimizers=make, resume=True)
    assert is_same(everything(resumed), whole)
    rates = [o.param_groups[0]["lr"] for o in resumed.training.optimizers]
    assert rates == pytest.approx([0.05 / STEPS, 0.01 / STEPS])


def test_average_is_evaluated_and_kept_and_training_goes_on_from_the_raw_weights(tmp_path):
    with_average = train(tmp_path / "ema", epochs=2, ema_decay=0.5)
    without = train(tmp_path / "plain", epochs=2)
    assert is_same(with_average.model.state_dict(), without.model.state_dict())
    assert with_average.outcome.history != without.outcome.history
    last = Checkpoints(tmp_path / "ema" / "checkpoints").last()
    kept = type(with_average.model)(0.0)
    load_weights(last.folder, kept)
    average = with_average.training.average.state_dict()
    assert torch.equal(kept.head.weight, average["head.weight"])
    assert not torch.equal(kept.head.weight, with_average.model.head.weight)
    assert kept.words.weight is kept.embedding.weight


def test_moving_average_and_mean_follow_their_formulas():
    layer = torch.nn.Linear(1, 1, bias=False)
    values = [1.0, 5.0, 2.0, 8.0]
    layer.weight.data.fill_(values[0])
    moving, mean = WeightAverage(layer, 0.27), WeightAverage(layer, None)
    expected = values[0]
    for number, value in enumerate(values[1:], start=1):
        layer.weight.data.fill_(value)
        moving.update()
        mean.update()
        decay = min(0.27, (1 + number) / (10 + number))  # 0.18 and 0.25, then 0.27
        expected = decay * expected + (1 - decay) * value
    assert float(moving.state_dict()["weight"]) == pytest.approx(expected)
    assert float(mean.state_dict()["weight"]) == pytest.approx(np.mean(values))
    with mean.applied():
        assert layer.weight.item() == pytest.approx(np.mean(values))
    assert layer.weight.item() == 8.0


def test_batch_norm_statistics_are_averaged_and_counts_are_left_alone():
    norm = torch.nn.BatchNorm1d(2)
    average = WeightAverage(norm, 0.0)
    norm(torch.randn(5, 2))
    average.update()
    assert "num_batches_tracked" not in average.state_dict()
    assert torch.equal(average.state_dict()["running_mean"], norm.running_mean)


def test_mean_of_the_weights_starts_when_evaluations_get_worse(tmp_path):
    run = train(tmp_path / "a", evaluate_every=1, asgd_window=2, learning_rate=0.3, epochs=3)
    log = (tmp_path / "a" / "log.txt").read_text()
    assert log.count("averaging of the weights starts here") == 1
    first = next(line for line in log.splitlines() if "averaging" in line)
    step = int(first.split("step ")[1].split("/")[0])
    history = run.outcome.history
    worse = [n for n in range(3, len(history)) if history[n] > min(history[: n - 2])]
    assert step == worse[0] + 1
    assert run.training.average.updates == STEPS - step


def test_early_stopping_waits_for_patience_and_leaves_the_best_checkpoint(tmp_path):
    run = train(tmp_path / "a", epochs=50, patience=2, learning_rate=0.5)
    history = list(run.outcome.history)
    assert run.outcome.steps < run.training.plan.total_steps
    assert history.index(min(history)) == len(history) - 3
    assert run.outcome.best == min(history)
    best = Checkpoints(tmp_path / "a" / "checkpoints").best(highest=False)
    assert best.metric == min(history)
    assert best.facts["position"]["epoch"] == len(history) - 2


def test_best_last_and_named_epochs_are_kept_with_the_tasks_own_files(tmp_path):
    train(tmp_path / "a", epochs=4, checkpoint_epochs=(1, 3), checkpoint_every=1)
    folder = tmp_path / "a" / "checkpoints"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["best", "epoch-0001", "epoch-0003", "step-00000023", "step-00000024"]
    assert Checkpoints(folder).last().step == 24
    assert all((folder / name / "vocab.txt").is_file() for name in names)


def test_loss_that_is_not_finite_stops_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"^Step 9: the loss is nan") as stopped:
        train(tmp_path / "a", epochs=3, nan_at=8, checkpoint_every=1, log_every=100)
    assert "\n" not in str(stopped.value)
    last = Checkpoints(tmp_path / "a" / "checkpoints").last()
    assert last.step == 8
    model = type(train(tmp_path / "b", steps=1).model)(0.0)
    load_weights(last.folder, model)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_any_figure_of_an_evaluation_that_is_not_finite_stops_training(tmp_path):
    """A model may have an accuracy and no loss: its scores are NaN."""
    with pytest.raises(UserError, match=r"^Step \d+: valid_other is nan, so training stops"):
        train(tmp_path / "a", epochs=1, figures={"valid_other": float("nan")})


def test_scalars_are_in_tensorboard_once_also_after_a_resume(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = same_config({})
    with pytest.raises(Killed):
        train(tmp_path / "a", config, kill_at=9)
    train(tmp_path / "a", config, resume=True)
    events = EventAccumulator(str(tmp_path / "a" / "tensorboard")).Reload()
    written = {r["step"]: r["train_loss"] for r in records_of(tmp_path / "a") if "train_loss" in r}
    read = [(e.step, e.value) for e in events.Scalars("train_loss")]
    assert [step for step, _ in read] == list(range(1, STEPS + 1))
    assert dict(read) == pytest.approx(written, rel=1e-6)
    assert [e.step for e in events.Scalars("valid_loss")] == [6, 12, 18]


def test_other_settings_are_refused_on_resume_but_those_without_effect_are_not(tmp_path):
    train(tmp_path / "a", epochs=1)
    with pytest.raises(UserError, match="--learning-rate"):
        train(tmp_path / "a", epochs=1, learning_rate=0.1, resume=True)
    train(tmp_path / "a", epochs=1, workers=2, log_every=50, resume=True)


def test_profiler_leaves_a_trace_and_a_table(tmp_path):
    train(tmp_path / "a", epochs=2, profile_steps=2)
    assert "aten::" in (tmp_path / "a" / "profile.txt").read_text()
    assert (tmp_path / "a" / "profile.json").stat().st_size > 1000


def test_epoch_without_a_whole_update_is_refused(tmp_path):
    with pytest.raises(UserError, match="--accumulation 7 is more than the batches of an epoch, 6"):
        train(tmp_path / "a", accumulation=7)


def test_settings_out_of_range_are_all_named_at_once():
    with pytest.raises(UserError) as refused:
        ToyConfig(epochs=0, warmup=1.0, clip_norm=0.0, checkpoint_epochs=(0,))
    for name in ("--epochs", "--warmup", "--clip-norm", "--checkpoint-epochs"):
        assert name in str(refused.value)


def test_time_without_end_is_refused():
    with pytest.raises(UserError, match="--minutes is inf, expected a number > 0"):
        ToyConfig(minutes=float("inf"))


def test_seed_that_other_libraries_refuse_is_refused():
    with pytest.raises(UserError, match="--seed is 4294967296, expected 0 to 4294967295"):
        ToyConfig(seed=1 << 32)
