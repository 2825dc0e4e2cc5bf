"""Starting from a trained run (`--init`), and reading other people's data: classes and words that are new."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from conftest import write_reviews

from imdb_sentiment.model.trained import NetworkClassifier, load

Caller = Callable[..., tuple[int, str, str]]
STILL = ("--steps", 1, "--learning-rate", 1e-12, "--device", "cpu", "--dropout", 0, "--embedding-size", 32,
         "--hidden-size", 32)  # fmt: skip


def test_run_starts_with_the_weights_of_another(
    imdb: Caller, lstm_run: Path, sample_folder: Path, tmp_path: Path
) -> None:
    code, printed, error = imdb(
        "train",
        "--init",
        lstm_run,
        "--data",
        sample_folder,
        "--out",
        "next",
        "--limit",
        100,
        *STILL,
    )
    assert (code, error) == (0, "")
    assert "its head" in printed
    texts = ["The story is superb.", "The ending is boring."]
    old, new = load(lstm_run).probabilities(texts), load(tmp_path / "next").probabilities(texts)
    assert np.abs(old - new).max() < 1e-5


def test_new_words_and_classes_are_added(imdb: Caller, lstm_run: Path, tmp_path: Path) -> None:
    for kind, word in (("angry", "grumpily"), ("calm", "serenely"), ("glad", "gleefully")):
        folder = tmp_path / "own" / kind
        folder.mkdir(parents=True)
        for number in range(12):
            text = f"The story is {word} told, number {number}."
            (folder / f"{kind}{number}.txt").write_text(text)
    code, printed, error = imdb(
        "train", "--init", lstm_run, "--data", "own", "--out", "next", *STILL
    )
    assert (code, error) == (0, "")
    assert "a new head for angry, calm, glad" in printed
    assert "no test set" in printed
    old, new = load(lstm_run), load(tmp_path / "next")
    assert new.classes == ("angry", "calm", "glad")
    assert isinstance(old.classifier, NetworkClassifier)
    assert isinstance(new.classifier, NetworkClassifier)
    vocabularies = [m.classifier.codec.vocabulary for m in (old, new)]  # type: ignore[union-attr]
    assert vocabularies[1].tokens[: len(vocabularies[0])] == vocabularies[0].tokens
    assert {"grumpily", "serenely", "gleefully"} <= set(vocabularies[1].tokens)
    a, b = (m.classifier.network.state_dict() for m in (old, new))  # type: ignore[union-attr]
    assert np.allclose(a["embedding.weight"], b["embedding.weight"][: len(a["embedding.weight"])])
    assert np.allclose(a["lstm.weight_hh_l0"], b["lstm.weight_hh_l0"])


def test_what_does_not_fit_is_refused(
    imdb: Caller, lstm_run: Path, linear_run: Path, sample_folder: Path
) -> None:
    start = ("train", "--data", sample_folder, "--steps", 1, "--device", "cpu")
    for number, (words, message) in enumerate(
        (
            (("--init", linear_run), "is a nbsvm. Expected a run of --model lstm"),
            (("--init", lstm_run, "--embedding-size", 32), "its layers have other sizes"),
            (("--init", lstm_run, "--tokenizer", "review"), "has --tokenizer marks, not review"),
            (("--init", lstm_run, "--layers", 2), "lacks layers of this model (lstm."),
            (("--init", lstm_run, "--prefix-letters", 3), "has --prefix-letters None, not 3"),
            (("--init", lstm_run, "--log-count-ratios", 2), "has --log-count-ratios None, not 2"),
        )
    ):
        code, _, error = imdb(*start, "--out", f"next{number}", *words)
        assert code == 2
        assert message in error, error


def test_inspect_shows_the_first_batch_and_writes_the_vocabulary(
    imdb: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = (
        "inspect",
        "--recipe",
        "baseline",
        "--data",
        sample_folder,
        "--limit",
        40,
        "--test-limit",
        40,
    )
    code, printed, error = imdb(*words, "--word", "boring", "--out", "words")
    assert (code, error) == (0, "")
    assert "ids (40, 592)" in printed and "'boring'" in printed
    stoi = json.loads((tmp_path / "words/stoi.json").read_text())
    assert (tmp_path / "words/itos.txt").read_text().splitlines()[stoi["boring"]] == "boring"
    facts = json.loads(imdb(*words, "--json")[1])
    assert facts["batch"]["targets"]["shape"] == [40]
    assert imdb(*words, "--word", "absent")[0] == 2


def test_classes_that_differ_in_capitals_alone_are_named(imdb: Caller, tmp_path: Path) -> None:
    rows = [f"fine {i},{('good', 'Good')[i % 2]}\ndull {i},bad" for i in range(40)]
    (tmp_path / "own.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    _, printed, _ = imdb("train", "--recipe", "nbsvm", "--data", "own.csv", "--out", "run")
    assert "differ in capitals alone are told apart: Good, good.\n" in printed


def test_three_classes_from_a_table_and_their_names(imdb: Caller, tmp_path: Path) -> None:
    rows = ["review;mood"]
    for number in range(40):
        rows += [f"fine and {number};good", f'"dull; and {number}";bad', f"so so {number};neither"]
    (tmp_path / "own.csv").write_text("\n".join(rows) + "\n")
    columns = ("--text-column", "review", "--label-column", "mood", "--separator", ";")
    words = ("train", "--recipe", "nbsvm", "--data", "own.csv", "--out", "run", *columns)
    code, printed, error = imdb(*words)
    assert (code, error) == (0, "")
    assert "classes: bad, good, neither" in printed
    for text in (printed, (tmp_path / "run/report.html").read_text()):
        assert "test has only 12 reviews, too few" in text
    for name, word in (("bad", "dull"), ("good", "fine"), ("neither", "so")):
        assert re.search(rf"<tr><td>{name}</td><td>[^<]*\b{word} \+", text)
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["data"]["reviews"] == {"train": 96, "valid": 12, "test": 12}
    assert summary["metrics"]["test_accuracy"] == 1
    prediction = load(tmp_path / "run").predict("dull")
    assert prediction.label == "bad"
    assert set(prediction.scores) == {"bad", "good", "neither"}
    assert json.loads(imdb("predict", "run", "dull", "--json")[1])["label"] == "bad"
    # The same data again: its test rows alone, not those that were trained on.
    printed = imdb("evaluate", "run", "--data", "own.csv")[1]
    assert printed.startswith("test: 12 reviews (the test part of own.csv, as training divides it)")
    (tmp_path / "new.csv").write_text("review;mood\nfine;good\ndull;bad\n")
    found = json.loads(imdb("evaluate", "run", "--data", "new.csv", "--json")[1])
    assert (found["reviews"], found["source"]) == (2, "all of new.csv")
    (tmp_path / "odd.csv").write_text("review;mood\nfine;wonderful\n")
    code, _, error = imdb("evaluate", "run", "--data", "odd.csv")
    assert code == 2 and "'wonderful' is not a class" in error
    code, _, error = imdb("train", "--recipe", "nbsvm", "--data", "own.csv", *columns[:4])
    assert code == 2 and "is the separator ';'? Name it with --separator" in error
    code, _, error = imdb("train", "--recipe", "nbsvm", "--data", "own.csv", "--separator", ";")
    assert code == 2 and "has no column 'text'. Name it with --text-column" in error


def test_neutral_folder_beside_pos_and_neg_is_a_class(imdb: Caller, tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_reviews(tmp_path / "d", split, ["good film"] * 20, ["bad film, no"] * 20)
        neutral = tmp_path / "d" / split / "neu"
        neutral.mkdir()
        for number in range(20):
            (neutral / f"{number}_5.txt").write_text("so so, perhaps")
    assert imdb("train", "--recipe", "nbsvm", "--data", "d", "--out", "run", "--quiet")[0] == 0
    model = load(tmp_path / "run")
    assert model.classes == ("neg", "neu", "pos")
    assert [p.label for p in model.predict(["good film", "so so", "bad"])] == ["pos", "neu", "neg"]
    code, printed, _ = imdb("explain", "run", "so so, perhaps", "--out", "e.html")
    assert (code, "probability of neu" in printed) == (0, True)
    code, printed, _ = imdb("mistakes", "run", "--out", "m.html")
    assert (code, "of 60 predictions are wrong" in printed) == (0, True)


def test_one_text_gives_one_prediction_and_letters_are_never_judged(linear_run: Path) -> None:
    import pytest

    model = load(linear_run)
    one, several = model.predict("superb"), model.predict(["superb"])
    assert several == [one]
    assert one.probability == max(one.scores.values()) == one.scores[one.label]
    with pytest.raises(TypeError, match="texts is a str"):
        model.probabilities("superb")
    with pytest.raises(TypeError, match="a text is a int"):
        model.probabilities([3])  # type: ignore[list-item]
    assert "nbsvm" in repr(model) and "negative, positive" in repr(model)


def test_chinese_is_read_as_characters(imdb: Caller, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["电影", "剧情", "演员", "音乐", "结尾", "导演"]
    good, bad = ["很精彩", "真好看", "太感人了"], ["很无聊", "真难看", "太糟糕了"]
    lines = ["text,label"]
    for _ in range(200):
        for label, words in (("好评", good), ("差评", bad)):
            parts = [f"这部{rng.choice(names)}{rng.choice(words)}" for _ in range(3)]
            lines.append(f"{'，'.join(parts)}。,{label}")
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert imdb("train", "--recipe", "nbsvm", "--data", "d.csv", "--out", "r", "--quiet")[0] == 0
    metrics = json.loads((tmp_path / "r/summary.json").read_text())["metrics"]
    assert metrics["test_accuracy"] > 0.97
    assert load(tmp_path / "r").predict("这部片子太糟糕了").label == "差评"
