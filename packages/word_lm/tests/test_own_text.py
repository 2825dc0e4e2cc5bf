"""Any text can be trained on, and a trained run can be trained further on another."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shared.data.checksum import describe
from shared.errors import UserError
from shared.text.vocabulary import Vocabulary
from word_lm.config import TrainConfig
from word_lm.data.dataset import load_text
from word_lm.model.build import build_model
from word_lm.model.start import copy_weights
from word_lm.model.trained import TrainedModel, load_run

Caller = Callable[..., tuple[int, str, str]]
SIZE = (
    "--embedding-size",
    8,
    "--hidden-size",
    8,
    "--batch-size",
    4,
    "--threads",
    1,
    "--device",
    "cpu",
    "--quiet",
)
LINES = "the cat sat .\na dog ran .\n" * 40


def tokens_of(path: Path) -> list[str]:
    text = load_text(TrainConfig(data=str(path)))
    return [
        text.vocabulary.tokens[i]
        for i in np.concatenate([text.splits[n] for n in ("train", "valid", "test")])
    ]


def test_folder_of_any_text_files_is_joined_and_split(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.TXT").write_text(LINES)
    (tmp_path / "b" / "c.md.gz").write_bytes(gzip.compress(b"more words here .\n" * 9))
    (tmp_path / "b" / "d.png").write_bytes(b"\0")
    (tmp_path / ".hidden.txt").write_text("secret\n")
    (tmp_path / "one.txt").write_text(LINES + "more words here .\n" * 9)
    expected = tokens_of(tmp_path / "one.txt")
    (tmp_path / "one.txt").unlink()
    assert tokens_of(tmp_path) == expected
    notes = load_text(TrainConfig(data=str(tmp_path))).notes
    assert notes[0] == "2 text files joined by name" and "1 other file left out (.png)" in notes[1]
    (tmp_path / "a.TXT").unlink()
    (tmp_path / "b" / "c.md.gz").unlink()
    with pytest.raises(UserError, match="has no text file"):
        load_text(TrainConfig(data=str(tmp_path)))


@pytest.mark.parametrize(("end", "where"), [("\n", "at line ends"), (" ", "within lines")])
def test_where_a_text_is_split_is_told(end: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"the cat sat .{end}" * 100)
    assert where in load_text(TrainConfig(data=str(tmp_path / "a.txt"))).notes[0]


@pytest.mark.parametrize("tokenizer", ["space", "word"])
def test_chinese_taken_for_phrases_is_told_of(tokenizer: str, tmp_path: Path) -> None:
    path = tmp_path / "zh.txt"
    path.write_text(
        "今天天气很好,我们去公园散步。\n他在图书馆看了一本新书。\n" * 30, encoding="utf-8"
    )
    config = TrainConfig(data=str(path), tokenizer=tokenizer)
    assert "--tokenizer unicode" in load_text(config).notes[-1]
    characters = load_text(replace(config, tokenizer="unicode"))
    assert "天" in characters.vocabulary.tokens
    assert not any("--tokenizer" in note for note in characters.notes)


@pytest.mark.parametrize("names", ["{}.txt.bz2", "wiki.{}.tokens", "wiki.{}.raw"])
def test_splits_are_known_by_publishers_names_and_packed(names: str, tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        content = f"{split} {LINES}".encode()
        (tmp_path / names.format(split)).write_bytes(
            bz2.compress(content) if "bz2" in names else content
        )
    text = load_text(TrainConfig(data=str(tmp_path)))
    assert [text.vocabulary.tokens[ids[0]] for ids in text.splits.values()] == [
        "train",
        "valid",
        "test",
    ]
    assert text.notes == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="links need a privilege")
def test_link_to_a_folder_is_not_followed_but_told_of(tmp_path: Path) -> None:
    for name in ("texts", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(LINES)
    (tmp_path / "texts" / "more").symlink_to(tmp_path / "elsewhere")
    notes = load_text(TrainConfig(data=str(tmp_path / "texts"))).notes
    assert notes[:2] == ("1 text file joined by name", "1 other file left out (more)")


@pytest.mark.parametrize("names", [("a.txt", "b.txt"), ("train.txt", "valid.txt", "test.txt")])
def test_run_in_the_folder_of_its_texts_is_no_text_and_no_change_of_them(
    names: tuple[str, ...], word_lm: Caller, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_text(LINES)
    words = ("train", "--data", ".", "--out", "run", "--steps", 2, *SIZE)
    before = describe(tmp_path).as_dict()
    assert word_lm(*words)[0] == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert before.items() <= summary["data"].items()
    assert word_lm("evaluate", "run")[0] == 0
    (tmp_path / "run" / "summary.json").unlink()
    code, _, error = word_lm(*words, "--resume")
    assert (code, error) == (0, "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_trained_on_and_said_to_be_gone_afterwards(word_lm: Caller, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(LINES,), daemon=True)
    writer.start()
    code, _, error = word_lm("train", "--data", pipe, "--steps", 2, "--out", "run", *SIZE)
    writer.join()
    assert (code, error) == (0, "")
    code, _, error = word_lm("evaluate", "run")
    assert code == 2 and "was trained on a pipe" in error and "--data" in error
    (tmp_path / "text.txt").write_text(LINES)
    assert word_lm("evaluate", "run", "--data", "text.txt")[0] == 0


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
@pytest.mark.parametrize("tied", [True, False])
def test_training_starts_from_a_run_and_adds_its_new_words(
    softmax: str, tied: bool, word_lm: Caller, tmp_path: Path
) -> None:
    (tmp_path / "old.txt").write_text(LINES)
    (tmp_path / "new.txt").write_text("the bird flew over a dog .\n" * 60)
    flags = [
        "--softmax",
        softmax,
        *(["--cutoffs", "5,9"] if softmax == "adaptive" else []),
        "--tied" if tied else "--no-tied",
    ]
    assert (
        word_lm("train", "--data", "old.txt", "--steps", 30, "--out", "old", *flags, *SIZE)[0] == 0
    )
    more = [
        "--config",
        "old/config.yaml",
        "--data",
        "new.txt",
        "--steps",
        1,
        "--learning-rate",
        1e-9,
    ]
    code, _, error = word_lm("train", *more, "--init", "old", "--out", "new", "--quiet")
    assert (code, error) == (0, "")
    log = (tmp_path / "new" / "log.txt").read_text()
    assert "starts from old; 3 words are new" in log
    old, new = load_run("old"), load_run("new")
    words = old.vocabulary.tokens
    assert new.vocabulary.tokens[: len(words)] == words
    assert set(new.vocabulary.tokens[len(words) :]) == {"bird", "flew", "over"}
    for name, weight in old.model.named_parameters():
        own = dict(new.model.named_parameters())[name]
        torch.testing.assert_close(own[: len(weight)], weight, atol=1e-6, rtol=1e-5)
    code, printed, error = word_lm(
        "evaluate", "new", "--json"
    )  # its data is read in its vocabulary
    metrics = json.loads((tmp_path / "new" / "summary.json").read_text())["metrics"]
    assert code == 0 and json.loads(printed)["ppl"] == pytest.approx(metrics["test_ppl"], rel=1e-6)


def test_start_from_a_run_of_another_size_is_refused(word_lm: Caller, small_run: Path) -> None:
    code, _, error = word_lm("train", "--init", small_run, "--out", "new", *SIZE)
    assert (
        code == 2
        and "has other settings" in error
        and "--config" in error
        and error.count("\n") == 1
    )


def test_start_from_other_decay_rates_is_refused(tmp_path: Path) -> None:
    """All weights fit, but they belong to other averages."""
    config = TrainConfig(model="gru", embedding_size=4, hidden_size=4, context_decays=(0.5, 0.9))
    vocabulary = Vocabulary(["<unk>", "a"], [1, 1])
    start = TrainedModel(build_model(config, 2), vocabulary, config, tmp_path)
    assert copy_weights(build_model(config, 2), start) == 0
    other = build_model(replace(config, context_decays=(0.1, 0.2)), 2)
    with pytest.raises(UserError, match="context.decays does not fit"):
        copy_weights(other, start)


@pytest.mark.parametrize(
    "own, other, name",
    [
        ({"model": "rnn_tanh"}, {"model": "rnn_relu"}, "kind"),
        ({"model": "transformer", "heads": 2}, {"heads": 4}, "heads"),
        ({"model": "modern_transformer", "heads": 2}, {"heads": 4}, "heads"),
        ({"softmax": "adaptive", "cutoffs": (2, 4)}, {"cutoffs": (3, 5)}, "cutoffs"),
    ],
)
def test_start_from_settings_that_no_weight_shows_is_refused(
    own: dict[str, Any], other: dict[str, Any], name: str, tmp_path: Path
) -> None:
    config = TrainConfig(embedding_size=4, hidden_size=4, **own)
    vocabulary = Vocabulary(["<unk>", *"abcde"], [1] * 6)
    start = TrainedModel(build_model(config, 6), vocabulary, config, tmp_path)
    assert copy_weights(build_model(config, 9), start) == 3
    with pytest.raises(UserError, match=f"{name} does not fit"):
        copy_weights(build_model(replace(config, **other), 9), start)
