from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import write_reviews

from imdb_sentiment.cli import VERBS
from imdb_sentiment.commands.options import RECIPES
from imdb_sentiment.config import TrainConfig
from shared.testing import (
    assert_finds_learning_rate,
    assert_help_is_light,
    assert_recipe_states,
    assert_verb_explains,
)

Caller = Callable[..., tuple[int, str, str]]


def test_help_starts_at_once_and_imports_nothing_heavy() -> None:
    assert_help_is_light(
        "imdb_sentiment",
        heavy=("torch", "numpy", "sklearn", "transformers", "matplotlib", "jsonargparse"),
    )


def test_linear_models_train_and_judge_without_torch(sample_folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from imdb_sentiment.cli import main;"
        f"code = main(['train', '--recipe', 'nbsvm', '--data', {str(sample_folder)!r}, '--out', 'run', '--quiet']);"
        "code = code or main(['predict', 'run', 'a superb film']);"
        "sys.exit(code or ('torch was imported' if 'torch' in sys.modules else 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("positive\t")


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_explains_its_options(verb: str, imdb: Caller) -> None:
    assert_verb_explains(imdb, "imdb-sentiment", verb)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_reads_strictly_and_says_what_to_expect(
    name: str, imdb: Caller, tmp_path: Path
) -> None:
    assert_recipe_states(imdb, "imdb_sentiment", TrainConfig, name, tmp_path)


BAD_TRAINING = {
    "batch 0": (["--batch-size", "0"], "--batch-size is 0, expected >= 1"),
    "dropout 1": (["--dropout", "1"], "--dropout is 1.0, expected 0 to below 1"),
    "valid fraction": (
        ["--valid-fraction", "1"],
        "--valid-fraction is 1.0, expected above 0 and below 1",
    ),
    "limit": (["--limit", "9999"], "--limit 9999: there are only"),
    "two at once": (["--max-tokens", "0", "--layers", "0"], "--max-tokens is 0, expected >= 1"),
    "cnn with a state": (
        ["--model", "cnn", "--pooling", "last"],
        "--pooling is last, expected max_mean, max or mean",
    ),
    "front padding": (
        ["--padding", "front"],
        "--pooling is max_mean, expected last or last_position with --padding front",
    ),
    "last position of a batch": (
        ["--pooling", "last_position"],
        "--pooling is last_position, expected last, unless --padding is front",
    ),
    "n-grams": (["--ngrams", "9"], "--ngrams is 9, expected 1 to 4"),
    "unknown model": (["--model", "lstmm"], "--model is lstmm, expected one of"),
    "no encoder": (["--model", "encoder"], "--encoder is missing"),
    "vectors": (["--vectors", "none.txt"], "none.txt"),
    "fp16": (["--precision", "fp16"], "--precision is fp16"),
    "unknown flag": (["--batchsize", "3"], "--batchsize is not known to `imdb-sentiment train`"),
    "unknown recipe": (["--recipe", "nbsvn"], "--recipe nbsvn does not exist (did you mean nbsvm"),
    "no data": (["--data", "none"], "--data none: not found"),
    "size of given vectors": (
        ["--vectors", "glove.txt", "--embedding-size", "50"],
        "--embedding-size has no effect with --vectors glove.txt, only with --vectors null or reviews",
    ),
    "two test sets": (
        ["--test-data", "test.csv", "--test-fraction", "0.2"],
        "--test-fraction has no effect with --test-data test.csv",
    ),
}


@pytest.mark.parametrize("case", BAD_TRAINING)
def test_bad_training_is_refused_in_one_line(case: str, imdb: Caller, sample_folder: Path) -> None:
    words, expected = BAD_TRAINING[case]
    code, _, error = imdb(
        "train", "--device", "cpu", "--data", sample_folder, "--out", "run", *words
    )
    assert code == 2
    assert expected in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_bad_files_are_refused_in_one_line(imdb: Caller, tmp_path: Path, linear_run: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("fine\ncafé\n".encode("latin-1"))
    (tmp_path / "no.csv").write_text("id,text\n1,good\n2\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("text,label\n")
    (tmp_path / "single.csv").write_text("text,label\nfine,good\n")
    shutil.copy(tmp_path / "no.csv", tmp_path / "reviews.2011.CSV")
    cases = [
        (("predict", linear_run, "--file", "none.txt"), "none.txt: not found"),
        (("predict", linear_run, "--file", "latin.txt"), "latin.txt:2: is not utf-8"),
        (("predict", linear_run, "--file", "no.csv"), "no.csv:3: has 1 field,"),
        (
            ("predict", linear_run, "--file", "no.csv", "--text-column", "x"),
            "no.csv:1: has no column 'x'",
        ),
        (
            ("predict", linear_run, "--file", "reviews.2011.CSV", "--text-column", "text"),
            "reviews.2011.CSV:3: has 1 field,",
        ),
        (
            ("predict", linear_run, "--file", "empty.csv", "--text-column", "text"),
            "empty.csv: is empty",
        ),
        (("predict", linear_run, "good", "--file", "latin.txt"), "--file is latin.txt"),
        (
            ("predict", linear_run, "good", "no.csv"),
            "TEXTS is no.csv, expected a review; a file is named with --file",
        ),
        (("predict", linear_run, "good", "--separator", ";"), "--separator is ;"),
        (("predict", linear_run, "good", "--encoding", "latin1"), "--encoding is latin1"),
        (("predict", "none", "good"), "none: is not a run"),
        (("evaluate", linear_run, "--data", "header.csv"), "header.csv: has a header alone"),
        (("train", "--data", "single.csv", "--out", "a"), "single.csv: every label is 'good'"),
        (("explain", linear_run, "good", "--reviews", 3), "--reviews has no effect with TEXT"),
        (("study", "--encoder", "x"), "--encoder has no effect with --part lstm"),
        (("study", "--part", "encoder", "--vectors", "x"), "--vectors has no effect with --part"),
        (("ablate", "--encoder", "x"), "--encoder"),
        (("compare-models", "--recipes", "[nbsvm]", "--encoder", "x"), "--encoder is x"),
        (("learning-curve", "--encoder", "x"), "--encoder is x"),
        (("evaluate", linear_run, "--data", "."), "train: not found. Expected {train,test}"),
        (("explain", linear_run, "good", "--method", "gradient"), "is linear"),
        (("export", linear_run), "is a linear model"),
        (("bench", "--recipe", "nbsvm"), "--recipe nbsvm is a nbsvm"),
        (("compare-models", "--recipes", "[nothing]"), "--recipe nothing does not exist"),
        (("report", "none"), "none: is not a run"),
    ]
    for words, expected in cases:
        code, _, error = imdb(*words)
        assert code == 2, words
        assert expected in error, (words, error)
        assert error.count("\n") == 1, (words, error)


def test_evaluate_needs_no_more_than_the_splits_folders(
    imdb: Caller, tmp_path: Path, linear_run: Path, lstm_run: Path
) -> None:
    write_reviews(
        tmp_path / "own", "test", ["A superb story, not dull.", "x"], ["It is boring.", "", "?!"]
    )
    for run in (linear_run, lstm_run):
        code, printed, error = imdb("evaluate", run, "--data", "own", "--json")
        assert (code, error) == (0, "")
        found = json.loads(printed)
        assert found["reviews"] == 5
        assert 0 <= found["accuracy"] <= 1
    code, printed, _ = imdb("evaluate", linear_run, "--data", "own")
    assert code == 0 and "accuracy" in printed


def test_data_of_a_run_that_is_gone_is_named(
    imdb: Caller, linear_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(linear_run, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(re.sub("(?m)^data: .*$", "data: gone.csv", text), encoding="utf-8")
    code, _, error = imdb("evaluate", "run")
    assert code == 2
    assert error.endswith("gone.csv: the run's data is not there. Name data with --data.\n")


def test_evaluate_prints_what_training_measured(imdb: Caller, lstm_run: Path) -> None:
    _, printed, _ = imdb("evaluate", lstm_run, "--json")
    summary = json.loads((lstm_run / "summary.json").read_text())
    assert json.loads(printed)["accuracy"] == summary["metrics"]["test_accuracy"]


def test_audit_prints_and_writes_what_it_found(
    imdb: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sample_folder, folder)
    shutil.copy(next((folder / "train/pos").iterdir()), folder / "test/pos/999_9.txt")
    code, printed, _ = imdb("audit", "--data", folder, "--out", "audit.html")
    assert code == 0
    assert "     1  test reviews that are in train too: train/pos/" in printed
    assert "= test/pos/999_9.txt" in (tmp_path / "audit.html").read_text()
    assert json.loads(imdb("audit", "--data", folder, "--json")[1])["leaks"] == 1


def test_compare_makes_a_table_and_keeps_its_runs(
    imdb: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    words = (
        "compare-models",
        "--data",
        sample_folder,
        "--recipes",
        "[nbsvm,tfidf,encoder]",
        "--out",
        "all",
    )
    code, printed, error = imdb(*words)
    assert (code, error) == (0, "")
    rows = [line.split() for line in printed.splitlines()]
    assert rows[0][:3] == ["recipe", "test", "valid"]
    assert [row[0] for row in rows[1:3]] == ["nbsvm", "tfidf"]
    assert float(rows[1][1]) > 80
    assert "left out: --encoder bert-base-uncased: is not on this machine" in printed
    page = (tmp_path / "all/compare-models.html").read_text()
    assert "nbsvm" in page and "reviews/s" in page
    before = (tmp_path / "all/nbsvm/summary.json").stat().st_mtime_ns
    found = json.loads(imdb(*words, "--json")[1])
    assert [model["recipe"] for model in found["models"]] == ["nbsvm", "tfidf", "encoder"]
    assert (tmp_path / "all/nbsvm/summary.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["baseline", "handwritten", "cnn", "bilstm"])
def test_network_recipes_run(name: str, imdb: Caller, tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_reviews(tmp_path, split, ["good film"] * 20, ["bad film, no"] * 20)
    code, _, error = imdb(
        "compare-models",
        "--data",
        ".",
        "--recipes",
        f"[{name}]",
        "--epochs",
        1,
        "--out",
        "all",
        "--threads",
        1,
    )
    assert (code, error) == (0, "")
    summary = json.loads((tmp_path / "all" / name / "summary.json").read_text())
    assert {"valid_accuracy", "test_accuracy"} <= set(summary["metrics"])
    page = (tmp_path / "all" / name / "report.html").read_text()
    assert ("Defects of the coursework" in page) == (name == "baseline")
    if name == "baseline":
        assert summary["metrics"]["padding"] > 0.99  # three words of 592
        assert f"{summary['metrics']['padding']:.0%} of what is computed" in page


def test_ablation_trains_each_variant_once_and_compares(
    imdb: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imdb_sentiment.commands import ablate

    for split in ("train", "test"):
        write_reviews(tmp_path, split, ["good film"] * 20, ["bad film, no"] * 20)
    names = ("baseline, all four defects", "no defect")
    monkeypatch.setattr(ablate, "VARIANTS", {name: ablate.VARIANTS[name] for name in names})
    words = ("ablate", "--data", ".", "--epochs", 1, "--limit", 16, "--test-limit", 8, "--max-tokens", 9,
             "--seeds", "1,2", "--threads", 1, "--out", "a")  # fmt: skip
    code, printed, error = imdb(*words)
    assert (code, error) == (0, "")
    assert "no defect" in printed and " ± " in printed
    table = json.loads((tmp_path / "a/ablate.json").read_text())["trials"]
    assert [len(row["test_accuracies"]) for row in table] == [2, 2]
    config = (tmp_path / "a/no-defect-seed2/config.yaml").read_text()
    assert "softmax_first: false" in config and "padding: batch" in config
    before = (tmp_path / "a/no-defect-seed2/summary.json").stat().st_mtime_ns
    assert imdb(*words)[0] == 0
    assert (tmp_path / "a/no-defect-seed2/summary.json").stat().st_mtime_ns == before


def test_every_variant_of_ablate_and_study_is_a_configuration() -> None:
    from dataclasses import replace

    from imdb_sentiment.commands import ablate, study
    from imdb_sentiment.commands.recipe_runs import recipe

    for name, variants in (("baseline", ablate.VARIANTS), *study.RECIPES.values()):
        configs = {key: replace(recipe(name), **changes) for key, changes in variants.items()}
        assert len(set(configs.values())) == len(configs), name


def test_learning_curve_rises_with_the_reviews(
    imdb: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("learning-curve", "--data", sample_folder, "--recipes", "[nbsvm]", "--out", "curve")
    code, printed, error = imdb(*words, "--sizes", "[20,200,5000]", "--seeds", "[1,2]", "--json")
    assert (code, error) == (0, "")
    points = json.loads(printed)["points"]
    assert sorted({p["reviews"] for p in points}) == [20, 200, 720]
    mean = {
        n: np.mean([p["test_accuracy"] for p in points if p["reviews"] == n]) for n in (20, 720)
    }
    assert mean[720] > mean[20] + 0.05
    for run in (tmp_path / "curve").glob("nbsvm-*"):  # nothing of valid is trained on
        summary = json.loads((run / "summary.json").read_text())
        assert summary["trained_on"] == summary["data"]["reviews"]["train"]
    assert (tmp_path / "curve/learning-curve.png").read_bytes()[:4] == b"\x89PNG"


def test_learning_curve_takes_any_number_of_classes_of_any_size(
    imdb: Caller, tmp_path: Path
) -> None:
    counts = {"good": 90, "fair": 40, "bad": 30}
    rows = [f"a {name} film {i},{name}" for name, count in counts.items() for i in range(count)]
    (tmp_path / "own.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    words = ("learning-curve", "--data", "own.csv", "--recipes", "[tfidf]", "--sizes", "[30,999]")
    code, printed, error = imdb(*words, "--out", "curve", "--json")
    assert (code, error) == (0, "")
    some, whole = (point["reviews"] for point in json.loads(printed)["points"])
    assert some == 30 and 120 < whole < 160  # less a tenth for test and a tenth for validation


@pytest.mark.parametrize("model", ["lstm", "handwritten_lstm", "cnn"])
def test_onnx_is_torchs_for_any_number_and_length_of_reviews(
    model: str, imdb: Caller, lstm_run: Path, sample_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    from imdb_sentiment.model.trained import NetworkClassifier, load

    run: Path | str = lstm_run
    if model != "lstm":
        run = "run"
        assert (
            imdb(
                "train",
                "--data",
                sample_folder,
                "--model",
                model,
                "--steps",
                2,
                "--out",
                run,
                "--quiet",
            )[0]
            == 0
        )
    code, printed, error = imdb("export", run, "--out", "onnx")
    assert (code, error) == (0, "")
    assert "probabilities are torch's to" in printed
    classifier = load(run).classifier
    assert isinstance(classifier, NetworkClassifier)
    session = onnxruntime.InferenceSession(
        str(tmp_path / "onnx/model.onnx"), providers=["CPUExecutionProvider"]
    )
    for texts in (["good " * 77, "bad", "a b c", "d"], ["boring and dull"]):
        ids, lengths = classifier.network.batch(classifier.codec.encode(texts))
        (found,) = session.run(None, {"ids": ids.numpy(), "lengths": lengths.numpy()})
        assert np.abs(found - classifier.probabilities(texts)).max() < 1e-4


def test_bench_times_all_engines(imdb: Caller, sample_folder: Path) -> None:
    code, printed, _ = imdb(
        "bench", "--data", sample_folder, "--recipe", "handwritten", "--batches", 1, "--rounds", 1, "--threads", 1,
        "--json",
    )  # fmt: skip
    assert code == 0
    found = json.loads(printed)
    assert set(found["ratios"]) == {"ours", "coursework", "padded", "packed", "handwritten"}
    assert found["ratios"]["ours"] == 1
    assert found["padding"]["coursework"] > 0.8 > found["padding"]["ours"]


def test_report_makes_the_same_page_again(
    imdb: Caller, linear_run: Path, lstm_run: Path, tmp_path: Path
) -> None:
    for run in (linear_run, lstm_run):
        assert imdb("report", run, "--out", "page.html")[0] == 0
        page = (tmp_path / "page.html").read_text()
        assert page == (run / "report.html").read_text()
        accuracies = re.findall(r"test accuracy[^<]*", page)
        assert accuracies == [
            "test accuracy",
            "test accuracy of negative reviews",
            "test accuracy of positive reviews",
        ]
        assert "Confusion on test" in page


def test_sample_never_overwrites(imdb: Caller) -> None:
    assert imdb("sample", "--out", "a")[0] == 0
    code, _, error = imdb("sample", "--out", "a")
    assert code == 2
    assert "a: is not empty" in error


def test_damaged_checkpoint_is_named_and_a_changed_file_never_used(
    imdb: Caller, linear_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(linear_run, run)
    (run / "checkpoints/best/linear.safetensors").write_bytes(b"x")
    code, _, error = imdb("predict", run, "good")
    assert code == 2
    assert "every checkpoint in it is damaged" in error


@pytest.mark.parametrize("name", ["bilstm", "cnn", "encoder", "handwritten"])
def test_typed_epochs_are_kept_where_the_recipe_has_min_steps(name: str, imdb: Caller) -> None:
    words = ["train", "--recipe", name, *(["--encoder", "folder"] if name == "encoder" else [])]
    recipe = yaml.safe_load(imdb(*words, "--print-config")[1])
    assert recipe["min_steps"] > 0
    typed = yaml.safe_load(imdb(*words, "--epochs", 2, "--print-config")[1])
    assert typed == recipe | {"epochs": 2, "min_steps": 0}


def test_learning_rate_is_looked_for_and_no_run_is_left(
    imdb: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = (
        "train",
        "--data",
        sample_folder,
        "--model",
        "lstm",
        "--embedding-size",
        16,
        "--hidden-size",
        16,
        "--device",
        "cpu",
        "--threads",
        1,
    )
    assert_finds_learning_rate(imdb, words, tmp_path)


def test_linear_model_has_no_learning_rate_to_look_for(imdb: Caller, sample_folder: Path) -> None:
    words = ("train", "--data", sample_folder, "--recipe", "nbsvm", "--find-learning-rate")
    code, _, error = imdb(*words)
    assert code == 2
    assert "--find-learning-rate: nbsvm has no learning rate" in error
