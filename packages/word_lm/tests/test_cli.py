from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.testing import (
    assert_finds_learning_rate,
    assert_help_is_light,
    assert_recipe_states,
    assert_verb_explains,
)
from word_lm.cli import VERBS
from word_lm.config import TrainConfig

Caller = Callable[..., tuple[int, str, str]]


def test_help_starts_at_once_and_imports_nothing_heavy() -> None:
    assert_help_is_light("word_lm", heavy=("torch", "numpy", "matplotlib", "jsonargparse"))


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_explains_its_options(verb: str, word_lm: Caller) -> None:
    assert_verb_explains(word_lm, "word-lm", verb)


@pytest.mark.parametrize("name", ["baseline", "best", "laptop"])
def test_recipe_reads_strictly_and_says_what_to_expect(
    name: str, word_lm: Caller, tmp_path: Path
) -> None:
    assert_recipe_states(word_lm, "word_lm", TrainConfig, name, tmp_path)


BAD_TRAINING = {
    "empty text": ("", [], "text.txt:1: the text is empty"),
    "one token": ("word\n", [], "text.txt:1: the text holds a single word"),
    "too short to split": ("a b\n", [], "too few to split"),
    "too short for the batch": ("a b c d e f g h\n" * 6, ["--batch-size", "99"], "--batch-size 99"),
    "batch 0": ("a b\n", ["--batch-size", "0"], "--batch-size is 0, expected >= 1"),
    "dropout 1": ("a b\n", ["--dropout", "1"], "--dropout is 1.0, expected 0 to below 1"),
    "lr is no number": ("a b\n", ["--learning-rate", "fast"], "--learning-rate is fast, expected a number"),
    "two at once": ("a b\n", ["--bptt", "0", "--layers", "0"], "--bptt is 0, expected >= 1"),
    "falling cutoffs": ("a b\n", ["--cutoffs", "[5,3]"], "--cutoffs is [5, 3], expected rising numbers"),
    "uneven heads": (
        "a b\n", ["--model", "transformer", "--heads", "3"], "--heads is 3, expected a divisor of --embedding-size"
    ),
    "varied segments, one update": (
        "a b\n", ["--vary-bptt", "--accumulation", "2"], "--accumulation is 2, expected 1 with --vary-bptt",
    ),
    "weight drop elsewhere": (
        "a b\n", ["--weight-dropout", "0.5"],
        "--weight-dropout has no effect with --model lstm, only with --model awd_lstm",
    ),
    "unknown model": ("a b\n", ["--model", "lstmm"], "--model is lstmm, expected one of"),
    "fp16": ("a b c\n" * 99, ["--precision", "fp16"], "--precision is fp16"),
    "unknown flag": ("a b\n", ["--batchsize", "3"], "--batchsize is not known to `word-lm train`"),
    "unknown recipe": ("a b\n", ["--recipe", "laptp"], "--recipe laptp does not exist (did you mean laptop"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TRAINING)
def test_bad_training_is_refused_in_one_line(case: str, word_lm: Caller, tmp_path: Path) -> None:
    text, words, expected = BAD_TRAINING[case]
    (tmp_path / "text.txt").write_text(text)
    code, _, error = word_lm(
        "train", "--device", "cpu", "--data", "text.txt", "--out", "run", *words
    )
    assert code == 2
    assert expected in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()  # the mended command can be given the same --out


def test_bad_files_are_refused_in_one_line(
    word_lm: Caller, tmp_path: Path, small_run: Path
) -> None:
    (tmp_path / "binary.txt").write_bytes(b"a b\n\0\n")
    (tmp_path / "latin.txt").write_bytes("a\ncafé\n".encode("latin-1"))
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "train.txt").write_text("a b\n")
    cases = [
        (("train", "--data", "none", "--out", "run"), "--data none: not found"),
        (("train", "--data", ".", "--out", "run"), "binary.txt:2: holds a NUL byte"),
        (("train", "--data", "part", "--out", "run"), "valid.txt: not found"),
        (("train", "--data", "binary.txt", "--out", "run"), "binary.txt:2: holds a NUL byte"),
        (("train", "--data", "latin.txt", "--out", "run"), "latin.txt:2: is not utf-8"),
        (("evaluate", small_run, "--data", "empty.txt"), "empty.txt:1: the text is empty"),
        (("evaluate", "none"), "none: is not a run"),
        (("export", "none"), "none: is not a run"),
        (("report", "none"), "none: is not a run"),
        (("export", small_run, "--out", tmp_path), "is not empty"),
        (("bench", "--recipe", "none"), "--recipe none does not exist"),
    ]
    for words, expected in cases:
        code, _, error = word_lm(*words)
        assert code == 2, words
        assert expected in error, (words, error)
        assert error.count("\n") == 1, (words, error)


