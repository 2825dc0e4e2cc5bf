from __future__ import annotations

import os
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from shared.errors import UserError
from shared.interrupt import StopRequest
from shared.torch.config import LoopConfig
from shared.torch.device import (
    choose_algorithms,
    choose_device,
    choose_precision,
    make_accelerator,
    random_states,
    require_address,
    require_compiler,
    seed_everything,
    set_random_states,
    to_device,
)
from shared.torch.evaluation import Totals, evaluating
from shared.torch.gradients import SparseExchange, scale_and_clip
from shared.torch.meter import Meter


def draws() -> tuple:
    return random.random(), np.random.rand(), torch.rand(3).tolist(), random.gauss(0, 1)


def test_random_states_come_back_also_through_a_file_read_without_unpickling(tmp_path):
    seed_everything(3, 1)
    np.random.randn()  # leaves a second number waiting
    random.gauss(0, 1)
    torch.save(random_states(), tmp_path / "states.pt")
    expected = draws()
    seed_everything(4)
    set_random_states(torch.load(tmp_path / "states.pt", weights_only=True))
    assert draws() == expected


def test_seeds_of_processes_differ_and_repeat():
    seed_everything(3, 0)
    first = draws()
    seed_everything(3, 1)
    assert draws() != first
    seed_everything(3, 0)
    assert draws() == first


def test_fp16_is_refused_on_a_cpu():
    with pytest.raises(UserError, match=r"fp16.*LSTM.*bf16 or float32"):
        make_accelerator(LoopConfig(device="cpu", precision="fp16"))
    with pytest.raises(UserError, match="loss scaling"):
        choose_precision("fp16", torch.device("cuda"))


def test_arrays_and_plain_values_stay_when_tensors_move():
    lengths = np.array([2, 1])
    moved = to_device({"ids": torch.ones(2), "more": (lengths, 3, ["a"])}, torch.device("meta"))
    assert moved["ids"].device.type == "meta"
    assert moved["more"][0] is lengths and moved["more"][1:] == (3, ["a"])


def test_device_that_is_not_there_is_a_users_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="--device is cuda.*sees only"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("WORLD_SIZE", "MASTER_ADDR, MASTER_PORT"),
        ("OMPI_COMM_WORLD_SIZE", "MASTER_ADDR, MASTER_PORT, WORLD_SIZE"),
        ("PMI_SIZE", "MASTER_ADDR, MASTER_PORT, WORLD_SIZE"),
    ],
)
def test_processes_without_an_address_are_a_users_error(name, missing, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv(name, "2")
    with pytest.raises(
        UserError, match=rf"^{name} is 2, but not set: {missing}.*torchrun --nproc-per-node 2"
    ):
        make_accelerator(LoopConfig(device="cpu"))


def test_one_process_needs_no_address():
    assert require_address({}) == require_address({"WORLD_SIZE": "1"}) == 1
    address = {"MASTER_ADDR": "localhost", "MASTER_PORT": "1", "RANK": "1", "WORLD_SIZE": "3"}
    assert require_address(address) == 3


@pytest.fixture
def algorithms():
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.get_float32_matmul_precision(),
    )
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.benchmark = before[1]
    torch.set_float32_matmul_precision(before[2])


@pytest.mark.parametrize("deterministic", [False, True])
def test_algorithms_of_a_gpu_are_fast_or_deterministic(deterministic, algorithms, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "restored after the test")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    choose_algorithms(deterministic=deterministic)
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert torch.backends.cudnn.benchmark != deterministic
    assert torch.get_float32_matmul_precision() == ("highest" if deterministic else "high")
    assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == deterministic


