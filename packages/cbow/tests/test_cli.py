from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cbow.cli import VERBS
from cbow.commands import study
from cbow.config import TrainConfig
from shared.command.options import RunOptions
from shared.interrupt import Interrupted
from shared.testing import assert_help_is_light, assert_recipe_states, assert_verb_explains

Caller = Callable[..., tuple[int, str, str]]


def test_torch_is_not_here_and_nothing_misses_it() -> None:
    if "TOX_ENV_NAME" not in os.environ:
        pytest.skip("only tox installs cbow alone")
    assert importlib.util.find_spec("torch") is None


def test_help_starts_at_once_and_imports_nothing_heavy() -> None:
    assert_help_is_light(
        "cbow", heavy=("torch", "numba", "numpy", "matplotlib", "jsonargparse"), seconds=0.5
    )


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_explains_its_options(verb: str, cbow: Caller) -> None:
    assert_verb_explains(cbow, "cbow", verb)


@pytest.mark.parametrize("name", ["baseline", "best", "coursework", "debug"])
def test_recipe_reads_strictly_and_says_what_to_expect(
    name: str, cbow: Caller, tmp_path: Path
) -> None:
    assert_recipe_states(cbow, "cbow", TrainConfig, name, tmp_path)


def line_of(run: Path, text: str) -> Path:
    """Write a corpus beside the runs and return its path."""
    path = run.parent / "corpus.txt"
    path.write_text(text, encoding="utf-8")
    return path


BAD_TRAINING = {
    "empty corpus": ("", [], "corpus.txt: has no words"),
    "one token a line": ("a\nb\n", [], "corpus.txt: has no line of two tokens"),
    "V = 1": ("a a\n", ["--max-vocab-size", "1"], "--max-vocab-size is 1, expected >= 2"),
    "all words too rare": ("a b\n", ["--min-count", "5"], "has no words seen at least 5 times"),
    "no number": (
        "a\n",
        ["--limit", "x"],
        "--limit is x, expected a whole number or null (not set)",
    ),
    "no lines": ("a\n", ["--limit", "0"], "--limit is 0, expected >= 1, or null for all"),
    "window 0": ("a b\n", ["--window", "0"], "--window is 0, expected >= 1"),
    "negative lr": (
        "a b\n",
        ["--learning-rate", "-1"],
        "--learning-rate is -1.0, expected a number > 0",
    ),
    "lr is no number": (
        "a b\n",
        ["--learning-rate", "fast"],
        "--learning-rate is fast, expected a number",
    ),
    "two at once": ("a b\n", ["--window", "0", "--epochs", "0"], "--epochs is 0, expected >= 1"),
    "unknown flag": (
        "a b\n",
        ["--windw", "3"],
        "--windw is not known to `cbow train` (did you mean --window",
    ),
    "unknown recipe": (
        "a b\n",
        ["--recipe", "basline"],
        "--recipe basline does not exist (did you mean baseline",
    ),
    "missing synonyms": ("a b\n", ["--synonyms", "none.json"], "--synonyms none.json: not found"),
}


@pytest.mark.parametrize("case", BAD_TRAINING)
def test_bad_training_is_refused_in_one_line(case: str, cbow: Caller, tmp_path: Path) -> None:
    text, words, expected = BAD_TRAINING[case]
    (tmp_path / "corpus.txt").write_text(text)
    code, _, error = cbow("train", "--data", "corpus.txt", "--out", "run", *words)
    assert code == 2
    assert expected in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()  # the mended command can be given the same --out


