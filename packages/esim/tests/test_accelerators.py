"""What matters on GPUs only, by fake tensors: number formats and copies that would wait for the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import PackedSequence
from torch.utils._python_dispatch import TorchDispatchMode

from esim import measure
from esim.model import bilstm
from esim.model.bilstm import BiLSTM
from esim.model.packing import Packing

LENGTHS = (np.array([3, 1]), np.array([2, 4]))


def test_lstm_computes_in_the_format_that_autocast_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Autocast's own wrapper of cuDNN's layers takes float16, whatever it was asked for."""
    seen: list[Any] = []

    def run(packed: Any, sizes: Any, weights: Any, **settings: Any) -> Any:
        seen.append({tensor.dtype for tensor in (packed, *weights)})
        seen.append(torch.is_autocast_enabled("cuda"))
        return packed

    monkeypatch.setattr(bilstm, "_torch_bilstm", run)
    packing = Packing.of(LENGTHS, (3, 4))
    enabled, dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    torch.set_autocast_enabled("cuda", True)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            BiLSTM(3, 4)(torch.empty(10, 3, device="cuda"), packing)
    finally:
        torch.set_autocast_enabled("cuda", enabled)
        torch.set_autocast_dtype("cuda", dtype)
    assert seen == [{torch.bfloat16}, False]


def test_torchs_kernels_get_the_weights_in_their_order() -> None:
    torch.manual_seed(1)
    packing = Packing.of(LENGTHS, (3, 4))
    layer = BiLSTM(3, 4)
    packed = torch.randn(len(packing.sentence), 3)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [
        getattr(layer.lstm, f"{name}_l0{side}") for side in ("", "_reverse") for name in names
    ]
    ours = bilstm._torch_bilstm(packed, packing.sizes, weights, is_training=False)
    theirs = layer.lstm(PackedSequence(packed, torch.tensor(packing.sizes)))[0].data
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(layer(packed, packing), theirs)


class Copies(TorchDispatchMode):
    """Notes which copies to another device are made in the background."""

    def __init__(self) -> None:
        super().__init__()
        self.in_background: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if "_to_copy" in str(func) and args[0].device != result.device:
            self.in_background.append((kwargs or {}).get("non_blocking", False))
        return result


def test_packing_is_copied_in_the_background() -> None:
    with Copies() as copies:
        packing = Packing.of(LENGTHS, (3, 4), "meta")
    assert copies.in_background == [True] * 5
    assert {packing.rows.device.type, packing.masks[1].device.type} == {"meta"}


def test_double_precision_is_the_hosts_alone() -> None:
    """Apple's GPUs have no float64: a tensor is moved to the CPU before it is made double."""
    for path in Path(measure.__file__).parent.rglob("*.py"):
        if "assignment" in path.parts:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            assert ".double()" not in line or ".cpu().double()" in line, (path, line)
            assert "torch.float64" not in line or "device" not in line, (path, line)
