"""Every setting of the loop has an effect: a run with it differs from one without, in what it should."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_task import ToyConfig, train

from shared.torch.config import LoopConfig


@dataclass
class Change:
    """What is set, beside what, and where it shows: `weights`, `rates`, `history`, `steps`, `records` or `files`."""

    setting: dict[str, Any]
    shows: str
    beside: dict[str, Any] = field(default_factory=dict)


CHANGES = {
    "seed": Change({"seed": 2}, "weights"),
    "precision": Change({"precision": "bf16"}, "weights"),
    "epochs": Change({"epochs": 1}, "steps"),
    "steps": Change({"steps": 3}, "steps"),
    "accumulation": Change({"accumulation": 2}, "steps"),
    "clip_norm": Change({"clip_norm": 0.01}, "weights"),
    "schedule": Change({"schedule": "linear"}, "rates"),
    "warmup": Change({"warmup": 0.5}, "rates", {"schedule": "cosine"}),
    "final_factor": Change({"final_factor": 0.5}, "rates", {"schedule": "cosine"}),
    "decay_factor": Change({"decay_factor": 0.1}, "rates", {"schedule": "decay"}),
    "decay_epochs": Change({"decay_epochs": 2}, "rates", {"schedule": "decay", "epochs": 3}),
    "ema_decay": Change({"ema_decay": 0.9}, "history"),
    "asgd_window": Change(
        {"asgd_window": 1}, "history", {"evaluate_every": 1, "learning_rate": 0.5}
    ),
    "patience": Change({"patience": 1}, "steps", {"evaluate_every": 1, "learning_rate": 0.5}),
    "evaluate_every": Change({"evaluate_every": 4}, "records"),
    "log_every": Change({"log_every": 5}, "records"),
    "checkpoint_every": Change({"checkpoint_every": 5}, "files"),
    "checkpoint_seconds": Change({"checkpoint_seconds": 1e-9}, "files"),
    "checkpoint_epochs": Change({"checkpoint_epochs": (1,)}, "files"),
    "profile_steps": Change({"profile_steps": 1}, "files"),
}
ELSEWHERE = {
    "recipe": "it names the settings; tests of the packages",
    "device": "test_torch_device.py",
    "threads": "below",
    "workers": "test_torch_loop.py: it must change nothing",
    "compile": "below",
    "deterministic": "test_torch_device.py",
    "minutes": "test_torch_planner.py",
}


def observed(out: Path, **settings: Any) -> dict[str, Any]:
    result = train(out, ToyConfig(**({"device": "cpu", "log_every": 1, "epochs": 2} | settings)))
    lines = (out / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    weights = torch.cat([value.flatten() for value in result.model.state_dict().values()])
    return {
        "weights": weights.tolist(),
        "rates": [r["learning_rate"] for r in records if "learning_rate" in r],
        "history": result.outcome.history,
        "steps": result.outcome.steps,
        "records": [(r["step"], "train_loss" in r) for r in records],
        "files": sorted(
            str(path.relative_to(out)) for path in out.rglob("*") if "tfevents" not in path.name
        ),
    }


def test_every_setting_is_looked_at() -> None:
    names = {entry.name for entry in fields(LoopConfig)}
    assert names == CHANGES.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("name", CHANGES)
def test_setting_shows_where_it_should(name: str, tmp_path: Path) -> None:
    change = CHANGES[name]
    before = observed(tmp_path / "before", **change.beside)
    after = observed(tmp_path / "after", **change.beside, **change.setting)
    assert before[change.shows] != after[change.shows]


def test_threads_and_compile_reach_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: asked.append("compiled"))
    monkeypatch.setattr("shared.torch.loop.require_compiler", lambda device: None)
    train(tmp_path / "a", steps=1, threads=3, compile=True)
    assert asked == [3, "compiled"]