def test_bad_files_are_refused_in_one_line(cbow: Caller, tmp_path: Path, small_run: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    (tmp_path / "torn.txt").write_text("<unk> 1\nthe 5\nof")
    (tmp_path / "vocab.txt").write_text("<unk> 1\nthe 5\nof")
    (tmp_path / "synonyms.json").write_text("not json")
    (tmp_path / "odd.json").write_text('{"word": "no list"}')
    (tmp_path / "torn.safetensors").write_bytes(
        (small_run / "vectors.safetensors").read_bytes()[:1000]
    )
    cases = [
        (("train", "--data", "none", "--out", "run"), "--data none: not found"),
        (("train", "--data", "binary.txt", "--out", "run"), "binary.txt:1: holds a NUL byte"),
        (("evaluate", small_run, "--synonyms", "synonyms.json"), "synonyms.json"),
        (("evaluate", small_run, "--synonyms", "odd.json"), "odd.json"),
        (("evaluate", small_run, "--synonyms", "none.json"), "none.json"),
        (
            ("evaluate", "torn.safetensors", "--synonyms", small_run / "synonyms.json"),
            "torn.safetensors",
        ),
        (("evaluate", tmp_path), "is not a run (no config.yaml in it)"),
        (("neighbors", "none", "word"), "none: no such file. Expected a run folder, or vectors"),
        (("neighbors", small_run), "WORDS is missing. Expected `cbow neighbors RUN WORDS..."),
        (("similarity",), "RUN, FIRST and SECOND are missing. Expected `cbow similarity RUN"),
        (("handout",), "--out is missing. Expected `cbow handout [options]`"),
        (("grade", small_run), "--out is missing, expected a folder for grades and pages"),
        (("grade", "--out", "g"), "SUBMISSIONS is missing, expected a folder of submissions"),
        (("similarity", small_run), "FIRST and SECOND are missing. Expected `cbow similarity RUN"),
        (("synonyms", "vocab.txt"), "vocab.txt:3"),
        (("report", "none"), "none: is not a run"),
        (
            ("export", small_run, "--format", "word2vec"),
            "--format is word2vec, expected one of npz",
        ),
        (("explain", "--line", "alone"), "--line 'alone' has 1 tokens, expected two or more"),
        (("explain", "--position", "9"), "--position is 9, expected 0 to 4"),
    ]
    for words, expected in cases:
        code, _, error = cbow(*words)
        assert code == 2, words
        assert expected in error, (words, error)
        assert error.count("\n") == 1, (words, error)


@pytest.mark.long
def test_damaged_run_folder_is_named(cbow: Caller, small_run: Path, tmp_path: Path) -> None:
    import shutil

    for name, content, expected in [
        ("summary.json", None, "summary.json: is missing, so the run did not end"),
        ("summary.json", "{", "summary.json: is not JSON"),
        ("vectors.safetensors", "x", "vectors.safetensors: damaged"),
        ("vectors.safetensors", None, "vectors.safetensors: no such file"),
    ]:
        run = tmp_path / "damaged"
        shutil.copytree(small_run, run)
        (run / name).unlink()
        if content is not None:
            (run / name).write_text(content)
        code, _, error = cbow("neighbors", run, "the")
        assert code == 2
        assert expected in error
        shutil.rmtree(run)


@pytest.mark.long
@pytest.mark.parametrize(
    "name, kept, expected",
    [
        ("vocab.txt", -3, "vocab.txt:"),
        ("metrics.jsonl", 0, "metrics.jsonl: lacks the records of training"),
        ("metrics.jsonl", -3, "metrics.jsonl: lacks the records of training"),
    ],
)
def test_damaged_file_of_a_run_is_named_on_resume(
    name: str, kept: int, expected: str, cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("train", "--data", sample_folder, "--epochs", 2, "--out", tmp_path / "run", "--quiet")
    assert cbow(*words)[0] == 0
    (tmp_path / "run" / "summary.json").unlink()
    damaged = tmp_path / "run" / name
    damaged.write_text(damaged.read_text()[:kept])
    code, _, error = cbow(*words, "--resume")
    assert code == 2 and expected in error


def test_unknown_word_is_answered_with_near_spellings(cbow: Caller, small_run: Path) -> None:
    known = next(
        line.split()[0]
        for line in (small_run / "vocab.txt").read_text().splitlines()
        if len(line) > 8
    )
    code, _, error = cbow("neighbors", small_run, known + "x")
    assert code == 2
    assert f"No vector for '{known}x'" in error
    assert f"'{known}'" in error.replace(f"'{known}x'", "")


def test_queries_answer_in_text_and_json(cbow: Caller, small_run: Path) -> None:
    synonyms = json.loads((small_run / "synonyms.json").read_text())
    word, (other, *_) = synonyms[0]
    code, printed, _ = cbow("neighbors", small_run, word, "--count", 5)
    assert code == 0
    assert other in printed
    answer = json.loads(cbow("neighbors", small_run, word, "--count", 5, "--json")[1])
    assert len(answer["neighbors"][word]) == 5
    assert word not in [row["word"] for row in answer["neighbors"][word]]
    cosine = json.loads(cbow("similarity", small_run, word, other, "--json")[1])["cosine"]
    assert 0.5 < cosine <= 1
    answers = json.loads(cbow("analogy", small_run, word, other, "the", "--json")[1])["answers"]
    assert len(answers) == 5


def test_inspect_shows_samples_indices_and_vectors(cbow: Caller, small_run: Path) -> None:
    vocabulary = [line.split() for line in (small_run / "vocab.txt").read_text().splitlines()]
    word, count = vocabulary[30]
    answer = json.loads(cbow("inspect", small_run, word, "--samples", 3, "--json")[1])
    assert answer["token_to_idx"] == {word: 30}
    assert answer["counts"] == {word: int(count)}
    from cbow import load

    assert answer["vectors"][word] == load(small_run)[word].tolist()
    data = (small_run / "config.yaml").read_text().split("data: ")[1].splitlines()[0]
    first = (Path(data) / "treebank.txt").read_text().splitlines()[0].lower().strip(".").split()
    assert [sample["target"][0] for sample in answer["samples"]] == first[:3]
    for number, sample in enumerate(answer["samples"]):
        around = first[max(0, number - 4) : number] + first[number + 1 : number + 5]
        assert [token for token, _ in sample["context"]] == around
        assert all(vocabulary[index][0] == token for token, index in sample["context"])
    code, printed, _ = cbow("inspect", small_run)
    assert code == 0
    assert " ->  " in printed
    assert "<unk>" in printed


def test_inspect_shows_no_samples_of_another_corpus(
    cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes((sample_folder / "debug.txt").read_bytes())
    settings = ("--data", "text.txt", "--epochs", 1, "--dimension", 4, "--subsample", "1e-3")
    assert cbow("train", *settings, "--out", "run", "--quiet")[0] == 0
    assert "first samples before subsampling (window 4)" in cbow("inspect", "run")[1]
    text.write_text("other words stand here\n")
    code, _, error = cbow("inspect", "run")
    assert code == 2 and "run: the data of this run has changed since" in error
    text.unlink()
    code, _, error = cbow("inspect", "run")
    assert code == 2 and "was trained on text.txt, which is not found from here" in error
    assert cbow("inspect", "run", "--samples", 0)[0] == 0  # as both messages advise


def test_evaluate_gives_recall_for_any_list(cbow: Caller, small_run: Path, tmp_path: Path) -> None:
    own = json.loads(cbow("evaluate", small_run, "--json")[1])
    summary = json.loads((small_run / "summary.json").read_text())
    assert own["recall_at_40"] == summary["metrics"]["recall_at_40"]
    (tmp_path / "list.json").write_text(json.dumps([["the", ["nosuchword"]]]))
    given = json.loads(cbow("evaluate", small_run, "--synonyms", "list.json", "--json")[1])
    assert given["recall_at_40"] == 0.0
    assert given["synonyms"]["ceiling"] == 0.0
    code, printed, _ = cbow("evaluate", small_run, "--neighbors", 10)
    assert code == 0
    assert printed.startswith("recall@10 ")


def test_evaluate_refuses_neighbors_where_no_synonyms_are_measured(
    cbow: Caller, small_run: Path
) -> None:
    for words in ((small_run, "--pairs", "p.tsv"), (small_run / "vectors.safetensors",)):
        code, _, error = cbow("evaluate", *words, "--neighbors", 10)
        assert code == 2 and "--neighbors has no effect without --synonyms" in error


def test_evaluate_reads_analogies_and_pairs(cbow: Caller, small_run: Path, tmp_path: Path) -> None:
    words = [line.split()[0] for line in (small_run / "vocab.txt").read_text().splitlines()[20:24]]
    (tmp_path / "questions.txt").write_text(f": section\n{' '.join(words)}\n")
    (tmp_path / "pairs.tsv").write_text(
        f"{words[0]}\t{words[1]}\t7\n{words[0]}\t{words[2]}\t3\n{words[1]}\t{words[3]}\t1\n"
    )
    scores = json.loads(
        cbow(
            "evaluate", small_run, "--analogies", "questions.txt", "--pairs", "pairs.tsv", "--json"
        )[1]
    )
    assert scores["analogies"]["total"]["total"] == 1
    assert scores["pairs"]["pairs"] == 3
    assert "recall_at_40" not in scores


def test_exports_hold_the_vectors_of_the_run(cbow: Caller, small_run: Path, tmp_path: Path) -> None:
    from cbow.model.vectors import WordVectors

    ours = WordVectors.load(small_run / "vectors.safetensors")
    for form, name in [("npz", "v.npz"), ("word2vec-text", "v.txt"), ("word2vec-binary", "v.bin")]:
        assert cbow("export", small_run, "--format", form, "--out", name)[0] == 0
        back = WordVectors.load(tmp_path / name)
        assert back.tokens == ours.tokens
        assert back.matrix.tobytes() == ours.matrix.tobytes()
    assert cbow("export", small_run, "--format", "projector", "--out", "projector")[0] == 0
    assert len((tmp_path / "projector" / "vectors.tsv").read_text().splitlines()) == len(ours)
    assert cbow("export", small_run, "--format", "numpy")[0] == 0
    numbers = json.loads((tmp_path / "numpy" / "token_to_idx.json").read_text())
    tokens = json.loads((tmp_path / "numpy" / "idx_to_token.json").read_text())
    assert tokens == ours.tokens == list(numbers)
    assert list(numbers.values()) == list(range(len(ours)))
    assert np.load(tmp_path / "numpy" / "vectors.npy").tobytes() == ours.matrix.tobytes()


def test_gensim_reads_the_binary_export(cbow: Caller, small_run: Path, tmp_path: Path) -> None:
    models = pytest.importorskip("gensim.models", reason="gensim is not installed")
    from cbow.model.vectors import WordVectors

    assert cbow("export", small_run, "--format", "word2vec-binary", "--out", "v.bin")[0] == 0
    theirs = models.KeyedVectors.load_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    ours = WordVectors.load(small_run / "vectors.safetensors")
    assert theirs.index_to_key == list(ours.tokens)
    assert theirs.vectors.tobytes() == ours.matrix.tobytes()
    assert cbow("export", small_run, "--format", "word2vec-text", "--out", "v.txt")[0] == 0
    text = models.KeyedVectors.load_word2vec_format(str(tmp_path / "v.txt"))
    assert text.vectors.tobytes() == ours.matrix.tobytes()
    word, first, second = ours.tokens[30], ours.tokens[31], ours.tokens[32]
    for asked in ({"positive": word}, {"positive": [word, first], "negative": [second]}):
        expected, found = theirs.most_similar(**asked), ours.most_similar(**asked)
        assert [near for near, _ in found] == [near for near, _ in expected]
        assert [c for _, c in found] == pytest.approx([c for _, c in expected], abs=1e-5)


def test_sample_is_the_same_each_time_and_never_overwrites(cbow: Caller, tmp_path: Path) -> None:
    assert cbow("sample", "--out", "a")[0] == cbow("sample", "--out", "b")[0] == 0
    for name in ("treebank.txt", "synonyms.json", "debug.txt"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    code, _, error = cbow("sample", "--out", "a")
    assert code == 2
    assert "a: is not empty" in error


def test_load_reads_a_run_a_folder_of_runs_and_a_file(small_run: Path) -> None:
    import cbow as package

    vectors = package.load(small_run)
    for other in (str(small_run), small_run.parent, small_run / "vectors.safetensors"):
        again = package.load(other)
        assert again.tokens == vectors.tokens
        assert again.matrix.tobytes() == vectors.matrix.tobytes()
    assert set(package.__all__) <= set(dir(package))
    word = vectors.tokens[30]
    assert word in vectors
    assert vectors[word].shape == (20,)


@pytest.mark.long
def test_page_can_be_made_again(cbow: Caller, small_run: Path, tmp_path: Path) -> None:
    assert cbow("report", small_run, "--out", "page.html")[0] == 0
    assert (tmp_path / "page.html").read_text() == (small_run / "report.html").read_text()
    for name in ("loss.png", "recall.png", "words.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.long
@pytest.mark.parametrize("text", ["a b\nb c\n", "ab ab\n", "ab cd\n", "a $_$ \\frac {x} ^^\n"])
def test_page_of_few_or_odd_words_can_be_made(text: str, cbow: Caller, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    words = ("--epochs", 1, "--dimension", 2, "--tokenizer", "space", "--out", "run", "--quiet")
    code, _, error = cbow("train", "--data", "a.txt", *words)
    assert (code, error) == (0, "")
    assert "</html>" in (tmp_path / "run" / "report.html").read_text()


def test_explained_step_is_the_reference_step(cbow: Caller) -> None:
    printed = cbow("explain", "--line", "b a b a", "--position", 1, "--window", 3)[1]
    assert "(2 x)" in printed  # b stands twice in the context
    before, after = (
        float(text)
        for text in printed.split("loss of the same sample: ")[1]
        .replace(" before,", "")
        .split()[:2]
    )
    assert after < before


@pytest.mark.parametrize(
    ("change", "reported"), [({}, "5.05"), ({"epochs": 3}, None), ({"data": {"sha256": "0"}}, None)]
)
def test_courseworks_figures_stand_beside_its_own_corpus_and_epochs_only(
    change: dict[str, object], reported: str | None
) -> None:
    metrics = {"train_loss": 5.0461, "recall_at_40": 0.1982}
    summary = {"data": {"sha256": study.TREEBANK}, "metrics": metrics, "seconds": 1.0, "epochs": 10}
    summary |= change
    assert study._row("lr 0.1", summary, summary["data"])[2] == reported  # type: ignore[arg-type]


@pytest.mark.long
def test_study_makes_both_plots_and_goes_on_where_it_was(
    cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("study", "--data", sample_folder, "--epochs", 1, "--out", "study", "--quiet")
    assert cbow(*words)[0] == 0
    names = {path.name for path in (tmp_path / "study").iterdir()}
    assert {"loss.png", "recall.png", "report.html", "study.json"} <= names
    assert len(json.loads((tmp_path / "study" / "study.json").read_text())) == 6
    page = (tmp_path / "study" / "report.html").read_text()
    assert ">5.05<" not in page  # the coursework's figures are for its own corpus and epochs
    assert cbow(*words, "--resume")[0] == 0
    assert (tmp_path / "study" / "report.html").read_text() == page


def test_stopped_study_says_how_to_resume_the_study(
    cbow: Caller, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(config: TrainConfig, options: RunOptions) -> None:
        raise Interrupted(2, "stopped. Resume with: cbow train --out study/lr-0.1 --resume")

    monkeypatch.setattr(study, "train", stopped)
    words = ("study", "--data", sample_folder, "--recipe", "baseline", "--epochs", 3, "--out", "it")
    code, _, error = cbow(*words)
    assert code == 130
    command = f"cbow study --recipe baseline --data {sample_folder} --epochs 3 --out it --resume"
    assert error.endswith(f"Resume the study with: {command}\n")


@pytest.mark.skipif(os.name == "nt", reason="has no /dev/null")
def test_empty_stream_is_called_what_the_user_named(cbow: Caller) -> None:
    code, _, error = cbow("train", "--data", "/dev/null", "--quiet")
    assert (code, error) == (
        2,
        "cbow: /dev/null: has no words. Expected text with words to learn.\n",
    )


@pytest.mark.long
def test_page_of_two_models_says_what_the_twin_is(
    cbow: Caller, sample_folder: Path, tmp_path: Path
) -> None:
    words = ("train", "--data", sample_folder, "--recipe", "best", "--epochs", 1, "--quiet")
    assert cbow(*words, "--out", "both")[0] == 0
    assert "The twin is a second model" in (tmp_path / "both" / "report.html").read_text()
