from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
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
    memory=7,
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
    if family == "gru":
        config = replace(config, context_decays=(0.5, 0.9), context_size=4, pointer_window=5)
    vocabulary = Vocabulary(["<unk>", "<eos>", *(f"w{i}" for i in range(18))], [1] * 20)
    model = build_model(config, 20).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:  # residual branches that start at zero would hide the memory
                torch.nn.init.normal_(weight, std=0.5)
    return TrainedModel(model, vocabulary, config, path)


TORCH = tuple(int(number) for number in torch.__version__.split(".")[:2])
FAMILIES = [
    pytest.param(
        "lstm",
        marks=pytest.mark.skipif(
            TORCH < (2, 8), reason="torch 2.6 and 2.7 write an LSTM that onnxruntime does not read"
        ),
    ),
    "gru",  # with slow context and a pointer
    "transformer",
    pytest.param("modern_transformer", marks=pytest.mark.reliability),
    pytest.param("gated_cnn", marks=pytest.mark.reliability),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_file_remembers_what_torch_remembers(
    family: Family, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Read segment by segment, past the end of a Transformer's memory of 7 words."""
    trained = trained_model(family, tmp_path)
    worst = export(trained, tmp_path / "onnx", words=2, columns=2)
    assert 0 <= worst <= TOLERANCE
    assert capfd.readouterr() == ("", "")
    assert Vocabulary.load(tmp_path / "onnx" / "vocab.txt").tokens[1] == "<eos>"
    facts = json.loads((tmp_path / "onnx" / "model.json").read_text())
    assert facts["inputs"]["ids"] == [2, 2]
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    inputs = session.get_inputs()
    assert [entry.name for entry in inputs] == list(facts["inputs"])
    assert (
        len(inputs)
        == 1
        + {"lstm": 4, "gru": 6, "gated_cnn": 2, "transformer": 2, "modern_transformer": 5}[family]
    )
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    theirs = [np.zeros(entry.shape, kinds[entry.type]) for entry in inputs[1:]]
    ours, seen = trained.model.init_state(2), []
    text = torch.randint(
        0, 20, (24, 2), generator=torch.Generator().manual_seed(0)
    )  # of all clusters
    for ids in text.split(2):
        got, *theirs = session.run(
            None, dict(zip(facts["inputs"], [ids.numpy(), *theirs], strict=True))
        )
        with torch.no_grad():
            hidden, ours = trained.model(ids, ours)
            expected = trained.model.log_probs(hidden.flatten(0, 1)).view(2, 2, -1)
        torch.testing.assert_close(torch.from_numpy(got), expected, atol=1e-4, rtol=0)
        seen.append(got)
    # The last word's prediction depends on the words before its segment.
    alone = trained.model(text[-2:])[0]
    forgetful = trained.model.log_probs(alone.flatten(0, 1)).view(2, 2, -1)
    assert (torch.from_numpy(seen[-1]) - forgetful).abs().max() > 1e-3
