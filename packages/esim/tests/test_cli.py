from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from esim.cli import VERBS
from esim.commands.report import write_page
from esim.config import TrainConfig
from shared.errors import UserError
from shared.pages.links import NAV
from shared.runs.run_directory import RunDirectory
from shared.testing import (
    assert_finds_learning_rate,
    assert_help_is_light,
    assert_recipe_states,
    assert_verb_explains,
)

Caller = Callable[..., tuple[int, str, str]]
PAIR = ("A dog runs inside today.", "An animal runs outside.")


def test_help_starts_at_once_and_imports_nothing_heavy() -> None:
    assert_help_is_light("esim", heavy=("torch", "numpy", "matplotlib", "nltk", "jsonargparse"))


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_explains_its_options(verb: str, esim: Caller) -> None:
    assert_verb_explains(esim, "esim", verb)


@pytest.mark.parametrize("name", ["baseline", "laptop", "paper"])
def test_recipe_reads_strictly_and_says_what_to_expect(
    name: str, esim: Caller, tmp_path: Path
) -> None:
    assert_recipe_states(esim, "esim", TrainConfig, name, tmp_path)


def test_names_for_notebooks_are_what_they_say_and_not_modules(small_run: Path) -> None:
    code = (
        "from esim import classify, load_run;"
        f"found = classify(load_run({str(small_run)!r}), {PAIR[0]!r}, {PAIR[1]!r});"
        "print(found.label, found.over_hypothesis.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split(maxsplit=1)[1] == "(6, 5)\n"


def test_recipe_of_the_coursework_labels_its_defects() -> None:
    import esim as package

    text = (Path(str(package.__file__)).parent / "recipes" / "baseline.yaml").read_text()
    before = {
        line: above for above, line in zip(text.splitlines(), text.splitlines()[1:], strict=False)
    }
    assert before["batch_axis: true"].startswith("# DEFECT")
    assert before["relu: false"].startswith("# DEFECT")


def test_recipe_of_the_coursework_has_its_dropout_and_classifier() -> None:
    from torch import nn

    from esim.model.esim import Esim
    from shared.command.config import load, recipe_file

    config = load(TrainConfig, recipe_file("esim", "baseline"))
    model = Esim(config, 10)
    dropouts = {n: m.p for n, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert dropouts == {"classifier.layers.0": 0.5}
    assert (model.encoding.dropout.probability, model.composition.dropout.probability) == (0, 0.5)
    assert not model.composition.dropout.is_variational and not model.composition.has_relu
    layers = [type(layer) for layer in model.classifier.layers]
    assert layers == [nn.Dropout, nn.Linear, nn.ReLU, nn.Identity, nn.Linear]
    training = (config.optimizer, config.learning_rate, config.epochs, config.batch_size)
    assert training == ("adam", 0.001, 5, 32)
    assert (config.embedding_size, config.hidden_size, config.vocabulary) == (300, 300, "all")


BAD_SETTINGS = {
    "batch 0": (["--batch-size", "0"], "--batch-size is 0, expected >= 1"),
    "dropout 1": (["--dropout", "1"], "--dropout is 1.0, expected 0 to below 1"),
    "two at once": (["--hidden-size", "0", "--pool", "0"], "--pool is 0, expected >= 1"),
    "fp16": (["--precision", "fp16"], "--precision is fp16"),
    "hold out all": (["--hold-out", "99999"], "--hold-out is 99999, but train has"),
    "no such data": (["--data", "none"], "--data none: not found"),
    "no such vectors": (["--vectors", "none.txt"], "none.txt: there is no such file"),
    "size of given vectors": (
        ["--vectors", "glove.txt", "--embedding-size", "50"],
        "--embedding-size has no effect with --vectors glove.txt, only with --vectors null or train",
    ),
    "a label named twice": (
        ["--label-values", '["a","b","a"]'],
        "--label-values is ['a', 'b', 'a'], expected three different ones, or none",
    ),
    "unknown flag": (["--batchsize", "3"], "--batchsize is not known to `esim train`"),
    "unknown recipe": (["--recipe", "laptp"], "--recipe laptp does not exist (did you mean laptop"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_setting_is_refused_in_one_line(
    case: str, esim: Caller, tmp_path: Path, sample_folder: Path
) -> None:
    words, expected = BAD_SETTINGS[case]
    data = [] if "--data" in words else ["--data", sample_folder]
    code, _, error = esim("train", "--device", "cpu", *data, "--out", "run", *words)
    assert code == 2
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_bad_use_of_the_other_verbs_is_refused_in_one_line(
    esim: Caller, tmp_path: Path, small_run: Path
) -> None:
    (tmp_path / "bad.jsonl").write_text('{"gold_label": "neutral"}\n')
    (tmp_path / "none.jsonl").write_text("")
    cases = [
        (("evaluate", "none"), "none: is not a run"),
        (("evaluate", small_run, "--data", "bad.jsonl"), 'bad.jsonl:1: "sentence1" is missing'),
        (("evaluate", small_run, "--data", "none.jsonl"), "no pair with a label"),
        (("predict", small_run, "One sentence."), "HYPOTHESIS is not set"),
        (
            ("evaluate", small_run, "--label-values", '["yes","no"]'),
            "three different ones, or none",
        ),
        (("predict", small_run, *PAIR, "--premise-column", "a"), "no effect without --file"),
        (("predict", small_run, "--encoding", "latin-1"), "no effect without --file"),
        (
            ("predict", small_run, "--file", "bad.jsonl", "--label-values", "a,b,c"),
            "--label-values is ['a', 'b', 'c'], expected none",
        ),
        (("attend", small_run, *PAIR, "--pairs", 3), "--pairs has no effect with PREMISE A dog"),
        (("inspect", "--json", "--pairs", 3), "--pairs has no effect with --json true"),
        (("predict", small_run, "Two.", " "), "has no words"),
        (("predict", small_run, "--file", "no.jsonl"), "no.jsonl: not found"),
        (("predict", small_run, "--file", "."), ".: is a folder or a zip. Expected one file"),
        (("predict", small_run, "--file", "P.ZIP"), "P.ZIP: is a folder or a zip"),
        (("predict", small_run, "--attention", "a.html"), "--attention is a.html"),
        (("export", small_run, "--out", tmp_path), "is not empty"),
        (("bench", "--peer", tmp_path), "holds no esim/model.py"),
        (("report", "none"), "none: is not a run"),
    ]
    for words, expected in cases:
        code, _, error = esim(*words)
        assert code == 2, words
        assert expected in error, (words, error)
        assert error.count("\n") == 1, (words, error)


def test_evaluating_a_run_gives_the_figure_of_its_summary(
    esim: Caller, small_run: Path, sample_folder: Path
) -> None:
    summary = json.loads((small_run / "summary.json").read_text())
    code, printed, _ = esim("evaluate", small_run, "--data", sample_folder, "--json")
    found = json.loads(printed)
    assert (code, found["split"]) == (0, "test")
    assert found["accuracy"] == pytest.approx(summary["metrics"]["test_accuracy"], abs=1e-9)
    assert sum(map(sum, found["confusion"])) == found["pairs"] == summary["metrics"]["test_pairs"]
    file = sample_folder / "snli_1.0_dev.jsonl"
    code, printed, _ = esim("evaluate", small_run, "--data", file, "--checks")
    assert code == 0 and "premise of another pair" in printed
    assert f"accuracy {100 * summary['metrics']['valid_accuracy']:.2f} %" in printed


def test_evaluating_a_run_whose_data_is_gone_asks_for_data(
    esim: Caller, small_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_run, tmp_path / "run")
    file = tmp_path / "run" / "config.yaml"
    file.write_text(re.sub(r"^data: .*$", "data: gone", file.read_text(), flags=re.MULTILINE))
    code, _, error = esim("evaluate", "run")
    assert code == 2 and "gone: the run's data is not there. Name data with --data." in error


def test_evaluating_pairs_of_one_label_only_works(
    esim: Caller, small_run: Path, tmp_path: Path
) -> None:
    row = {"gold_label": "neutral", "sentence1": PAIR[0], "sentence2": PAIR[1]}
    (tmp_path / "one.jsonl").write_text(json.dumps(row) + "\n")
    code, printed, _ = esim("evaluate", small_run, "--data", "one.jsonl", "--json")
    found = json.loads(printed)
    assert code == 0 and found["recall"]["entailment"] is None


def test_prediction_prints_three_probabilities(esim: Caller, small_run: Path) -> None:
    code, printed, error = esim("predict", small_run, *PAIR)
    assert (code, error) == (0, "")
    rows = [line.split() for line in printed.splitlines()]
    assert [row[0] for row in rows] == ["entailment", "neutral", "contradiction"]
    assert sum(float(row[1]) for row in rows) == pytest.approx(1, abs=2e-4)
    _, printed, error = esim("predict", small_run, "A zebra runs.", PAIR[1])
    assert "unknown words: zebra" in error
    _, printed, _ = esim("predict", small_run, *PAIR, "--json")
    assert set(json.loads(printed)) >= {"label", "entailment", "neutral", "contradiction"}


def test_predictions_of_a_file_and_of_standard_input_are_those_of_the_pair(
    esim: Caller, small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    one = json.loads(esim("predict", small_run, *PAIR, "--json")[1])
    row = {"sentence1": PAIR[0], "sentence2": PAIR[1]}
    (tmp_path / "pairs.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(row)}\n")
    by_file = esim("predict", small_run, "--file", "pairs.jsonl", "--json")[1].splitlines()
    monkeypatch.setattr("sys.stdin", io.StringIO("\t".join(PAIR) + "\n"))
    by_input = esim("predict", small_run, "--json")[1].splitlines()
    assert len(by_file) == 2 and len(by_input) == 1
    for line in (*by_file, *by_input):
        assert json.loads(line)["neutral"] == pytest.approx(one["neutral"], abs=1e-6)
    for content, expected in (
        (b"only one\n", "standard input:1: has 1 column."),
        (
            "A café.\tA bar.\n".encode("latin-1"),
            "standard input, line 1 or one of the next: not UTF-8",
        ),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        code, _, error = esim("predict", small_run)
        assert code == 2 and expected in error
        assert error.count("\n") == 1


def test_pair_without_words_is_named_by_line_or_skipped_and_said(
    esim: Caller, small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    shutil.copytree(small_run, tmp_path / "run")
    file = tmp_path / "run" / "config.yaml"
    file.write_text(file.read_text().replace("tokenizer: nltk_lower", "tokenizer: unicode"))
    (tmp_path / "p.csv").write_text("premise,hypothesis\nA dog.,A cat.\n?!,A cat.\nA cat.,...\n")
    code, printed, error = esim("predict", "run", "--file", "p.csv")
    assert (code, printed, error.count("\n")) == (2, "", 1)
    assert "p.csv: '?!' has no tokens" in error and "--on-bad-line skip" in error
    code, printed, error = esim("predict", "run", "--file", "p.csv", "--on-bad-line", "skip")
    assert (code, printed.count("\n")) == (0, 1) and "p.csv: 2 bad lines skipped" in error
    monkeypatch.setattr("sys.stdin", io.StringIO("A dog.\tA cat.\n\nA dog.\t?!\n"))
    code, printed, error = esim("predict", "run")
    assert (code, printed.count("\n")) == (2, 1) and "standard input:3: '?!' has no words" in error


def test_attention_page_shows_both_directions_and_escapes_words(
    esim: Caller, small_run: Path, tmp_path: Path
) -> None:
    words = ("A <b>dog</b> runs.", "It costs $5.")
    assert esim("predict", small_run, *words, "--attention", "out.html")[0] == 0
    page = (tmp_path / "out.html").read_text()
    assert "Attention of the premise over the hypothesis" in page
    assert "Attention of the hypothesis over the premise" in page
    assert "<b>dog" not in page and "&lt;" in page
    assert "Predicted " in page and "✓ right" not in page  # no label is given
    assert "<script" not in page and "http" not in page
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_attend_shows_pairs_of_dev(esim: Caller, small_run: Path, tmp_path: Path) -> None:
    from esim.commands.attend import examples
    from esim.model.trained import load_run

    assert esim("attend", small_run, "--pairs", 2, "--out", "some.html")[0] == 0
    page = (tmp_path / "some.html").read_text()
    assert page.count("<h2>") == 2 and page.count('<table class="heat">') == 4
    assert page.count("✓ right") == page.count("✗ wrong") == 1
    # As many as are asked for, of the 596 with a label.
    trained = load_run(small_run)
    assert [len(examples(trained, count)) for count in (110, 1000)] == [110, 596]


def test_attention_is_shaded_on_one_scale_from_0_to_1(
    esim: Caller, small_run: Path, tmp_path: Path
) -> None:
    from esim import load
    from shared.pages.heat_map import DARKEST

    assert esim("attend", small_run, *PAIR, "--out", "one.html")[0] == 0
    shades = re.findall(r"opacity:([\d.]+)", (tmp_path / "one.html").read_text())
    weights = load(small_run, device="cpu").attention(*PAIR).over_hypothesis
    assert weights is not None
    expected = DARKEST * weights.ravel()
    assert [float(s) for s in shades[: len(expected)]] == pytest.approx(expected, abs=1e-3)


def test_nothing_overlaps_in_the_image_of_short_sentences(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import esim as package
    from esim.commands import attend

    figures = []

    def save(path: Path, figure: Any) -> None:
        figures.append(figure)
        save_figure(path, figure)

    save_figure = attend.save_figure
    monkeypatch.setattr(attend, "save_figure", save)
    attend.save_image(package.load(small_run).attention("Yes", "No"), tmp_path / "a.png")
    (figure,) = figures
    left, right, bar = (axes.get_tightbbox() for axes in figure.axes)
    assert not (left.overlaps(right) or left.overlaps(bar) or right.overlaps(bar))
    cells = [axes.get_window_extent() for axes in figure.axes]
    assert min(min(box.width, box.height) for box in cells[:2]) > 0.1 * figure.dpi


def test_page_of_a_run_links_attention_of_dev_pairs_and_back(small_run: Path) -> None:
    page = (small_run / "report.html").read_text()
    assert 'href="attention.html"' in page and 'class="heat"' in page
    assert "test accuracy" in page and 'class="headline"' in page
    attention = (small_run / "attention.html").read_text()
    assert 'href="report.html"' in attention and attention.count("<h2>") == 6
    assert attention.count("✓ right") == attention.count("✗ wrong") == 3


def test_page_and_image_of_attention_never_have_the_same_name(
    esim: Caller, small_run: Path
) -> None:
    for words in (("predict", small_run, *PAIR, "--attention"), ("attend", small_run, "--out")):
        code, _, error = esim(*words, "a.png")
        assert code == 2 and "is a.png, expected a file name that ends in .html" in error


def test_loaded_model_gives_what_the_command_line_gives(esim: Caller, small_run: Path) -> None:
    import esim as package

    model = package.load(small_run, device="cpu")
    one = json.loads(esim("predict", small_run, *PAIR, "--json")[1])
    found = model.predict(PAIR).as_dict()
    assert found.keys() == one.keys() and found["label"] == one["label"]
    assert found["neutral"] == pytest.approx(one["neutral"], abs=1e-6)
    both = model.predict([PAIR, PAIR[::-1]])
    assert [p.label for p in both] == [model.predict(PAIR).label, model.predict(PAIR[::-1]).label]
    assert both[0].probability == max(both[0].probabilities.values())
    shown = model.attention(*PAIR)
    assert shown.over_hypothesis is not None and shown.over_hypothesis.shape == (6, 5)
    assert both[0].over_hypothesis is None
    figures = json.loads(esim("evaluate", small_run, "--json")[1])
    assert model.evaluate()["accuracy"] == figures["accuracy"]
    assert "ESIM" in repr(model) and {"predict", "attention", "evaluate"} <= set(dir(model))
    assert {"load", "Esim"} <= set(dir(package))
    one_by_name = {"premise": PAIR[0], "hypothesis": PAIR[1]}

    class Table:  # as of pandas: iterating gives the names of the columns
        columns = ("premise", "hypothesis")

        def __iter__(self) -> Iterator[str]:
            return iter(self.columns)

    for bad in (
        "one string",
        Table(),
        [("a",)],
        [PAIR, "b"],
        3,
        [3],
        one_by_name,
        [one_by_name],
        [set(PAIR)],
    ):
        with pytest.raises(UserError, match="premise, hypothesis"):
            model.predict(bad)
    with pytest.raises(UserError, match="The hypothesis is 3. Expected a sentence"):
        model.attention(PAIR[0], 3)


def test_predict_answers_each_line_of_standard_input_as_it_arrives(small_run: Path) -> None:
    command = [sys.executable, "-m", "esim", "predict", str(small_run), "--json"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for pair in (PAIR, PAIR[::-1]):
            process.stdin.write("\t".join(pair) + "\n")
            assert "label" in json.loads(process.stdout.readline())  # while the input is open
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_predict_says_what_it_did_not_read(esim: Caller, small_run: Path, tmp_path: Path) -> None:
    long = "A dog runs. " * 300
    code, _, error = esim("predict", small_run, long, PAIR[1])
    assert code == 0 and "words at the end were not read" in error
    rows = [{"sentence1": PAIR[0], "sentence2": PAIR[1], "gold_label": "foreign"}, {"sentence1": 3}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, printed, error = esim("predict", small_run, "--file", "p.jsonl")
    assert code == 2 and printed == "" and "p.jsonl:2" in error and "--on-bad-line skip" in error
    skip = ("--file", "p.jsonl", "--on-bad-line", "skip")
    code, printed, error = esim("predict", small_run, *skip)
    assert code == 0 and printed.count("\n") == 1 and "1 bad line skipped" in error
    (tmp_path / "q.csv").write_text(f"a,b\n{PAIR[0]},{PAIR[1]}\n")
    columns = ("--premise-column", "a", "--hypothesis-column", "b")
    assert esim("predict", small_run, "--file", "q.csv", *columns)[1] == printed


def test_rows_of_predict_have_the_sentences_as_they_are_in_the_file(
    esim: Caller, small_run: Path, tmp_path: Path
) -> None:
    pair = {"sentence1": "A  Dog runs, doesn't it?", "sentence2": "An\tanimal\nruns."}
    (tmp_path / "p.jsonl").write_text(json.dumps(pair) + "\n")
    (row,) = esim("predict", small_run, "--file", "p.jsonl")[1].splitlines()
    assert row.split("\t")[4:] == ["A  Dog runs, doesn't it?", "An animal runs."]


def test_page_can_be_made_again(esim: Caller, small_run: Path, tmp_path: Path) -> None:
    assert esim("report", small_run, "--out", "page.html")[0] == 0
    # The run's own page links to the others in its folder.
    own, again = (small_run / "report.html").read_text(), (tmp_path / "page.html").read_text()
    assert NAV.sub("", again) == NAV.sub("", own)


def test_page_measures_nothing_on_dev_pairs_that_have_changed(
    small_run: Path, sample_folder: Path, tmp_path: Path
) -> None:
    """Their accuracy would stand beside that of the run."""
    shutil.copytree(small_run, tmp_path / "run")
    shutil.copytree(sample_folder, tmp_path / "data")
    dev = tmp_path / "data" / "snli_1.0_dev.jsonl"
    dev.write_text(dev.read_text().replace('"gold_label": "neutral"', '"gold_label": "entailment"'))
    file = tmp_path / "run" / "config.yaml"
    data = f"data: {tmp_path / 'data'}"
    file.write_text(re.sub(r"^data: .*$", data, file.read_text(), flags=re.MULTILINE))
    page = write_page(RunDirectory.read(tmp_path / "run", task="esim"), tmp_path / "page.html")
    assert "The data has changed since the run" in page.read_text()


def test_ablation_compares_variants_and_goes_on_where_it_was(
    esim: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = (
        "ablate", "--data", sample_folder, "--out", "ab", "--device", "cpu", "--threads", 1, "--steps", 2,
        "--embedding-size", 8, "--hidden-size", 8, "--without", '["full", "coursework", "vectors"]', "--json",
    )  # fmt: skip
    code, printed, error = esim(*words)
    assert (code, error) == (0, "")
    table = json.loads(printed)
    assert set(table) == {"full", "coursework"}
    stamp = (tmp_path / "ab" / "full-1" / "summary.json").stat().st_mtime_ns
    assert json.loads(esim(*words)[1]) == table
    assert (tmp_path / "ab" / "full-1" / "summary.json").stat().st_mtime_ns == stamp
    assert "since the settings are so already: random word vectors." in esim(*words[:-1])[1]
    from esim.model.trained import load_run

    config = load_run(tmp_path / "ab" / "coursework-1").config
    assert config.batch_axis and not config.relu
    page = (tmp_path / "ab" / "ablation.html").read_text()
    assert "coursework" in page and "±" not in page  # one seed has no deviation


def test_random_vectors_of_an_ablation_have_the_size_of_the_file_and_variants_the_seed(
    esim: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from esim.model.trained import load_run

    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path))
    words = (
        "ablate", "--data", sample_folder, "--device", "cpu", "--threads", 1, "--steps", 1, "--hidden-size", 4,
        "--without", "full,vectors", "--seed", 7, "--json",
    )  # fmt: skip
    assert set(json.loads(esim(*words, "--vectors", "auto", "--out", "none")[1])) == {"full"}
    (tmp_path / "glove").mkdir()
    file = tmp_path / "glove" / "glove.txt"
    file.write_text("dog 1 2 3\ncat 4 5 6\n")
    for vectors in ("auto", file):
        out = tmp_path / f"with-{Path(vectors).stem}"
        assert set(json.loads(esim(*words, "--vectors", vectors, "--out", out)[1])) == {
            "full",
            "vectors",
        }
        full, random = (load_run(out / f"{name}-7").config for name in ("full", "vectors"))
        assert (full.vectors, random.vectors) == (str(file), None)
        assert full.embedding_size == random.embedding_size == 3
        assert full.seed == random.seed == 7


def test_study_measures_every_epoch_and_dev_alone_chooses_one(
    esim: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = (
        "study", "--data", sample_folder, "--out", "st", "--device", "cpu", "--threads", 1, "--epochs", 3,
        "--batch-size", 256, "--embedding-size", 8, "--hidden-size", 8, "--learning-rate", 0.02, "--log-every", 5,
        "--matches", "--without", '["full"]', "--seeds", "[1,2]", "--json",
    )  # fmt: skip
    code, printed, error = esim(*words)
    assert (code, error) == (0, "")
    result = json.loads(printed)
    epochs = result["epochs"]
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    dev = [row["valid_accuracy"] for row in epochs]
    assert [row["is_best"] for row in epochs] == [
        number == dev.index(max(dev)) for number in range(3)
    ]
    lines = (tmp_path / "st/epochs/metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert dev == pytest.approx([r["valid_accuracy"] for r in records if "valid_accuracy" in r])
    assert all(0 < row["test_accuracy"] < 1 and 0 < row["train_accuracy"] < 1 for row in epochs)
    # Each line of the log is of one epoch; with 12 steps in each, lines of 5 steps would be of two.
    trained = [r for r in records if "train_accuracy" in r]
    assert [r["epoch"] for r in trained] == [1, 2, 3]
    assert [row["train_accuracy"] for row in epochs] == [r["train_accuracy"] for r in trained]
    second = json.loads((tmp_path / "st/full-2/summary.json").read_text())
    both = (max(dev), second["metrics"]["valid_accuracy"])
    assert result["variants"]["full"]["valid_accuracy"] == pytest.approx(sum(both) / 2)
    assert not (tmp_path / "st/full-1").exists()  # what the first part trained is not trained again
    page = (tmp_path / "st" / "study.html").read_text()
    assert page.count("chosen on dev") == 1 and "nothing left out" in page


def test_inspect_shows_ids_first_batch_and_vectors_as_training_gets_them(
    esim: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    from esim.data.dataset import load_data
    from shared.text.vectors import read_vectors

    (tmp_path / "v.txt").write_text("dog 1 2 3\n")
    words = ("inspect", "--data", sample_folder, "--vectors", "v.txt", "--word", "dog")
    code, printed, _ = esim(*words, "--out", "words")
    vocabulary = load_data(TrainConfig(data=str(sample_folder))).vocabulary
    number = vocabulary.id("dog")
    assert code == 0
    assert f"itos[{number}] = 'dog'" in printed and "[1.0000 2.0000 3.0000 ...]" in printed
    assert "first batch" in printed and "% <pad>" in printed and "train: 2" in printed
    assert json.loads((tmp_path / "words/stoi.json").read_text())["dog"] == number
    assert (tmp_path / "words/itos.txt").read_text().splitlines()[number] == "dog"
    tokens, matrix = read_vectors(tmp_path / "words/vectors.txt")
    assert matrix[tokens.index("dog")].tolist() == [1, 2, 3]
    facts = json.loads(esim(*words, "--json")[1])
    assert (facts["id"], facts["vector"]) == (number, [1, 2, 3])
    code, _, error = esim(*words[:-1], "zebra")
    assert code == 2 and "zebra: is not in the vocabulary" in error


def test_inspect_shows_unknown_words_of_the_first_batch_where_they_have_ids_of_their_own(
    esim: Caller, sample_folder: Path
) -> None:
    words = ("inspect", "--data", sample_folder, "--recipe", "laptop", "--max-vocab-size", 20)
    code, printed, error = esim(*words)
    assert (code, error) == (0, "") and "<unk>" in printed.partition("first batch")[2]


def test_inspect_says_what_vectors_auto_became_and_what_they_cover(
    esim: Caller, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLTASKS_DATA", str(tmp_path))
    (tmp_path / "glove").mkdir()
    (tmp_path / "glove" / "glove.txt").write_text("dog 1 2 3\n")
    code, printed, _ = esim("inspect", "--data", sample_folder, "--vectors", "auto")
    told = [line for line in printed.splitlines() if line.startswith("vectors: ")]
    assert code == 0 and len(told) == 2
    assert told[0].startswith("vectors: auto takes") and told[1].startswith("vectors: glove.txt, ")


def test_sample_never_overwrites(esim: Caller, tmp_path: Path) -> None:
    assert esim("sample", "--out", "a")[0] == 0
    code, _, error = esim("sample", "--out", "a")
    assert code == 2
    assert "a: is not empty" in error


def test_learning_rate_is_looked_for_and_no_run_is_left(
    esim: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = (
        "train",
        "--data",
        sample_folder,
        "--embedding-size",
        24,
        "--hidden-size",
        24,
        "--learning-rate",
        0.01,
        "--device",
        "cpu",
        "--threads",
        1,
    )
    assert_finds_learning_rate(esim, words, tmp_path)