def test_update_reads_no_value_that_a_gpu_would_have_to_be_waited_for():
    """Tensors of the device `meta` have no values: whatever reads one (`item`, `nonzero`, `if tensor`) raises."""
    meta = torch.device("meta")
    model = torch.nn.Linear(4, 3, device=meta)
    loss = model(torch.ones(2, 4, device=meta)).sum()
    loss.backward()
    accelerator = SimpleNamespace(device=meta, is_main_process=True, num_processes=1)
    meter = Meter(accelerator, StopRequest(), 60.0)
    sums = meter.over_processes([{"loss": loss, "count": 2}])
    norm = scale_and_clip(model.parameters(), 1 / sums["count"].float(), 1.0)
    torch.optim.AdamW(model.parameters(), fused=False).step()
    meter.add(1, sums | {"gradient_norm": norm}, 0.1)  # read one update later
    with pytest.raises(NotImplementedError, match="meta"):
        meter.settle()


def test_sums_on_an_apple_gpu_are_no_float64():
    accelerator = SimpleNamespace(device=torch.device("mps"), is_main_process=True, num_processes=1)
    meter = Meter(accelerator, StopRequest(), 60.0)
    assert meter._number(torch.ones((), dtype=torch.bfloat16)).dtype == torch.float32


def test_precision_may_change_within_one_process():
    for precision in ("bf16", "float32"):
        accelerator = make_accelerator(LoopConfig(device="cpu", precision=precision))
        model = accelerator.prepare(torch.nn.Linear(4, 4))
        inside = []
        model.register_forward_hook(lambda *args, seen=inside: seen.append(args[2].dtype))
        output = model(torch.ones(1, 4))
        assert output.dtype == torch.float32
        rounded = output.detach() != torch.nn.functional.linear(
            torch.ones(1, 4), model.weight, model.bias
        )
        assert bool(rounded.any()) == (precision == "bf16")


def test_compile_without_a_compiler_is_refused_on_a_cpu(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match="--compile"):
        require_compiler(torch.device("cpu"))
    require_compiler(torch.device("cuda"))


def test_totals_are_weighed_by_count_and_summed_in_double_precision():
    totals = Totals()
    totals.add("loss", torch.tensor(16777216.0), 1)
    for _ in range(3):
        totals.add("loss", torch.tensor(1.0), torch.tensor(2))
    totals.add("accuracy", 3, 4)
    assert totals.sums() == {"loss": (16777219.0, 7.0), "accuracy": (3.0, 4.0)}
    assert totals.means()["loss"] == 16777219.0 / 7


def test_evaluating_switches_dropout_and_gradients_off_and_back():
    model = torch.nn.Dropout(0.5)
    with evaluating(model):
        assert not model.training and not torch.is_grad_enabled()
    assert model.training and torch.is_grad_enabled()


@pytest.mark.parametrize("most", [0.5, 1e9])
def test_clipping_equals_torchs_for_dense_gradients(most):
    ours, theirs = ([torch.nn.Parameter(torch.zeros(4)) for _ in range(3)] for _ in range(2))
    for a, b in zip(ours[:2], theirs[:2], strict=True):  # the third has no gradient
        a.grad = torch.randn(4)
        b.grad = a.grad.clone() * 0.1
    norm = scale_and_clip(ours, torch.tensor(0.1), most)
    expected = torch.nn.utils.clip_grad_norm_(theirs, most)
    torch.testing.assert_close(norm, expected)
    for a, b in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_sparse_rows_met_twice_are_added_before_the_norm():
    table = torch.nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1, 1, 3])).sum().backward()
    norm = scale_and_clip(table.parameters(), torch.tensor(1.0), 1.0)
    assert norm.item() == pytest.approx((2 * 2**2 + 2 * 1) ** 0.5)
    dense = table.weight.grad.to_dense()
    assert dense.norm().item() == pytest.approx(1.0, rel=1e-4)
    assert torch.equal(dense[0], torch.zeros(2))


@pytest.mark.parametrize(("processes", "ignored"), [(1, []), (2, ["table.weight"])])
def test_sparse_gradients_are_kept_out_of_ddp(processes, ignored):
    model = torch.nn.ModuleDict(
        {"table": torch.nn.Embedding(5, 2, sparse=True), "dense": torch.nn.Embedding(5, 2)}
    )
    SparseExchange(model, processes)
    assert getattr(model, "_ddp_params_and_buffers_to_ignore", []) == ignored