def test_damaged_checkpoint_is_named_and_a_pickle_never_executed(
    word_lm: Caller, small_run: Path, tmp_path: Path
) -> None:
    import hashlib
    import pickle

    class Payload:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "executed",)

    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    (run / "summary.json").unlink()  # so that there is something to go on with
    for folder in (run / "checkpoints").iterdir():
        (folder / "training.pt").write_bytes(pickle.dumps(Payload(), protocol=2))
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["sha256"]["training.pt"] = hashlib.sha256(
            (folder / "training.pt").read_bytes()
        ).hexdigest()
        del manifest["sha256_of_manifest"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
    code, _, error = word_lm("train", "--config", run / "config.yaml", "--out", run, "--resume")
    assert code == 2 and "training.pt" in error and error.count("\n") == 1
    assert not (tmp_path / "executed").exists()
    for folder in (run / "checkpoints").iterdir():
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:100])
    code, _, error = word_lm("evaluate", run)
    assert code == 2 and "every checkpoint in it is damaged" in error


def test_folder_that_holds_something_is_not_overwritten(word_lm: Caller, small_run: Path) -> None:
    before = (small_run / "summary.json").read_bytes()
    code, _, error = word_lm("train", "--out", small_run)
    assert code == 2 and "is not empty" in error
    assert (small_run / "summary.json").read_bytes() == before


def test_ended_run_is_not_trained_again(word_lm: Caller, small_run: Path) -> None:
    code, printed, _ = word_lm(
        "train", "--config", small_run / "config.yaml", "--out", small_run, "--resume"
    )
    assert code == 0 and "ended already" in printed


def test_evaluating_a_run_gives_the_figure_of_its_summary(
    word_lm: Caller, small_run: Path, sample_folder: Path
) -> None:
    code, printed, _ = word_lm("evaluate", small_run, "--data", sample_folder, "--json")
    assert code == 0
    summary = json.loads((small_run / "summary.json").read_text())
    assert json.loads(printed)["ppl"] == pytest.approx(summary["metrics"]["test_ppl"], rel=1e-6)


def test_same_seed_writes_the_same_text(word_lm: Caller, small_run: Path) -> None:
    words = ("generate", small_run, "--words", 30, "--prompt", "the", "--seed")
    texts = [word_lm(*words, seed)[1] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert "<unk>" not in texts[0]


def test_page_can_be_made_again(word_lm: Caller, small_run: Path, tmp_path: Path) -> None:
    assert word_lm("report", small_run, "--out", "page.html")[0] == 0
    assert (tmp_path / "page.html").read_text() == (small_run / "report.html").read_text()
    assert (tmp_path / "perplexity.png").read_bytes()[:4] == b"\x89PNG"


def test_sample_never_overwrites(word_lm: Caller, tmp_path: Path) -> None:
    assert word_lm("sample", "--out", "a")[0] == 0
    code, _, error = word_lm("sample", "--out", "a")
    assert code == 2
    assert "a: is not empty" in error


def figures(printed: str) -> list[dict[str, Any]]:
    return json.loads(printed)["figures"]


def test_file_is_evaluated_whole_unless_the_run_was_trained_on_it(
    word_lm: Caller, tmp_path: Path
) -> None:
    (tmp_path / "prose.txt").write_text(
        "It was late, and the rain had not stopped.\nNobody came.\n" * 60
    )
    code, _, error = word_lm(
        "train", "--data", "prose.txt", "--tokenizer", "word", "--device", "cpu", "--threads", 1, "--steps", 5,
        "--embedding-size", 8, "--hidden-size", 8, "--batch-size", 4, "--out", "run", "--quiet",
    )  # fmt: skip
    assert (code, error) == (0, "")
    other = (tmp_path / "prose.txt").read_text() + "Nobody came.\n"
    (tmp_path / "other.txt").write_text(other)
    own, *_ = figures(word_lm("evaluate", "run", "--json")[1])
    same, other = (
        word_lm("evaluate", "run", "--json", "--data", f"{name}.txt") for name in ("prose", "other")
    )
    assert figures(same[1])[0] == own and "the test part that training split off" in same[2]
    assert figures(other[1])[0]["predicted"] > 10 * own["predicted"] and other[2] == ""
    own, same = (
        word_lm("context", "run", "--json", "--lengths", "[2]", *words)
        for words in ((), ("--data", "prose.txt"))
    )
    assert same[1] == own[1] and "the test part that training split off" in same[2]


def test_learning_rate_is_looked_for_and_no_run_is_left(
    word_lm: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = (
        "train",
        "--data",
        sample_folder,
        "--embedding-size",
        32,
        "--hidden-size",
        32,
        "--device",
        "cpu",
        "--threads",
        1,
    )
    assert_finds_learning_rate(word_lm, words, tmp_path)
