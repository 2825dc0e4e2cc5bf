"""Run folders of earlier versions stay readable: former names of settings, values, files and weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file, save_file

from imdb_sentiment.config import TrainConfig
from imdb_sentiment.model.build import build_network
from imdb_sentiment.model.trained import load
from shared.command.config import load as load_config
from shared.runs.checkpoints import Checkpoints
from shared.text.vocabulary import Vocabulary

NEW = (
    *("text_column", "label_column", "separator", "encoding", "init", "test_data", "test_fraction", "test_limit"),
    *("carry_state", "head_activation", "softmax_first", "term_frequency"),
)  # fmt: skip
TEXTS = ["The story is superb.", "The ending is boring.", ""]


def as_before(run: Path, out: Path) -> Path:
    """Copy a run under the names that its settings and files had."""
    shutil.copytree(run, out)
    values = yaml.safe_load((out / "config.yaml").read_text())
    former = {
        "valid_fraction": "valid_share",
        "min_steps": "least_steps",
        "prefix_letters": "stem_letters",
    }
    values = {former.get(name, name): value for name, value in values.items() if name not in NEW}
    (out / "config.yaml").write_text(yaml.safe_dump(values))
    best = Checkpoints(run / "checkpoints", say=print).best()
    assert best is not None

    def write(folder: Path) -> None:
        for path in best.folder.iterdir():
            if path.name not in ("classes.json", "manifest.json"):
                shutil.copy(path, folder / path.name.replace("prefixes.txt", "stems.txt"))
        if (folder / "linear.safetensors").exists():
            arrays = load_file(folder / "linear.safetensors")
            renamed = {name.replace("prefixes_", "stems_"): value for name, value in arrays.items()}
            save_file(renamed, folder / "linear.safetensors")

    shutil.rmtree(out / "checkpoints")
    Checkpoints(out / "checkpoints", say=print).save(0, write, metric=1.0, name="best")
    return out


@pytest.mark.parametrize("kind", ["linear_run", "lstm_run"])
def test_run_of_an_earlier_version_predicts_the_same(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run = request.getfixturevalue(kind)
    now, then = load(run), load(as_before(run, tmp_path / "old"))
    assert then.classes == ("negative", "positive")
    assert np.array_equal(now.probabilities(TEXTS), then.probabilities(TEXTS))


def test_former_values_and_weights_have_their_present_names(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("padding: front\npooling: last_place\nstem_letters: 3\n")
    config = load_config(TrainConfig, tmp_path / "config.yaml")
    assert (config.pooling, config.prefix_letters) == ("last_position", 3)
    network = build_network(config, Vocabulary(["<pad>", "<unk>", "film"], [1, 1, 1]))
    weights = {k.replace("prefixes.", "stems."): v for k, v in network.state_dict().items()}
    weights["stems.weight"] = torch.ones_like(weights["stems.weight"])
    network.load_state_dict(weights)
    assert network.prefixes is not None and (network.prefixes.weight == 1).all()
