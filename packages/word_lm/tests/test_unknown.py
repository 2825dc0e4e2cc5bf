"""What part of a text is `<unk>` is said beside its perplexity: a model predicts `<unk>` after `<unk>` easily."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Caller = Callable[..., tuple[int, str, str]]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "foreign.txt"
    path.write_text("der Zug fährt heute nicht nach Berlin .\n" * 40, encoding="utf-8")
    return path


def test_text_of_another_language_is_warned_of_by_every_verb_that_measures_one(
    word_lm: Caller, small_run: Path, foreign: Path, tmp_path: Path
) -> None:
    for words in (
        ["evaluate", small_run, "--data", foreign],
        ["surprisal", small_run, "--text", foreign, "--out", tmp_path / "page.html"],
        ["context", small_run, "--data", foreign, "--lengths", "1,2", "--tokens", 20, "--out", tmp_path],
    ):  # fmt: skip
        code, printed, error = word_lm(*words)
        assert code == 0, error
        assert "% of the text is <unk>" in error and error.count("\n") == 1, words
        assert "<unk>" in printed or words[0] == "context"
    # 7 of 9 tokens: the vocabulary has only the period and the end of the line.
    code, printed, _ = word_lm("evaluate", small_run, "--data", foreign, "--json")
    assert json.loads(printed)["figures"][0]["unknown"] == pytest.approx(7 / 9)
    assert "says little about the words" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_fraction_of_unk_is_told_without_a_warning_where_it_is_low(
    word_lm: Caller, small_run: Path
) -> None:
    metrics = json.loads((small_run / "summary.json").read_text())["metrics"]
    words = (small_run / "config.yaml").read_text()
    data = next(line.split(": ")[1] for line in words.splitlines() if line.startswith("data:"))
    test = (Path(data) / "test.txt").read_text().replace("\n", " <eos> ").split()
    assert metrics["test_unknown"] == pytest.approx(test.count("<unk>") / len(test))
    code, printed, error = word_lm("evaluate", small_run)
    assert (code, error) == (0, "")
    assert f"{100 * metrics['test_unknown']:.1f} % <unk>" in printed
