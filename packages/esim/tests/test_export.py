from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from esim.commands.export import export
from esim.config import TrainConfig
from esim.data.labels import LABELS
from esim.model.esim import Esim
from esim.model.trained import TrainedModel
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from shared.torch.onnx_export import TOLERANCE

pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

CONFIG = TrainConfig(embedding_size=6, hidden_size=5)


def trained_model(config: TrainConfig, path: Path) -> TrainedModel:
    torch.manual_seed(0)
    vocabulary = Vocabulary(["<unk>", "<pad>", *(f"w{i}" for i in range(18))], [1] * 20)
    model = Esim(config, 20).eval()
    model.encoding.set_stems(vocabulary)
    return TrainedModel(model, vocabulary, config, path)


VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "matches, no ReLU": {"matches": True, "relu": False},
    "relations": {"relations": True, "matches": True, "stem_backoff": True},
    "relations alone": {"relations": True},
    "the coursework's classifier": {"classifier": "coursework"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_onnxruntime_gives_torchs_probabilities_and_attention(variant: str, tmp_path: Path) -> None:
    trained = trained_model(replace(CONFIG, **VARIANTS[variant]), tmp_path)
    assert 0 <= export(trained, tmp_path / "onnx") <= TOLERANCE
    facts = json.loads((tmp_path / "onnx" / "model.json").read_text())
    assert facts["labels"] == list(LABELS)
    assert Vocabulary.load(tmp_path / "onnx" / "vocab.txt").tokens[1] == "<pad>"
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    inputs = {
        "premises": np.array([[2, 3, 4, 1], [5, 6, 7, 8]]), "premise_lengths": np.array([3, 4]),
        "hypotheses": np.array([[3, 9], [2, 1]]), "hypothesis_lengths": np.array([2, 1]),
    }  # fmt: skip
    chances, over_b, over_a = session.run(None, inputs)
    assert chances.shape == (2, 3) and over_b.shape == (2, 4, 2) and over_a.shape == (2, 2, 4)
    np.testing.assert_allclose(over_b[1], [[1, 0]] * 4)
    assert not over_b[0, 3].any()


def test_model_whose_scores_depend_on_the_batch_is_not_exported(tmp_path: Path) -> None:
    for change in ({"batch_axis": True}, {"mask": False}):
        with pytest.raises(UserError, match="on purpose"):
            export(trained_model(replace(CONFIG, **change), tmp_path), tmp_path / "onnx")
