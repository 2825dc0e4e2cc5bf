from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from esim.config import TrainConfig
from esim.data.dataset import load_data
from esim.data.vectors import load_vectors, resolve
from shared.errors import UserError


def test_vectors_from_a_file_cover_words_and_bad_lines_are_counted_or_named(
    sample_folder: Path, tmp_path: Path
) -> None:
    data = load_data(TrainConfig(data=str(sample_folder)))
    path = tmp_path / "vectors.txt"
    path.write_text("dog 1 2 3\n. . 4 5 6\ntorn 1 2\ncat 7 8 9\n")
    config = TrainConfig(vectors=str(path))
    initial = load_vectors(config, data)
    vectors = initial.matrix
    assert vectors is not None
    assert vectors[data.vocabulary.id("cat")].tolist() == [7, 8, 9]
    assert not vectors[data.vocabulary.id("<pad>")].any()
    assert "2 as written" in initial.source and "1 line" in initial.source
    with pytest.raises(UserError, match=r"vectors.txt:3: 2 numbers"):
        load_vectors(replace(config, on_bad_vector="error"), data)
    path.write_text("dog 1 2 3\ncat 4 nan 6\n")
    with pytest.raises(UserError, match=r"vectors.txt:2: .*--on-bad-vector skip"):
        load_vectors(replace(config, on_bad_vector="error"), data)


def test_vectors_auto_become_the_largest_file_of_the_data_root_or_random_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path))
    config, note = resolve(TrainConfig(vectors="auto"))
    assert config.vectors is None and "random" in note and str(tmp_path) in note
    (tmp_path / "glove.6B").mkdir()
    file = tmp_path / "glove.6B" / "glove.6B.2d.txt"
    (tmp_path / "glove.6B" / "glove.6B.1d.txt").write_text("dog 1\n")
    file.write_text("dog 1 2\n")
    config, note = resolve(TrainConfig(vectors="auto"))
    assert config.vectors == str(file) and str(file) in note
    assert resolve(TrainConfig(vectors="train"))[1] == resolve(TrainConfig())[1] == ""


def test_run_with_vectors_auto_says_what_they_are_and_its_configuration_repeats_them(
    sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from esim.train import train
    from shared.command import config as configuration
    from shared.command.options import RunOptions

    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path))
    base = TrainConfig(
        data=str(sample_folder), vectors="auto", steps=1, hidden_size=4, embedding_size=4, threads=1
    )
    out = train(base, RunOptions(out=str(tmp_path / "random"), quiet=True))
    assert out is not None
    assert "word vectors start random" in (out / "log.txt").read_text()
    assert json.loads((out / "summary.json").read_text())["data"]["vectors"] == "random"
    (tmp_path / "glove").mkdir()
    (tmp_path / "glove" / "glove.2d.txt").write_text("dog 1 2\n")
    again = configuration.load(TrainConfig, out / "config.yaml")
    assert again.vectors is None  # although a file has appeared since
    out = train(base, RunOptions(out=str(tmp_path / "file"), quiet=True))
    assert out is not None
    assert "glove.2d.txt" in json.loads((out / "summary.json").read_text())["data"]["vectors"]
    assert "glove.2d.txt" in (out / "log.txt").read_text()
    again = configuration.load(TrainConfig, out / "config.yaml")
    assert again.vectors == str(tmp_path / "glove" / "glove.2d.txt") and again.embedding_size == 2


READ_AND_MEASURE = """
import resource, sys, time
from shared.text.vectors import load_pretrained
from shared.text.vocabulary import Vocabulary

words = ["<unk>", "<pad>", *(f"w{n}" for n in range(0, 60_000, 60))]
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
matrix, coverage = load_pretrained(sys.argv[1], Vocabulary(words, [1] * len(words)))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(grown, time.process_time() - began, coverage.exact, *matrix.shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux tells it")
def test_rows_of_a_large_file_are_kept_without_holding_it(tmp_path: Path) -> None:
    """60,000 rows of 300 here; 2.2 million took the same memory (README).

    In a process of its own: the peak of one that has trained a model would hide what is added.
    """
    path = tmp_path / "large.txt"
    numbers = " ".join(f"{0.001 * n:.5f}" for n in range(300))
    with path.open("w") as file:
        file.writelines(f"w{n} {numbers}\n" for n in range(60_000))
    command = [sys.executable, "-c", READ_AND_MEASURE, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    grown, seconds, *facts = (float(word) for word in done.stdout.split())  # grown: KiB
    assert facts == [1000, 1002, 300]
    assert grown < 40_000 < path.stat().st_size / 1024
    assert seconds < 10


def test_vectors_of_the_sentences_take_unknown_words_of_train_as_one(
    sample_folder: Path, tmp_path: Path
) -> None:
    """With stem back-off these have ids of their own, above those of the vocabulary."""
    config = TrainConfig(
        data=str(sample_folder), vectors="train", max_vocab_size=20, stem_backoff=True
    )
    data = load_data(config)
    assert max(int(s.max()) for s in data.splits["train"].premises) >= 20
    vectors = load_vectors(config, data).matrix
    assert vectors is not None and vectors.shape == (20, 300) and np.isfinite(vectors).all()
