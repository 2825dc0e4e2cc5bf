from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shared.text.vocabulary import Vocabulary
from shared.torch.onnx_export import TOLERANCE
from word_lm.commands.export import export
from word_lm.config import Family, TrainConfig
from word_lm.model.build import build_model
from word_lm.model.trained import TrainedModel

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

# The exporter and onnxscript warn about their own parts.
pytestmark = pytest.mark.filterwarnings("ignore")
CONFIG = TrainConfig(
    embedding_size=8,
    hidden_size=8,
    layers=2,
    heads=2,
    kernel=3,
    softmax="adaptive",
    cutoffs=(5, 10),
    tied=True,
)


def trained_model(family: Family, path: Path) -> TrainedModel:
    torch.manual_seed(0)
    config = replace(CONFIG, model=family)
    vocabulary = Vocabulary(["<unk>", "<eos>", *(f"w{i}" for i in range(18))], [1] * 20)
    return TrainedModel(build_model(config, 20).eval(), vocabulary, config, path)


@pytest.mark.parametrize("family", ["lstm", "transformer", "gated_cnn"])
def test_onnxruntime_gives_torchs_log_probabilities(
    family: Family, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trained = trained_model(family, tmp_path)
    worst = export(trained, tmp_path / "onnx", words=4, columns=2)
    assert 0 <= worst <= TOLERANCE
    assert capfd.readouterr() == ("", "")
    assert Vocabulary.load(tmp_path / "onnx" / "vocab.txt").tokens[1] == "<eos>"
    facts = json.loads((tmp_path / "onnx" / "model.json").read_text())
    assert facts["inputs"]["ids"] == [4, 2]
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    assert [entry.name for entry in session.get_inputs()] == list(facts["inputs"])
    carries = {"lstm": 4, "gated_cnn": 2, "transformer": 0}[family]
    assert len(facts["inputs"]) == 1 + carries
    # Words of other clusters than those that the file was made with.
    for ids in (torch.full((4, 2), 19), torch.tensor([[0, 19]] * 4)):
        states = {
            entry.name: torch.zeros(entry.shape).numpy() for entry in session.get_inputs()[1:]
        }
        found = session.run(None, {"ids": ids.numpy(), **states})[0]
        with torch.no_grad():
            hidden, _ = trained.model(ids)
            expected = trained.model.log_probs(hidden.flatten(0, 1)).view(4, 2, -1)
        torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=0)
