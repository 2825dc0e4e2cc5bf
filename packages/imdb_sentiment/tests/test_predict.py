"""Judging reviews, and saying why: the verbs `predict`, `explain` and `mistakes`."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imdb_sentiment.commands.options import PredictOptions
from imdb_sentiment.config import TrainConfig

Caller = Callable[..., tuple[int, str, str]]


TEXT = "The story is superb."


def test_predict_reads_texts_files_csv_and_standard_input_alike(
    imdb: Caller, tmp_path: Path, linear_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "The ending is boring, and dull,\r\nand awful."
    (tmp_path / "lines.txt").write_text(f"{TEXT}\n\n")
    (tmp_path / "cells.csv").write_text(f'id,review\n1,{TEXT}\n2,"{other}"\n', newline="")
    judged = imdb("predict", linear_run, TEXT, other)[1].splitlines()
    assert [line.split("\t")[0] for line in judged] == ["positive", "negative"]
    assert (
        imdb("predict", linear_run, "--file", "cells.csv", "--text-column", "review")[
            1
        ].splitlines()
        == judged
    )
    lines = imdb("predict", linear_run, "--file", "lines.txt")[1].splitlines()
    assert lines[0] == judged[0] and len(lines) == 2
    for words, content in (
        ((), f"{TEXT}\n"),
        (("--text-column", "review"), f"id,review\n1,{TEXT}\n"),
    ):
        stdin = io.TextIOWrapper(io.BytesIO(content.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert imdb("predict", linear_run, *words)[1].splitlines() == judged[:1]
    _, printed, _ = imdb("predict", linear_run, TEXT, "--json")
    assert json.loads(printed)["label"] == "positive"


def test_predict_holds_no_more_than_a_batch(
    linear_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endless input: reviews are asked for as they are judged, and are not kept."""
    from imdb_sentiment.commands import predict

    asked = 0

    def endless() -> Any:
        nonlocal asked
        for number in itertools.count():
            asked = number
            yield f"review {number}\n"

    monkeypatch.setattr(predict, "standard_input", endless)
    reviews = predict.texts_of(PredictOptions(str(linear_run)), TrainConfig())
    first = list(itertools.islice(reviews, 5))
    assert first[4] == "review 4"
    assert asked == 4


def test_predict_answers_each_line_of_standard_input_as_it_arrives(linear_run: Path) -> None:
    command = [sys.executable, "-m", "imdb_sentiment", "predict", str(linear_run)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for text, label in ((TEXT, "positive"), ("Dull and awful.", "negative")):
            process.stdin.write(f"{text}\n")
            assert process.stdout.readline().startswith(label)  # while the input is open
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_table_cells_may_be_a_megabyte(imdb: Caller, linear_run: Path, tmp_path: Path) -> None:
    (tmp_path / "big.csv").write_text(f'text\n"{"good " * 200_000}"\n')
    code, printed, _ = imdb("predict", linear_run, "--file", "big.csv", "--text-column", "text")
    assert (code, len(printed.splitlines())) == (0, 1)


DAMAGED = {
    "open quote": ('id,review\n1,"Great film\n2,Awful\n3,Lovely\n', "review", "t.csv:2: a quote is opened"),
    "extra comma": ("review,label\nGreat, really great,1\n", "review", "t.csv:2: has 3 fields, expected 2"),
    "backslash quote": (
        'id,review\n1,"He said \\"never again\\", and I agree"\n', "review", "t.csv:2: a quoted field does not end",
    ),
    "lone carriage return": ("id,review\n1,good\rbad\n", "review", "t.csv:2: has a carriage return"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_table_is_named_and_never_judged(
    case: str, imdb: Caller, linear_run: Path, tmp_path: Path
) -> None:
    content, column, message = DAMAGED[case]
    (tmp_path / "t.csv").write_text(content, newline="")
    code, printed, error = imdb("predict", linear_run, "--file", "t.csv", "--text-column", column)
    assert (code, printed) == (2, "")
    assert message in error and error.count("\n") == 1


def test_tables_of_all_kinds_give_the_same(imdb: Caller, linear_run: Path, tmp_path: Path) -> None:
    texts = ["Dull, slow", "Loved it"]
    (tmp_path / "no-header.csv").write_text('"1","Dull, slow"\n"2","Loved it"\n')
    (tmp_path / "t.tsv").write_text("id\treview\n1\tDull, slow\n2\tLoved it\n")
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"review": t}) + "\n" for t in texts))
    (tmp_path / "t.csv").write_text("id;review\n1;Dull, slow\n2;Loved it\n")
    expected = imdb("predict", linear_run, *texts)[1]
    (tmp_path / "named.csv").write_text(
        'id,text\n1,"Dull, slow"\n2,Loved it\n'
    )  # the column of the run
    for words in (
        ("named.csv",),
        ("no-header.csv", "--text-column", 2),
        ("t.tsv", "--text-column", "review"),
        ("t.jsonl", "--text-column", "review"),
        ("t.csv", "--text-column", "review", "--separator", ";"),
    ):
        assert imdb("predict", linear_run, "--file", *words) == (0, expected, ""), words


