"""Pairs of a reader's own: what training says about them, and the names of their labels in all answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from esim import load
from esim.cli import main

Caller = Callable[..., tuple[int, str, str]]
NAMES = ("supported", "unknown", "refuted")
HYPOTHESES = ("An animal runs.", "A dog is happy.", "No dog runs.")
TRAIN = (
    "train", "--device", "cpu", "--threads", 1, "--steps", 2, "--embedding-size", 8, "--hidden-size", 8,
)  # fmt: skip
COLUMNS = (
    "--premise-column", "text", "--hypothesis-column", "claim", "--label-column", "verdict",
)  # fmt: skip


def write(path: Path, labels: Sequence[str], count: int = 30) -> Path:
    """Write pairs of 10 premises in a table whose columns have other names than SNLI's."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "claim", "verdict"])
        for number in range(count):
            label = number % len(labels)
            rows.writerow([f"Dog {number % 10} runs.", HYPOTHESES[label], labels[label]])
    return path


@pytest.fixture(scope="module")
def named_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on pairs whose labels have names of their own."""
    folder = tmp_path_factory.mktemp("named")
    data = write(folder / "pairs.csv", NAMES)
    names = ("--label-values", ",".join(NAMES))
    words = [*TRAIN, *COLUMNS, *names, "--data", data, "--out", folder / "run", "--quiet"]
    assert main([str(word) for word in words]) == 0
    return folder / "run"


def test_answers_have_the_names_of_the_data(esim: Caller, named_run: Path, tmp_path: Path) -> None:
    pair = ("Dog 3 runs.", HYPOTHESES[0])
    rows = esim("predict", named_run, *pair)[1].splitlines()
    assert tuple(row.split()[0] for row in rows) == NAMES
    answer = json.loads(esim("predict", named_run, *pair, "--json")[1])
    # A label may be called like an entry of the object.
    assert answer["label"] in NAMES and sum(answer[name] for name in NAMES) == pytest.approx(1)
    assert load(named_run).predict(pair).label == answer["label"]
    table = esim("evaluate", named_run)[1].splitlines()
    assert tuple(table[1].split()[3:]) == tuple(row.split()[0] for row in table[2:]) == NAMES
    assert json.loads(esim("evaluate", named_run, "--json")[1])["labels"] == list(NAMES)
    for name in ("report.html", "attention.html"):
        page = (named_run / name).read_text()
        assert "supported" in page and "entailment" not in page


def test_training_says_how_many_pairs_each_label_has_and_which_has_none(
    esim: Caller, tmp_path: Path, named_run: Path
) -> None:
    data = write(tmp_path / "two.csv", ("1", "0"), 40)
    words = (*TRAIN, *COLUMNS, "--data", data)
    code, printed, _ = esim(*words, "--out", "read-wrong")
    assert code == 0
    assert "training pairs by label: entailment: 16, neutral: 20, contradiction: 0" in printed
    assert "No training pair is contradiction, " in printed and "--label-values" in printed
    _, printed, _ = esim(*words, "--label-values", "1,0,none", "--out", "read-right")
    assert "training pairs by label: 1: 20, 0: 16, none: 0" in printed
    assert "No training pair is none, " in printed and "--label-values" not in printed
    assert "No training pair" not in (named_run / "log.txt").read_text()


def test_accuracy_of_few_pairs_comes_with_a_caution(named_run: Path, small_run: Path) -> None:
    caution = (
        "dev has only 3 pairs, too few to tell one model from another: one pair is 33.3 points"
    )
    for name in ("log.txt", "report.html"):
        assert caution in (named_run / name).read_text()
        assert "too few" not in (small_run / name).read_text()  # 200 premises each


def test_training_says_that_words_are_phrases_and_what_splits_them(
    esim: Caller, tmp_path: Path
) -> None:
    rows = ["premise,hypothesis,label"]
    for number in range(12):
        label = ("entailment", "contradiction")[number % 2]
        rows.append(
            f"第{number}个孩子在公园里踢球。,{('有人在运动', '孩子们都睡着了')[number % 2]}。,{label}"
        )
    (tmp_path / "chinese.csv").write_text("\n".join(rows), encoding="utf-8")
    words = (*TRAIN, "--data", "chinese.csv")
    assert "Words are whole phrases" in esim(*words, "--out", "phrases")[1]
    printed = esim(*words, "--tokenizer", "unicode", "--out", "characters")[1]
    assert "Words are whole phrases" not in printed


def test_sentences_of_one_word_start_from_random_vectors(esim: Caller, tmp_path: Path) -> None:
    rows = ("Yes,No,contradiction", "No,Yes,contradiction", "Yes,Yes,entailment", "So,No,neutral")
    (tmp_path / "words.csv").write_text("\n".join(["premise,hypothesis,label", *rows * 3]))
    code, printed, _ = esim(*TRAIN, "--data", "words.csv", "--vectors", "train", "--out", "run")
    assert code == 0 and "vectors: random: no training sentence has two words" in printed
