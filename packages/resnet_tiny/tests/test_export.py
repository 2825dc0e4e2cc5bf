from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resnet_tiny.data.decode import decode

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

# The exporter and onnxscript warn about their own parts.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_onnx_file_takes_bytes_and_answers_as_predict_does(
    resnet_tiny: Callable[..., tuple[int, str, str]],
    small_run: Path,
    sample_folder: Path,
    tmp_path: Path,
) -> None:
    code, printed, error = resnet_tiny("export", small_run, "--out", "onnx")
    assert (code, error) == (0, "") and "logits are torch's to" in printed
    image = next(sample_folder.glob("test/images/*"))
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    (logits,) = session.run(None, {"pixels": decode(image, 64)[None]})
    chances = np.exp(logits[0] - logits[0].max())
    chances /= chances.sum()
    names = json.loads((tmp_path / "onnx" / "classes.json").read_text())["names"]
    found = json.loads(resnet_tiny("predict", small_run, image, "--json", "--top", 1)[1])
    best = found["classes"][0]
    assert names[int(chances.argmax())] == best["name"]
    assert float(chances.max()) == pytest.approx(best["probability"], abs=1e-3)
