from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from shared.errors import UserError
from shared.torch import onnx_export
from shared.torch.onnx_export import (
    MODEL,
    export_module,
    largest_difference,
    require_onnx,
    write_checked,
)

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

# The exporter and onnxscript warn about their own parts.
pytestmark = pytest.mark.filterwarnings("ignore")


class Bag(nn.Module):
    """Sums the rows of a table that are named by ids (B, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table(ids).sum(1)


class Reads(nn.Module):
    """An LSTM over ids (T, B)."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.lstm = nn.Embedding(9, 3), nn.LSTM(3, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.lstm(self.table(ids))[0]


def written(model: nn.Module, out: Path, *, wrong: float = 0.0, **options: Any) -> float:
    def write(folder: Path) -> None:
        axes = {"ids": {0: "rows", 1: "time"}}
        example = (torch.zeros(2, 3, dtype=torch.int64),)
        export_module(model, example, folder / MODEL, ["ids"], ["sums"], axes, **options)

    def check(session: Any) -> float:
        sizes = [(1, 1), (2, 3), (5, 7)]
        with torch.no_grad():
            cases = [
                ({"ids": ids.numpy()}, [model(ids).numpy() + wrong])
                for ids in (torch.arange(a * b).view(a, b) % 9 for a, b in sizes)
            ]
        return largest_difference(session, cases)

    return write_checked(out, write, check, package="dltasks-demo", version="1.2", figure="sums")


@pytest.mark.parametrize(("model", "has_lstm"), [(Bag(), False), (Reads(), True)])
def test_sizes_are_free_and_the_file_says_what_wrote_it(
    model: nn.Module, has_lstm: bool, tmp_path: Path
) -> None:
    assert written(model, tmp_path / "out", has_lstm=has_lstm) < 1e-6
    file = onnx.load(str(tmp_path / "out" / MODEL))
    facts = {entry.key: entry.value for entry in file.metadata_props}
    assert facts["package"] == "dltasks-demo" and facts["torch"] == torch.__version__


def test_weights_too_large_for_one_protobuf_message_lie_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "_PROTOBUF_BYTES", 10)
    assert written(Bag(), tmp_path / "out") < 1e-6
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [MODEL, f"{MODEL}.data"]


@pytest.mark.parametrize("wrong", [0.01, float("nan")])
def test_file_that_disagrees_with_torch_is_not_left_behind(wrong: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sums differ from torch's by .*Nothing was written"):
        written(Bag(), tmp_path / "out", wrong=wrong)
    assert list(tmp_path.iterdir()) == []


def test_file_that_onnxruntime_cannot_read_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = onnx_export._note

    def note_and_damage(path: Path, facts: Any) -> None:
        note(path, facts)
        path.write_bytes(path.read_bytes()[:40])

    monkeypatch.setattr(onnx_export, "_note", note_and_damage)
    with pytest.raises(UserError, match="onnxruntime cannot read what torch .*Nothing was written"):
        written(Bag(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_folder_with_something_in_it_is_refused_before_work_begins(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(UserError, match="is not empty"):
        write_checked(
            tmp_path, lambda folder: 1 / 0, lambda s: 0.0, package="p", version="1", figure="sums"
        )


def test_missing_package_is_named_with_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.extras.find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(UserError, match="ONNX files need onnx, not installed. Run: pip install"):
        require_onnx("dltasks-esim")


def test_difference_of_nan_is_not_small() -> None:
    class Session:
        def run(self, names: None, inputs: dict) -> list[np.ndarray]:
            return [np.array([1.0, np.nan])]

    assert np.isnan(largest_difference(Session(), [({}, [np.array([1.0, 1.0])])]))