def test_table_is_read_in_the_form_of_the_runs(imdb: Caller, tmp_path: Path) -> None:
    rows = "".join(f"schön {i};gut\nöde {i};schlecht\n" for i in range(20))
    (tmp_path / "own.csv").write_text("Text;Urteil\n" + rows, encoding="cp1252")
    form = ("--text-column", "Text", "--label-column", "Urteil", "--separator", ";")
    train = ("train", "--recipe", "nbsvm", "--data", "own.csv", "--encoding", "cp1252", "--quiet")
    assert imdb(*train, *form, "--out", "run")[0] == 0
    code, printed, error = imdb("predict", "run", "--file", "own.csv")
    assert (code, error) == (0, "")
    assert [line.split("\t")[0] for line in printed.splitlines()] == ["gut", "schlecht"] * 20
    assert "schön 0" in printed
    (tmp_path / "more.jsonl").write_text('{"Text": "öde"}\n')  # has no separator
    assert imdb("predict", "run", "--file", "more.jsonl")[1].startswith("schlecht")


@pytest.mark.reliability
def test_review_of_a_megabyte_is_judged_and_explained(
    imdb: Caller, tmp_path: Path, linear_run: Path, lstm_run: Path
) -> None:
    (tmp_path / "long.txt").write_text("superb and moving " * 120_000)
    for run in (linear_run, lstm_run):
        code, printed, _ = imdb("predict", run, "--file", "long.txt")
        assert code == 0
        assert len(printed.splitlines()) == 1  # one line of the file is one review
        assert (
            imdb("explain", run, "--file", "long.txt", "--words", 3, "--out", "page.html")[0] == 0
        )


def test_explanation_blames_the_words_that_judge(lstm_run: Path, linear_run: Path) -> None:
    from imdb_sentiment.model.trained import load
    from imdb_sentiment.predict import explain

    text = "I saw Talipo with a man last week. The music is dreadful."
    for run, method in ((lstm_run, "occlusion"), (lstm_run, "gradient"), (linear_run, "occlusion")):
        spans, effects, probability = explain(load(run).classifier, text, method=method)
        words = [text[a:b] for a, b in spans]
        assert probability < 0.5
        lowest = [words[i] for i in np.argsort(effects)[:2].tolist()]
        assert "dreadful" in lowest, (method, words, effects)


def test_effect_of_a_word_is_the_change_of_the_log_odds_without_it() -> None:
    from imdb_sentiment.config import TrainConfig
    from imdb_sentiment.predict import explain

    weights = {"fine": 1.5, "but": 0.25, "long": -3.0}

    class Additive:
        config, classes = TrainConfig(model="nbsvm"), ("negative", "positive")

        def probabilities(self, texts: list[str]) -> np.ndarray:
            scores = np.array([sum(weights[word] for word in text.split()) for text in texts])
            positive = 1 / (1 + np.exp(-scores))
            return np.stack([1 - positive, positive], axis=1)

    classifier: Any = Additive()
    spans, effects, probability = explain(classifier, "fine but long")
    assert [(a, b) for a, b in spans] == [(0, 4), (5, 8), (9, 13)]
    np.testing.assert_allclose(effects, list(weights.values()))
    assert probability == pytest.approx(1 / (1 + np.exp(1.25)))


def test_explaining_one_of_three_classes_reads_the_text_itself_once() -> None:
    from imdb_sentiment.predict import explain

    read: list[str] = []

    class Three:
        config, classes = TrainConfig(model="nbsvm"), ("bad", "fair", "good")

        def probabilities(self, texts: list[str]) -> np.ndarray:
            read.extend(texts)
            return np.array(
                [[0.2, 0.7, 0.1] if "fair" in text else [0.3, 0.4, 0.3] for text in texts]
            )

    classifier: Any = Three()
    _, effects, probability = explain(classifier, "a fair film")
    assert probability == 0.7 and effects.argmax() == 1
    assert sorted(read) == sorted(["a fair film", " fair film", "a  film", "a fair "])


def test_page_of_an_explanation_escapes_what_the_review_says(
    imdb: Caller, lstm_run: Path, tmp_path: Path
) -> None:
    text = 'A <script>alert("x")</script> superb & boring film'
    for method in ("occlusion", "gradient"):
        assert imdb("explain", lstm_run, text, "--method", method, "--out", "page.html")[0] == 0
        page = (tmp_path / "page.html").read_text()
        assert "<script" not in page
        assert "&lt;" in page and "superb</span>" in page


def test_repeated_word_is_listed_with_its_position_each_time(
    imdb: Caller, lstm_run: Path, tmp_path: Path
) -> None:
    code, printed, _ = imdb("explain", lstm_run, "superb film superb", "--out", "page.html")
    assert code == 0
    assert "superb (position 1) " in printed and "superb (position 3) " in printed
    assert "one position in the text" in (tmp_path / "page.html").read_text()


def test_mistakes_page_shows_the_surest_first(
    imdb: Caller, linear_run: Path, tmp_path: Path
) -> None:
    code, printed, _ = imdb("mistakes", linear_run, "--count", 3, "--out", "page.html")
    assert code == 0
    summary = json.loads((linear_run / "summary.json").read_text())
    wrong = round(400 * (1 - summary["metrics"]["test_accuracy"]))
    assert f"{wrong} of 400 predictions are wrong" in printed
    page = (tmp_path / "page.html").read_text()
    shares = [
        float(part.split("%")[0])
        for part in page.split("Predicted ")[1:]
        for part in [part.split(" with ")[1]]
    ]
    assert shares == sorted(shares, reverse=True) and len(shares) == 3
