"""What matters on GPUs only, by fake tensors: kernels launched, waits for the device, number formats."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from word_lm.model import cross_entropy
from word_lm.model.embedding import positions_by_cluster
from word_lm.model.recurrent import GATES, RecurrentLayer


class Calls(TorchDispatchMode):
    """Notes the operations that are carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, inputs: Any = (), settings: Any = None
    ) -> Any:
        self.names.append(function.__name__)
        return function(*inputs, **(settings or {}))


def test_loss_of_a_full_softmax_is_a_few_kernels_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {}
    rows_at_once = cross_entropy._rows_at_once
    for device in ("cuda", "cpu"):
        monkeypatch.setattr(
            cross_entropy,
            "_rows_at_once",
            lambda _, words, device=device: rows_at_once(device, words),
        )
        with FakeTensorMode(), Calls() as calls:  # nothing is computed
            hidden, weight, bias = (
                torch.empty(1000, 64),
                torch.empty(33_278, 64),
                torch.empty(33_278),
            )
            cross_entropy.total_nll(hidden, weight, bias, torch.zeros(1000, dtype=torch.int64))
        counts[device] = len(calls.names)
    assert counts["cuda"] < 80 < counts["cpu"], counts  # views of tensors counted too


def test_clusters_cost_one_wait_for_the_device_and_are_those_of_the_bounds() -> None:
    bounds = (0, 3, 5, 11, 20)
    ids = torch.randint(0, 20, (200,), generator=torch.Generator().manual_seed(0))
    with Calls() as calls:
        members = positions_by_cluster(ids, bounds)
    waits = [name for name in calls.names if "nonzero" in name or "_local_scalar_dense" in name]
    assert waits == []  # the counts are fetched by one `tolist`
    assert len(members) == 3
    for where, low, high in zip(members, bounds[1:-1], bounds[2:], strict=True):
        assert torch.equal(where, ((ids >= low) & (ids < high)).nonzero().squeeze(1))


@pytest.mark.parametrize("kind", GATES)
def test_recurrent_layers_compute_in_the_format_that_autocast_was_asked_for(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast's own wrapper of cuDNN's layers takes float16, whatever it was asked for."""
    seen: list[Any] = []

    def run(self: RecurrentLayer, inputs: Any, state: Any, weights: Any) -> Any:
        seen.append({tensor.dtype for tensor in (inputs, *state, *weights)})
        seen.append(torch.is_autocast_enabled("cuda"))
        return inputs, state

    monkeypatch.setattr(RecurrentLayer, "_run", run)
    enabled, dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", torch.bfloat16)
    torch.set_autocast_enabled("cuda", True)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            layer = RecurrentLayer(kind, 4, 4)
            inputs = torch.empty(3, 2, 4, device="cuda")
            layer(inputs, layer.init_state(2))
    finally:
        torch.set_autocast_enabled("cuda", enabled)
        torch.set_autocast_dtype("cuda", dtype)
    assert seen == [{torch.bfloat16}, False]
