"""The verbs `study` and `inspect`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from word_lm.commands.study import discussion
from word_lm.measures.context import ContextCurve
from word_lm.model.trained import load_run

Caller = Callable[..., tuple[int, str, str]]


def test_study_trains_three_families_and_discusses_what_was_measured(
    word_lm: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    wanted = [
        "--data",
        sample_folder,
        "--embedding-size",
        8,
        "--hidden-size",
        8,
        "--steps",
        4,
        "--threads",
        1,
    ]
    more = [
        "--device",
        "cpu",
        "--lengths",
        "1,2,20",
        "--tokens",
        30,
        "--out",
        tmp_path / "study",
        "--json",
    ]
    code, printed, error = word_lm("study", *wanted, *more)
    assert (code, error) == (0, "")
    result = json.loads(printed)
    assert list(result) == ["lstm", "transformer", "gated_cnn"]
    for name, figures in result.items():
        summary = json.loads((tmp_path / "study" / name / "summary.json").read_text())
        assert figures["steps"] == 4 and figures["test_ppl"] == summary["metrics"]["test_ppl"]
        assert figures["context"]["lengths"] == [1, 2, 20] and figures["context"]["positions"] == 30
    assert result["transformer"]["context"]["max_words"] == 35
    page = (tmp_path / "study" / "study.html").read_text(encoding="utf-8")
    assert "Discussion" in page and f"{result['lstm']['context']['perplexity'][0]:.1f}" in page
    assert (tmp_path / "study" / "context.png").read_bytes()[1:4] == b"PNG"
    again = word_lm("study", *wanted, *more)  # trained already: the same figures at once
    assert json.loads(again[1]) == result


def test_study_gives_each_model_its_settings_and_refuses_a_single_model(
    word_lm: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    wanted = ["study", "--data", sample_folder, "--embedding-size", 8, "--hidden-size", 8]
    wanted += ["--steps", 1, "--tokens", 5, "--lengths", "1,2", "--quiet", "--out", tmp_path]
    wanted += ["--models", "transformer,gated_cnn"]
    code, _, error = word_lm(*wanted, "--heads", 4, "--memory", 9, "--kernel", 3)
    assert (code, error) == (0, "")
    assert load_run(tmp_path / "transformer").config.heads == 4
    assert load_run(tmp_path / "transformer").config.memory == 9
    assert load_run(tmp_path / "gated_cnn").config.kernel == 3
    code, _, error = word_lm(*wanted, "--model", "transformer")
    assert code == 2 and "--model has no effect" in error and "--models" in error


def test_discussion_says_a_curve_is_flat_only_where_it_is() -> None:
    def text(perplexities: tuple[float, ...]) -> str:
        curve = ContextCurve((1, 16, 64), perplexities, (0.5, 0.1, 0.0), (0.01, 0.01, 0.0), 100, 1)
        return " ".join(discussion({"gated_cnn": {"receptive_field": 8}}, {"gated_cnn": curve}))

    assert "flat beyond it" in text((9.0, 5.0, 5.0))
    assert "flat beyond it" not in text((9.0, 5.0, 4.0))
    assert "From 16 words on it is within 1 %" in text((9.0, 5.0, 5.0))


def test_inspect_shows_the_first_batch_as_training_gets_it(
    word_lm: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    wanted = ["inspect", "--data", sample_folder, "--batch-size", 4, "--bptt", 6]
    code, printed, _ = word_lm(*wanted, "--json")
    facts = json.loads(printed)
    inputs, targets = np.array(facts["inputs"]), np.array(facts["targets"])
    assert code == 0 and inputs.shape == targets.shape == (6, 4)
    assert np.array_equal(inputs[1:], targets[:-1])
    code, printed, _ = word_lm(*wanted, "--out", tmp_path / "words", "--word", "the")
    assert code == 0
    assert f"batchify(train, 4): ({facts['columns'][0]}, 4)" in printed
    stoi = json.loads((tmp_path / "words" / "stoi.json").read_text(encoding="utf-8"))
    itos = (tmp_path / "words" / "itos.txt").read_text(encoding="utf-8").splitlines()
    assert all(itos[index] == word for word, index in stoi.items())
    assert f"itos[{stoi['the']}] = 'the'" in printed
    assert " ".join(itos[i] for i in inputs[:, 0]) in printed
    code, _, error = word_lm(*wanted, "--word", "zebra")
    assert code == 2 and "zebra: is not in the vocabulary" in error


def test_inspect_says_what_was_done_to_the_data(word_lm: Caller, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("a line of words\n" * 60)
    wanted = ("inspect", "--data", "own.txt", "--batch-size", 2)
    note = "split 90 / 5 / 5 into train, valid and test, at line ends"
    assert f"\n{note}\n" in word_lm(*wanted)[1]
    assert json.loads(word_lm(*wanted, "--json")[1])["notes"] == [note]


def test_inspect_shows_the_ids_of_a_run_to_start_from(
    word_lm: Caller, small_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.txt").write_text("zebra the zebra\n" * 60)
    wanted = ["--data", "new.txt", "--init", small_run, "--batch-size", 4]
    facts = json.loads(word_lm("inspect", *wanted, "--word", "zebra", "--json")[1])
    known = load_run(small_run).vocabulary
    assert facts["id"] == len(known) and facts["vocabulary"] == len(known) + 1
    assert facts["inputs"][0][0] == len(known) and facts["inputs"][1][0] == known.id("the")
    # `the` is too rare for the new words, but keeps its id and is counted.
    printed = word_lm("inspect", *wanted, "--word", "the", "--min-count", 61)[1]
    assert "= 'the', 60 occurrences" in printed
