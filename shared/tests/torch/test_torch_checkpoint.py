from __future__ import annotations

import json
import os
import re
import resource
import signal
from pathlib import Path

import pytest
import torch
from toy_task import Toy, everything, is_same, train

from shared.errors import UserError
from shared.files import sha256_of
from shared.runs.checkpoints import Checkpoints
from shared.testing import records_of
from shared.torch.checkpoint import load_tensors, load_weights


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


def put(folder: Path, name: str, value: object) -> None:
    """Replace a checkpoint's file and make the manifest agree, as an attacker would."""
    torch.save(value, folder / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = sha256_of(folder / name)
    del manifest["sha256_of_manifest"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", ["training.pt", "process-0.pt"])
def test_pickle_payload_is_refused_and_not_executed(name, tmp_path):
    train(tmp_path / "a", epochs=1)
    for folder in (tmp_path / "a" / "checkpoints").iterdir():
        put(folder, name, {"optimizers": Payload(tmp_path / "executed")})
    with pytest.raises(
        UserError, match=rf"{name}: is damaged or holds more than tensors"
    ) as refused:
        train(tmp_path / "a", epochs=1, resume=True)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "executed").exists()


def test_pickle_in_place_of_the_weights_is_refused_and_not_executed(tmp_path):
    torch.save(Payload(tmp_path / "executed"), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="is damaged"):
        load_weights(tmp_path, Toy(0.0))
    assert not (tmp_path / "executed").exists()


def test_truncated_checkpoint_is_named_and_the_one_before_it_gives_the_same_run(tmp_path):
    expected = everything(train(tmp_path / "a", epochs=3, checkpoint_every=5))
    for name in ("best", "step-00000018"):
        path = tmp_path / "a" / "checkpoints" / name / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-7])
    again = train(tmp_path / "a", epochs=3, checkpoint_every=5, resume=True)
    log = (tmp_path / "a" / "log.txt").read_text()
    assert "step-00000018: is damaged (model.safetensors has changed" in log
    assert "step-00000015: continuing from step 15" in log
    assert is_same(everything(again), expected)
    assert [r["step"] for r in records_of(tmp_path / "a") if "train_loss" in r] == list(
        range(1, 19)
    )


def test_weights_that_do_not_fit_are_named_with_their_shapes(tmp_path):
    train(tmp_path / "a", steps=1)
    folder = Checkpoints(tmp_path / "a" / "checkpoints").last().folder
    other = Toy(0.0)
    other.head = torch.nn.Linear(30, 5)
    with pytest.raises(UserError, match=r"head\.\w+.*does not fit|does not fit.*head\.") as refused:
        load_weights(folder, other)
    assert "\n" not in str(refused.value)


def test_missing_and_cut_tensor_files_are_users_errors(tmp_path):
    with pytest.raises(UserError, match="is missing"):
        load_tensors(tmp_path / "none.pt")
    torch.save({"a": torch.ones(100)}, tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:200])
    with pytest.raises(UserError, match="is damaged"):
        load_tensors(tmp_path / "cut.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(UserError, match="is damaged"):
        load_tensors(tmp_path / "empty.pt")


def test_damage_that_torch_only_asserts_against_is_a_users_error(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pt").read_bytes()
    key = re.search(rb"\d{8,}", content)[0]  # names the tensor's numbers, twice
    (tmp_path / "a.pt").write_bytes(content.replace(key, key[::-1], 1))
    with pytest.raises(UserError, match="is damaged"):
        load_tensors(tmp_path / "a.pt")


def test_full_disk_loses_nothing_and_says_so(tmp_path):
    train(tmp_path / "a", epochs=2, checkpoint_every=6, log_every=100)
    before = Checkpoints(tmp_path / "a" / "checkpoints").last()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (3000, limits[1])
    )  # weights need more, a log line less
    try:
        with pytest.raises((UserError, OSError)) as refused:
            train(tmp_path / "b", epochs=2, checkpoint_every=6, log_every=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(refused.value)
    left = tmp_path / "b" / "checkpoints"
    assert not left.exists() or list(left.iterdir()) == []
    assert Checkpoints(tmp_path / "a" / "checkpoints").last() == before


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    def poisoned(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        updates = []

        def poison(*_):
            updates.append(1)
            if len(updates) == 6:
                model.head.bias.data.fill_(float("inf"))

        optimizer.register_step_post_hook(poison)
        return [optimizer]

    options = {"checkpoint_every": 6, "log_every": 50, "evaluate_every": 50}
    with pytest.raises(UserError, match="Step 6: a weight is not finite"):
        train(tmp_path / "a", epochs=2, make_optimizers=poisoned, **options)
    assert not list((tmp_path / "a").glob("checkpoints/step*"))


def test_another_number_of_processes_is_refused_on_resume(tmp_path):
    train(tmp_path / "a", steps=2)
    for folder in (tmp_path / "a" / "checkpoints").iterdir():
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["facts"]["processes"] = 2
        del manifest["sha256_of_manifest"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"written by 2 process.*there are 1"):
        train(tmp_path / "a", steps=2, resume=True)
